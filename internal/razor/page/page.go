// Package page is the web page of the check-in server: it shows nodes, facts and rules, updates itself, serves
// the same as JSON, and has a command that forgets a node, which needs a token.
//
// Facts are hostile input. The templates escape them, and the page's own headers keep it from loading or running
// anything that is not ours. Start reading at [New].
package page

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"mkbuild/internal/fail"
	"mkbuild/internal/razor"
)

// Options are the options of a page.
type Options struct {
	// Token allows changes; [NewToken] makes one. It must be long.
	Token string
	// Hosts are names, besides localhost and IP addresses, under which a browser may ask for the page over
	// loopback. Other names are refused: a web site could point its name at this server.
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

// Page serves the page, its JSON and its command.
type Page struct {
	opts Options
	mux  *http.ServeMux
}

// New makes the page of a server, and registers it for changes.
func New(s *razor.Server, o Options) (*Page, error) {
	if len(o.Token) < minToken || strings.TrimSpace(o.Token) != o.Token {
		return nil, fail.New(fail.Usage, "serve: unusable token: it must have at least 16 characters and no blanks around it",
			"put a longer one into the file, or leave --token-file out")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	live := &streams{}
	s.OnChange(live.publish)
	mux := http.NewServeMux()
	mux.Handle("GET /events", live)
	views := newViews(s, o.Log)
	mux.HandleFunc("GET /{$}", views.list)
	mux.HandleFunc("GET /nodes/{name}", views.node)
	mux.HandleFunc("GET /rules", views.rules)
	mux.HandleFunc("GET /assets/{file}", asset)
	api := &api{server: s, token: o.Token, log: o.Log}
	mux.HandleFunc("GET /api/collections/nodes", api.list)
	mux.HandleFunc("GET /api/collections/nodes/{name}", api.node)
	mux.HandleFunc("POST /api/commands/delete-node", api.deleteNode)
	return &Page{o, mux}, nil
}

// ServeHTTP implements [http.Handler]. Over loopback it answers only to names of this machine, so that a web site
// cannot reach it through its own name.
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
