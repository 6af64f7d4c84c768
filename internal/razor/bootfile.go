package razor

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync"

	"mkbuild/internal/hostfile"
)

// FileBoot serves a kernel or an initrd from a file.
func FileBoot(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, st, err := hostfile.Open(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close() //nolint:errcheck // only read
		http.ServeContent(w, r, "", st.ModTime(), f)
	})
}

// folderPath is the URL path of a PXE folder's files.
const folderPath = "/microkernel/"

// folderBoot serves the files of the PXE folder that has the name at the time of the request. Blobs never change:
// caches need not ask for them again.
func folderBoot(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer root.Close() //nolint:errcheck // only read
		name := r.PathValue("path")
		f, st, err := hostfile.OpenIn(root, name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close() //nolint:errcheck // only read
		w.Header().Set("Cache-Control", "no-cache")
		if top, _, _ := strings.Cut(name, "/"); top == "blobs" || top == "s" {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", st.ModTime(), f)
	})
}

// ImageBoot serves kernel and initrd of an image, and keeps them in memory. read reads both from the file, at the
// first request and again after a change, so that a rebuilt image boots without a restart of the server.
func ImageBoot(path string, read func(path string) (kernel, initrd []byte, err error)) (kernel, initrd http.Handler) {
	c := &bootImage{path: path, read: read}
	return c.serve(func() []byte { return c.kernel }), c.serve(func() []byte { return c.initrd })
}

type bootImage struct {
	path           string
	read           func(string) ([]byte, []byte, error)
	mu             sync.Mutex
	stamp          fileStamp
	kernel, initrd []byte
}

func (c *bootImage) serve(pick func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if now := stampOf(c.path); now != c.stamp || c.kernel == nil {
			kernel, initrd, err := c.read(c.path)
			if err != nil {
				c.mu.Unlock()
				failure(w, http.StatusNotFound, err.Error())
				return
			}
			c.stamp, c.kernel, c.initrd = now, kernel, initrd
		}
		content, mtime := pick(), c.stamp.mtime
		c.mu.Unlock()
		http.ServeContent(w, r, "", mtime, bytes.NewReader(content))
	})
}
