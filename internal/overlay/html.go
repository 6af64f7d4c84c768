package overlay

import "bytes"

// LooksLikeHTML reports whether b, the first bytes of a download, begin a web page: what mirrors
// and captive portals send with status 200 in place of a file. Readers use it to say so, since
// "bad magic" helps nobody.
func LooksLikeHTML(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	b = bytes.ToLower(bytes.TrimLeft(b[:min(len(b), 256)], " \t\r\n"))
	for _, start := range []string{"<!doctype", "<html", "<head", "<body", "<?xml", "<!--"} {
		if bytes.HasPrefix(b, []byte(start)) {
			return true
		}
	}
	return false
}
