package razor

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// BootFile opens the kernel or the initrd that nodes boot, from wherever it is: an image folder,
// or straight out of an ISO. It is called once per request; a closer is closed.
type BootFile func() (content io.ReadSeeker, modTime time.Time, err error)

// FileBoot serves a kernel or an initrd that is a file of its own.
func FileBoot(path string) BootFile {
	return func() (io.ReadSeeker, time.Time, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, time.Time{}, err
		}
		st, err := f.Stat()
		if err == nil && !st.Mode().IsRegular() {
			err = fmt.Errorf("open %s: not a regular file", path)
		}
		if err != nil {
			_ = f.Close() // only read
			return nil, time.Time{}, err
		}
		return f, st.ModTime(), nil
	}
}

// ImageBoot serves kernel and initrd out of an image. read takes both out of the file; it is
// called when they are first asked for and again whenever the file has changed, so that a
// rebuilt image is booted without a restart of the server. They are kept in memory meanwhile.
func ImageBoot(path string, read func(path string) (kernel, initrd []byte, err error)) (kernel, initrd BootFile) {
	c := &imageCache{path: path, read: read}
	return c.opener(func() []byte { return c.kernel }), c.opener(func() []byte { return c.initrd })
}

type imageCache struct {
	path           string
	read           func(string) ([]byte, []byte, error)
	mu             sync.Mutex
	stamp          fileStamp
	kernel, initrd []byte
}

func (c *imageCache) opener(pick func() []byte) BootFile {
	return func() (io.ReadSeeker, time.Time, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if now := stampOf(c.path); now != c.stamp || c.kernel == nil {
			kernel, initrd, err := c.read(c.path)
			if err != nil {
				return nil, time.Time{}, err
			}
			c.stamp, c.kernel, c.initrd = now, kernel, initrd
		}
		return bytes.NewReader(pick()), c.stamp.mtime, nil
	}
}
