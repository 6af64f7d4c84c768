package inspect

import (
	"fmt"
	"io"

	"mkbuild/internal/lock"
)

// maxLock bounds a lock's text; that of hundreds of extensions has some 100 kB.
const maxLock = 16 << 20

func (m *Image) readLock() error {
	text, err := io.ReadAll(io.LimitReader(m.whole(), maxLock+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", m.Name, err)
	}
	if m.Lock, err = lock.Parse(text); err != nil {
		return fmt.Errorf("read %s: %w: not a lock: %w", m.Name, ErrKind, err)
	}
	return nil
}
