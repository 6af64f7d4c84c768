package qemu

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// Limits of a console log: longer lines are split, and only the beginning of an endless output is kept.
const (
	maxLine = 64 << 10
	maxLog  = 64 << 20
)

// console collects a machine's output.
type console struct {
	mu    sync.Mutex
	lines []string
	size  int
	grown chan struct{} // closed and renewed at each new line
	ended chan struct{}
}

func newConsole() *console {
	return &console{grown: make(chan struct{}), ended: make(chan struct{})}
}

// controls are kept out of logs: escape sequences of SeaBIOS and ISOLINUX (ECMA-48), and the backspaces of iPXE's
// countdown with the erased text.
var controls = regexp.MustCompile("\x1b\\[[0-9;?]*[@-~]|\x1b.|[^\x08]\x08|[\x00-\x08\x0b-\x1f\x7f]") //nolint:gochecknoglobals // a constant

// plain returns a console's line as text.
func plain(line []byte) string {
	return strings.TrimRight(controls.ReplaceAllString(string(line), ""), " ")
}

// read collects lines until out ends, and copies them to w.
func (c *console) read(out io.Reader, w io.Writer) {
	defer close(c.ended)
	r := bufio.NewReaderSize(out, maxLine)
	for {
		line, _, err := r.ReadLine()
		if len(line) > 0 || err == nil {
			text := plain(line)
			c.add(text)
			if w != nil {
				fmt.Fprintln(w, text)
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *console) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size += len(line) + 1; c.size > maxLog {
		return
	}
	c.lines = append(c.lines, line)
	close(c.grown)
	c.grown = make(chan struct{})
}

func (c *console) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) == 0 {
		return ""
	}
	return strings.Join(c.lines, "\n") + "\n"
}

// since returns the lines from number n on, a channel that is closed when more come, and whether the output has
// ended.
func (c *console) since(n int) (lines []string, grown <-chan struct{}, ended bool) {
	select {
	case <-c.ended:
		ended = true
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[n:], c.grown, ended
}
