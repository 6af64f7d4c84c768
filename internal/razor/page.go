package razor

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// pageSize is how many nodes one page of the list shows.
const pageSize = 200

// pageHeaders keep the page to itself: facts are hostile input, so even one that escaped the
// templates could load nothing and run nothing.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
		"img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

func (s *Server) pageRoutes(mux *http.ServeMux) {
	t := template.Must(template.New("").Funcs(template.FuncMap{
		"stamp": stamp, "iso": iso, "value": newValueCell,
	}).ParseFS(assets, "assets/*.html"))
	page := func(name string, data func(*http.Request) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.render(w, r, t, name, data) }
	}
	mux.HandleFunc("GET /{$}", page("nodes.html", s.nodesPage))
	mux.HandleFunc("GET /nodes/{name}", page("node.html", s.nodePage))
	mux.HandleFunc("GET /rules", page("rules.html", s.rulesPage))
	mux.HandleFunc("GET /events", s.handleEvents)
	for file, media := range map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		b, err := assets.ReadFile("assets/" + file)
		if err != nil {
			panic(err) // embedded: a test loads every page
		}
		mux.HandleFunc("GET /assets/"+file, func(w http.ResponseWriter, _ *http.Request) {
			setHeaders(w, media)
			_, _ = w.Write(b)
		})
	}
}

func setHeaders(w http.ResponseWriter, media string) {
	for k, v := range pageHeaders {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Type", media)
}

// render makes the whole page before it sends any of it.
func (s *Server) render(w http.ResponseWriter, r *http.Request, t *template.Template, name string, data func(*http.Request) (any, error)) {
	d, err := data(r)
	status := http.StatusOK
	if errors.Is(err, ErrNoNode) {
		name, status, d = "missing.html", http.StatusNotFound, struct{ frame }{s.frame("No such node", 0)}
		err = nil
	}
	var b bytes.Buffer
	if err == nil {
		err = t.ExecuteTemplate(&b, name, d)
	}
	setHeaders(w, "text/html; charset=utf-8")
	if err != nil {
		s.log.Error("render page", "page", name, "error", err)
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString("The page cannot be shown: see the server's log.")
	}
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// frame is what every page has.
type frame struct {
	Title string
	// Watch is the node whose changes concern this page; 0 means all.
	Watch     uint64
	DryRun    bool
	Correct   bool
	Faults    []string
	RulesErr  string
	Extension string
}

func (s *Server) frame(title string, watch uint64) frame {
	f := frame{Title: title, Watch: watch, DryRun: s.opts.DryRun, Correct: s.opts.HTTPCorrect, Faults: s.faults.list()}
	if _, err := s.rules.current(); err != nil {
		f.RulesErr = err.Error()
	}
	switch e, err := s.openExtension(); {
	case err == nil:
		f.Extension = fmt.Sprintf("%s, %d bytes, %s", s.config.ExtensionZip, e.size, stamp(e.mtime))
		_ = e.close() // only read
	case s.config.ExtensionZip != "":
		f.Extension = s.config.ExtensionZip + " is not readable: nodes get 404"
	}
	return f
}

// nodesPage is the data of the list.
type nodesData struct {
	frame
	Query              string
	Rows               []nodeRow
	Total, From, To    int
	Errors             int
	PrevPage, NextPage string
}

type nodeRow struct {
	*Node
	Late       bool
	FromExt    int
	NewChanges int
}

func (s *Server) nodesPage(r *http.Request) (any, error) {
	d := nodesData{frame: s.frame("Nodes", 0), Query: clip(r.URL.Query().Get("q"), 200)}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = min(max(page, 1), 1<<20)
	skip := (page - 1) * pageSize
	late := 4 * time.Duration(s.config.CheckinInterval) * time.Second
	err := s.store.view(func(t *txn) error {
		return t.each(func(n *Node) error {
			if n.Last.RuleError != "" {
				d.Errors++
			}
			if !matchesQuery(n, d.Query) {
				return nil
			}
			d.Total++
			if d.Total > skip && len(d.Rows) < pageSize {
				d.Rows = append(d.Rows, nodeRow{
					Node: n, Late: n.Last.Count > 0 && s.now().Sub(n.Last.At) > late,
					FromExt: len(n.Last.Extension.Facts), NewChanges: len(n.Last.Changes),
				})
			}
			return nil
		})
	})
	d.From, d.To = skip+1, skip+len(d.Rows)
	if page > 1 {
		d.PrevPage = listURL(d.Query, page-1)
	}
	if d.To < d.Total {
		d.NextPage = listURL(d.Query, page+1)
	}
	return d, err
}

func listURL(q string, page int) string {
	v := url.Values{"page": {strconv.Itoa(page)}}
	if q != "" {
		v.Set("q", q)
	}
	return "/?" + v.Encode()
}

// matchesQuery looks into what the list shows.
func matchesQuery(n *Node, q string) bool {
	if q == "" {
		return true
	}
	all := strings.Join(append(append([]string{n.Name, n.Hostname, n.Policy}, n.HWInfo...), n.Tags...), "\n")
	q = strings.ToLower(q)
	return strings.Contains(strings.ToLower(all), q) || strings.Contains(all, strings.ReplaceAll(q, ":", "-"))
}

// nodeData is the data of one node's page.
type nodeData struct {
	frame
	*Node
	Facts    []factRow
	Tags     []TagResult
	Rules    map[string]string
	Policies []policyRow
	Metadata []factRow
	Log      []LogEntry
	Late     bool
}

type factRow struct {
	Name, Value string
	FromExt     bool
	Change      string
}

type policyRow struct {
	Name, Why string
	Chosen    bool
}

const logShown = 100

func (s *Server) nodePage(r *http.Request) (any, error) {
	id := nodeNumberOf(r.PathValue("name"))
	d := nodeData{frame: s.frame(clip(r.PathValue("name"), 60), id), Rules: map[string]string{}}
	err := s.store.view(func(t *txn) error {
		n, err := t.node(id)
		if err != nil {
			return err
		}
		d.Node = n
		v, err := s.values(t, n)
		if err != nil {
			return err
		}
		rules, _ := s.rules.current()
		d.Tags = rules.Results(v)
		for _, tag := range rules.Tags {
			d.Rules[tag.Name] = tag.Rule.String()
		}
		d.Policies = explain(rules, n, t)
		d.Facts = factRows(v.Facts, n)
		d.Metadata = factRows(n.Metadata, nil)
		d.Log, err = t.readLog(id, logShown, 0)
		return err
	})
	return d, err
}

// factRows sorts facts by name and marks them.
func factRows(facts map[string]any, n *Node) []factRow {
	changes := map[string]string{}
	if n != nil {
		for _, c := range n.Last.Changes {
			changes[c.Name] = c.Kind
		}
	}
	rows := make([]factRow, 0, len(facts))
	for name, v := range facts {
		row := factRow{Name: name, Value: showValue(v), Change: changes[name]}
		row.FromExt = n != nil && n.Last.Extension.Has(name)
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b factRow) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

// showValue shows a string as it is and everything else as JSON.
func showValue(v any) string {
	if s, ok := v.(string); ok {
		return clip(s, 8<<10)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "?"
	}
	return clip(strings.TrimSuffix(b.String(), "\n"), 8<<10)
}

// valueCell is a value as a page shows it.
type valueCell struct {
	// ID is unique on the page and the same after an update; empty when there is no such thing.
	ID string
	// Name says whose value it is.
	Name, Text string
}

// Long says that the value gets a box of its own that scrolls.
func (c valueCell) Long() bool {
	return len(c.Text) > longValue || strings.Count(c.Text, "\n") >= longLines
}

const (
	longValue = 1 << 10 // bytes
	longLines = 15
)

// newValueCell is for templates: kind tells the tables of a page apart.
func newValueCell(kind, name, text string) valueCell {
	c := valueCell{Name: name, Text: text}
	if kind != "" {
		c.ID = kind + "-" + name
	}
	return c
}

// explain says for every policy why it is or is not the node's.
func explain(rules *Rules, n *Node, t *txn) []policyRow {
	var rows []policyRow
	free := n.Policy == "" && n.Installed == ""
	for _, p := range rules.Policies {
		row := policyRow{Name: p.Name}
		missing := without(p.Tags, n.Tags)
		switch bound := t.boundCount(p.Name); {
		case p.Name == n.Policy:
			row.Why, row.Chosen = "bound", true
		case !p.Enabled:
			row.Why = "disabled"
		case len(missing) > 0:
			row.Why = "the node lacks: " + strings.Join(missing, ", ")
		case p.MaxCount >= 0 && bound >= p.MaxCount:
			row.Why = fmt.Sprintf("full: %d of %d nodes bound", bound, p.MaxCount)
		case !free:
			row.Why = "would match, but the node is bound or installed"
		default:
			row.Why = "would match"
		}
		rows = append(rows, row)
	}
	if n.Policy != "" && !slices.ContainsFunc(rows, func(r policyRow) bool { return r.Chosen }) {
		rows = append(rows, policyRow{Name: n.Policy, Why: "bound, but no longer in the rules file", Chosen: true})
	}
	return rows
}

type rulesData struct {
	frame
	*Rules
	File   string
	Counts map[string]int
	Bound  map[string]int
}

func (s *Server) rulesPage(*http.Request) (any, error) {
	rules, _ := s.rules.current()
	d := rulesData{frame: s.frame("Rules", 0), Rules: rules, File: s.opts.RulesFile, Counts: map[string]int{}, Bound: map[string]int{}}
	err := s.store.view(func(t *txn) error {
		return t.each(func(n *Node) error {
			for _, tag := range n.Tags {
				d.Counts[tag]++
			}
			d.Bound[n.Policy]++
			return nil
		})
	})
	return d, err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }
