// Package page shows what the check-in server knows: a web page with the nodes, their facts and
// the rules, which updates itself; the same as JSON; and a command that forgets a node, which needs a token.
//
// Facts are hostile input. The templates escape them, and the page's own headers keep it from
// loading or running anything that is not ours. Start reading at [New].
package page

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/razor"
)

//go:embed assets
var assets embed.FS

// Options say who may use the page.
type Options struct {
	// Token allows what changes something; [NewToken] makes one. It must be long.
	Token string
	// Hosts are names next to localhost and IP addresses under which a browser may ask for the page
	// over loopback. Other names are refused: a foreign web site could point one at us.
	Hosts []string
	// Log takes the structured log; nil discards it.
	Log *slog.Logger
}

// minToken is the least length of a token, in bytes.
const minToken = 16

// NewToken makes a random token of 128 bits.
func NewToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// Page serves the page, its JSON and its commands.
type Page struct {
	server    *razor.Server
	opts      Options
	log       *slog.Logger
	templates *template.Template
	mux       *http.ServeMux
}

// New makes the page of a server and has it told of changes.
func New(s *razor.Server, o Options) (*Page, error) {
	if len(o.Token) < minToken || strings.TrimSpace(o.Token) != o.Token {
		return nil, fail.New(fail.Usage, "serve: unusable token: it must have at least 16 characters and no blanks around it",
			"put a longer one into the file, or leave --token-file out")
	}
	p := &Page{server: s, opts: o, log: o.Log, mux: http.NewServeMux()}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.templates = template.Must(template.New("").Funcs(template.FuncMap{"stamp": stamp, "iso": iso, "value": newCell}).ParseFS(assets, "assets/*.html"))
	live := &streams{}
	s.OnChange(live.publish)
	p.mux.Handle("GET /events", live)
	p.mux.HandleFunc("GET /{$}", p.list)
	p.mux.HandleFunc("GET /nodes/{name}", p.node)
	p.mux.HandleFunc("GET /rules", p.rules)
	p.mux.HandleFunc("GET /assets/{file}", p.asset)
	p.mux.HandleFunc("GET /api/collections/nodes", p.listJSON)
	p.mux.HandleFunc("GET /api/collections/nodes/{name}", p.nodeJSON)
	p.mux.HandleFunc("POST /api/commands/delete-node", p.deleteNode)
	return p, nil
}

// ServeHTTP implements [http.Handler]. Over loopback it answers to host names that can only mean
// this machine, so that a web site cannot reach it through its own name.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if ok && local.IP.IsLoopback() && !p.knownHost(r.Host) {
		http.Error(w, "unknown host name: ask for an IP address or localhost", http.StatusMisdirectedRequest)
		return
	}
	p.mux.ServeHTTP(w, r)
}

func (p *Page) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(p.opts.Hosts, host)
}

// pageHeaders keep the page to itself: even a fact that escaped the templates could load nothing
// and run nothing.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
		"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

func setHeaders(w http.ResponseWriter, media string) {
	for k, v := range pageHeaders {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Type", media)
}

var mediaTypes = map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}

// asset hands out a file that pages name; templates are none of these.
func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	media, ok := mediaTypes[r.PathValue("file")]
	b, err := assets.ReadFile("assets/" + r.PathValue("file"))
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	setHeaders(w, media)
	_, _ = w.Write(b) // a client that went away is nobody's error
}

// render makes the whole page before it sends any of it. err is that of getting the data.
func (p *Page) render(w http.ResponseWriter, name string, data any, err error) {
	status := http.StatusOK
	if errors.Is(err, razor.ErrNoNode) {
		name, status, err = "missing.html", http.StatusNotFound, nil
		data = missingPage{p.frame("No such node", 0)}
	}
	var b bytes.Buffer
	if err == nil {
		err = p.templates.ExecuteTemplate(&b, name, data)
	}
	setHeaders(w, "text/html; charset=utf-8")
	if err != nil {
		p.log.Error("render page", "page", name, "error", err)
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString("The page cannot be shown: see the server's log.")
	}
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// writeJSON answers with a value, or with an error object.
func (p *Page) writeJSON(w http.ResponseWriter, status int, v any, err error) {
	switch {
	case errors.Is(err, razor.ErrNoNode):
		status, v = http.StatusNotFound, map[string]string{"error": err.Error()}
	case err != nil:
		p.log.Error("answer", "error", err)
		status, v = http.StatusInternalServerError, map[string]string{"error": "the server failed: see its log"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
