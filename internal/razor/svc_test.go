package razor

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mkbuild/e2e/testkit"
)

var extTime = time.Date(2014, 5, 20, 10, 11, 12, 0, time.UTC)

const (
	extBody  = "PK\x03\x04 not really a zip, Razor does not look"
	extStamp = "Tue, 20 May 2014 10:11:12 GMT"
)

func extensionRig(t *testing.T, tweak func(*Options)) *rig {
	file := write(t, filepath.Join(t.TempDir(), "mk-extension.zip"), extBody)
	testkit.Must(t, os.Chtimes(file, extTime, extTime))
	return newRig(t, func(o *Options) {
		o.Config.Microkernel.ExtensionZip = file
		if tweak != nil {
			tweak(o)
		}
	})
}

// The table of the real server's answers, including quirks.
func TestExtensionQuirks(t *testing.T) {
	r := extensionRig(t, nil)
	size := strconv.Itoa(len(extBody))
	for _, c := range []struct {
		name, method, header string
		status               int
		body, lastMod        string
		length, contentRange string
	}{
		{"plain", "GET", "", 200, extBody, extStamp, size, ""},
		{"exact If-Modified-Since gives an empty 200", "GET", "If-Modified-Since: " + extStamp, 200, "", "", "0", ""},
		{"older date: whole file", "GET", "If-Modified-Since: Mon, 19 May 2014 10:11:12 GMT", 200, extBody, extStamp, size, ""},
		{"newer date: whole file all the same", "GET", "If-Modified-Since: Wed, 21 May 2024 10:11:12 GMT", 200, extBody, extStamp, size, ""},
		{"same instant spelled otherwise", "GET", "If-Modified-Since: Tuesday, 20-May-14 10:11:12 GMT", 200, extBody, extStamp, size, ""},
		{"range: 200 with a part", "GET", "Range: bytes=0-9", 200, extBody[:10], extStamp, "10", "bytes 0-9/" + size},
		{"open range", "GET", "Range: bytes=5-", 200, extBody[5:], extStamp, strconv.Itoa(len(extBody) - 5), "bytes 5-" + strconv.Itoa(len(extBody)-1) + "/" + size},
		{"suffix range", "GET", "Range: bytes=-4", 200, extBody[len(extBody)-4:], extStamp, "4", ""},
		{"several ranges: all", "GET", "Range: bytes=0-1,3-4", 200, extBody, extStamp, size, ""},
		{"no range unit", "GET", "Range: 0-9", 200, extBody, extStamp, size, ""},
		{"head", "HEAD", "", 200, "", extStamp, size, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var hs []string
			if c.header != "" {
				hs = append(hs, c.header)
			}
			a := r.Do(c.method, "/svc/mk/extension.zip", "", hs...)
			if a.Status != c.status || a.Body != c.body || a.Err != nil {
				t.Errorf("got %d %q %v, want %d %q", a.Status, a.Body, a.Err, c.status, c.body)
			}
			for h, want := range map[string]string{
				"Last-Modified": c.lastMod, "Content-Length": c.length, "Content-Type": "application/zip",
				"Content-Disposition": `attachment; filename="extension.zip"`, "Etag": "", "Cache-Control": "",
			} {
				if got := a.Header.Get(h); got != want {
					t.Errorf("%s: got %q, want %q", h, got, want)
				}
			}
			if c.contentRange != "" && a.Header.Get("Content-Range") != c.contentRange {
				t.Errorf("Content-Range: got %q, want %q", a.Header.Get("Content-Range"), c.contentRange)
			}
		})
	}
}

func TestExtensionMissing(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"not configured": "", "no such file": filepath.Join(dir, "gone.zip"), "a directory": dir,
	} {
		for _, correct := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, correct=%t", name, correct), func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Config.Microkernel.ExtensionZip, o.HTTPCorrect = path, correct })
				a := r.Get("/svc/mk/extension.zip")
				if a.Status != 404 || a.Header.Get("Content-Type") != "application/json" || a.Body != `{"error":"No extension file configured"}` {
					t.Errorf("got %d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
				}
			})
		}
	}
}

func TestExtensionHTTPCorrect(t *testing.T) {
	r := extensionRig(t, func(o *Options) { o.HTTPCorrect = true })
	if a := r.Get("/svc/mk/extension.zip", "If-Modified-Since: "+extStamp); a.Status != 304 {
		t.Errorf("same date: got %d, want 304", a.Status)
	}
	if a := r.Get("/svc/mk/extension.zip", "If-Modified-Since: Wed, 21 May 2024 10:11:12 GMT"); a.Status != 304 {
		t.Errorf("newer date: got %d, want 304", a.Status)
	}
	if a := r.Get("/svc/mk/extension.zip", "Range: bytes=0-9"); a.Status != 206 || a.Body != extBody[:10] {
		t.Errorf("range: got %d %q, want 206", a.Status, a.Body)
	}
	if a := r.Get("/svc/mk/extension.zip"); a.Status != 200 || a.Body != extBody || a.Header.Get("Last-Modified") != extStamp {
		t.Errorf("plain: got %d %q", a.Status, a.Body)
	}
}

func TestExtensionFollowsTheFileAndPacksDirectories(t *testing.T) {
	r := extensionRig(t, nil)
	r.Get("/svc/mk/extension.zip")
	write(t, r.s.opts.Config.Microkernel.ExtensionZip, "second")
	if a := r.Get("/svc/mk/extension.zip"); a.Body != "second" {
		t.Errorf("got %q after the file changed", a.Body)
	}
	dir := t.TempDir()
	r = newRig(t, func(o *Options) {
		o.Config.Microkernel.ExtensionZip = dir
		o.PackDir = func(d string) ([]byte, time.Time, error) { return []byte("zip of " + d), extTime, nil }
	})
	if a := r.Get("/svc/mk/extension.zip"); a.Body != "zip of "+dir || a.Header.Get("Last-Modified") != extStamp {
		t.Errorf("got %q %q", a.Body, a.Header.Get("Last-Modified"))
	}
}

// The real server's reaction to each kind of check-in.
func TestCheckinStatus(t *testing.T) {
	r := newRig(t, nil)
	id := r.Node(mac1)
	self := fmt.Sprintf("/svc/checkin/%d", id)
	good := `{"facts":{"macaddress":"` + mac1 + `"}}`
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for _, c := range []struct {
		name, path, media, body string
		status                  int
	}{
		{"charset", self, "application/json; charset=utf-8", good, 400},
		{"charset without blank", self, "application/json;charset=utf-8", good, 400},
		{"upper case", self, "Application/JSON", good, 400},
		{"form", self, "application/x-www-form-urlencoded", good, 400},
		{"no media type", self, "", good, 400},
		{"not JSON", self, "application/json", "{", 400},
		{"empty", self, "application/json", "", 400},
		{"trailing text", self, "application/json", good + "x", 400},
		{"a list", self, "application/json", "[1]", 400},
		{"no facts", self, "application/json", `{"hw_id":"x"}`, 400},
		{"null facts", self, "application/json", `{"facts":null}`, 400},
		{"false facts", self, "application/json", `{"facts":false}`, 400},
		{"list of facts", self, "application/json", `{"facts":[]}`, 400},
		{"facts are a string", self, "application/json", `{"facts":"x"}`, 400},
		{"nested too deep for Ruby", self, "application/json", `{"facts":{"x":` + deep + `}}`, 400},
		{"no number", "/svc/checkin/abc", "application/json", good, 400},
		{"number out of range", "/svc/checkin/99999999999999999999", "application/json", good, 400},
		{"unknown node", "/svc/checkin/4711", "application/json", good, 404},
		{"node zero", "/svc/checkin/0", "application/json", good, 404},
		{"negative node", "/svc/checkin/-1", "application/json", good, 400},
		{"facts of another machine", self, "application/json", `{"facts":{"macaddress":"52:54:00:ff:ff:ff"}}`, 404},
		{"nothing to identify it by", self, "application/json", `{"facts":{"uuid":"x"}}`, 400},
		{"identity is a number", self, "application/json", `{"facts":{"macaddress":"` + mac1 + `","serialnumber":5}}`, 500},
		{"identity is a list", self, "application/json", `{"facts":{"macaddress":["` + mac1 + `"]}}`, 500},
		{"MAC is null", self, "application/json", `{"facts":{"macaddress":null}}`, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			var hs []string
			if c.media != "" {
				hs = append(hs, "Content-Type: "+c.media)
			}
			if a := r.Do("POST", c.path, c.body, hs...); a.Status != c.status {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, c.status)
			}
		})
	}
	if n := r.load(id); n.Registered || n.Last.Count != 0 {
		t.Errorf("a refused check-in registered the node: %+v", n)
	}
	a := r.Do("POST", self, good, "Content-Type: application/json")
	if a.Status != 200 || a.Body != `{"action":"none"}` || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("good: got %d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
	}
	// After registration, identity facts are ignored.
	if a := r.Do("POST", self, `{"facts":{"serialnumber":5}}`, "Content-Type: application/json"); a.Status != 200 {
		t.Errorf("registered node with a number: got %d", a.Status)
	}
}

func TestCheckinBodyLimit(t *testing.T) {
	r := newRig(t, nil)
	id := r.Node(mac1)
	body := `{"facts":{"x":"` + strings.Repeat("a", maxBody) + `"}}`
	if a := r.Do("POST", fmt.Sprintf("/svc/checkin/%d", id), body, "Content-Type: application/json"); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %v, want 413", a.Status, a.Err)
	}
}

func TestLogAndMetadata(t *testing.T) {
	r := newRig(t, nil)
	id := r.Node(mac1)
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/svc/log/%d?msg=hello+world&severity=warn", 204},
		{"/svc/log/%d?msg=again", 204},
		{"/svc/log/%d?msg=x&severity=loud", 400},
		{"/svc/log/99?msg=x", 404},
		{"/svc/log/abc?msg=x", 400},
		{"/svc/store_metadata/%d?a=1&b=text&c=%%5B1%%2C2%%5D", 204},
		{"/svc/store_metadata/%d?remove[]=b&d=x", 204},
		{"/svc/store_metadata/%d?remove=b", 400},
		{"/svc/store_metadata/99?a=1", 404},
	} {
		path := c.path
		if strings.Contains(path, "%d") {
			path = fmt.Sprintf(path, id)
		}
		if a := r.Get(path); a.Status != c.status || a.Status == 204 && a.Body != "" {
			t.Errorf("%s: got %d %q, want %d", path, a.Status, a.Body, c.status)
		}
	}
	n := r.load(id)
	if got := asJSON(n.Metadata); got != `{"a":1,"c":[1,2],"d":"x"}` {
		t.Errorf("metadata %s", got)
	}
	var events []string
	for _, e := range r.logOf(id) {
		events = append(events, e.Severity+":"+e.Event+e.Msg)
	}
	want := `:store_metadataset map["d":"x"], removed ["b"] ` +
		`:store_metadataset map["a":"1" "b":"text" "c":"[1,2]"], removed [] :again warn:hello world`
	if got := strings.Join(events, " "); got != want {
		t.Errorf("log\n%s, want\n%s", got, want)
	}
}

// A rebuilt image is booted without a restart; it is read once per version.
func TestImageBoot(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "image.iso"), "v1")
	reads := 0
	kernel, initrd := ImageBoot(file, func(path string) ([]byte, []byte, error) {
		reads++
		b, err := os.ReadFile(path)
		return append([]byte("kernel "), b...), append([]byte("initrd "), b...), err
	})
	r := newRig(t, func(o *Options) { o.Kernel, o.Initrd = kernel, initrd })
	get := func(name, want string) {
		t.Helper()
		if a := r.Get("/svc/repo/microkernel/" + name); a.Status != 200 || a.Body != want {
			t.Errorf("%s: got %d %q, want %q", name, a.Status, a.Body, want)
		}
	}
	get("vmlinuz0", "kernel v1")
	get("initrd0.img", "initrd v1")
	write(t, file, "second")
	get("vmlinuz0", "kernel second")
	get("initrd0.img", "initrd second")
	if reads != 2 {
		t.Errorf("read %d times, want 2", reads)
	}
	testkit.Must(t, os.Remove(file))
	if a := r.Get("/svc/repo/microkernel/vmlinuz0"); a.Status != 404 {
		t.Errorf("without the image: %d", a.Status)
	}
}
