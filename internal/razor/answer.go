package razor

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an error with Razor's status for it.
type refusal struct {
	status int
	text   string // text of Razor's error object
	// doubles are nodes that share an identity. The refusal goes into the log of each, and the answer is empty.
	doubles []*Node
}

func (r *refusal) Error() string { return r.text }

// refused is a refusal with status 400.
func refused(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// answer answers in Razor's default media type; nil is an empty body.
func answer(w http.ResponseWriter, status int, v any) {
	var b []byte
	if v != nil {
		b, _ = json.Marshal(v) // texts and numbers
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is not an error
}

// failure answers with Razor's error object.
func failure(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

// clip shortens a text for a message, at a rune boundary.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit] + "…"
}
