package razor

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an error with the status that Razor answers it with.
type refusal struct {
	status int
	text   string // goes into Razor's error object
	// doubles are nodes that share an identity. The refusal goes into the log of each of them, and
	// the answer is empty.
	doubles []*Node
}

func (r *refusal) Error() string { return r.text }

// refused is a refusal with status 400.
func refused(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// empty answers with a status and nothing else, in Razor's default media type.
func empty(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
}

// failure answers with Razor's error object.
func failure(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	empty(w, status)
	_, _ = w.Write(b) // a client that went away is nobody's error
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
