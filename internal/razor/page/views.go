package page

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/razor"
	"mkbuild/internal/razor/rules"
)

//go:embed assets
var assets embed.FS

// views renders the pages.
type views struct {
	server    *razor.Server
	templates *template.Template
	log       *slog.Logger
}

func newViews(s *razor.Server, log *slog.Logger) *views {
	t := template.New("").Funcs(template.FuncMap{"stamp": stamp, "iso": iso})
	return &views{s, template.Must(t.ParseFS(assets, "assets/*.html")), log}
}

// pageHeaders isolate the page: even an unescaped fact could load and run nothing.
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

// asset serves a file of the pages, but not a template.
func asset(w http.ResponseWriter, r *http.Request) {
	media, ok := mediaTypes[r.PathValue("file")]
	b, err := assets.ReadFile("assets/" + r.PathValue("file"))
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	setHeaders(w, media)
	_, _ = w.Write(b) // a client that went away is not an error
}

// render makes the whole page before it sends any of it. err is the error of getting the data.
func (v *views) render(w http.ResponseWriter, name string, data any, err error) {
	status := http.StatusOK
	if errors.Is(err, razor.ErrNoNode) {
		name, status, err = "missing.html", http.StatusNotFound, nil
		data = v.frame("No such node", 0)
	}
	var b bytes.Buffer
	if err == nil {
		err = v.templates.ExecuteTemplate(&b, name, data)
	}
	setHeaders(w, "text/html; charset=utf-8")
	if err != nil {
		v.log.Error("render page", "page", name, "error", err)
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString("The server cannot show this page: see its log.")
	}
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// frame is the common part of every page.
type frame struct {
	razor.Status
	Title string
	// Watch is the page's node; 0 means all.
	Watch uint64
}

func (v *views) frame(title string, watch uint64) frame {
	return frame{Status: v.server.Status(), Title: title, Watch: watch}
}

const (
	// listed is the number of nodes in the list: a search finds the others.
	listed = 500
	// lateAfter is the number of intervals without a check-in after which a node is late.
	lateAfter = 4
)

// listPage shows the first nodes, of all or of a search.
type listPage struct {
	frame
	Query         string
	Sort          string
	Rows          []listRow
	Total, Errors int
}

type listRow struct {
	*razor.Node
	Late             bool
	Product, Address string
}

// column is the head of one column of the list.
type column struct{ Title, Link, Sorted string }

// Columns are the heads of the list, with links that sort it.
func (l *listPage) Columns() []column {
	columns := []column{{Title: "Node", Link: "node"}, {Title: "Product", Link: "product"}, {Title: "Address", Link: "address"}, {Title: "Last check-in", Link: "checkin"}, {Title: "Answer"}, {Title: "Tags"}, {Title: "Policy", Link: "policy"}, {Title: "Facts"}}
	for i := range columns {
		c := &columns[i]
		if c.Link == "" {
			continue
		}
		if c.Link == cmp.Or(l.Sort, "node") {
			c.Sorted = "ascending"
			if c.Link == "checkin" {
				c.Sorted = "descending"
			}
		}
		c.Link = "/?" + url.Values{"q": {l.Query}, "sort": {c.Link}}.Encode()
	}
	return columns
}

// sortKeys are the columns that the list can be sorted by; all others are in order of number.
var sortKeys = map[string]func(a, b listRow) int{
	"product": func(a, b listRow) int { return natural(a.Product, b.Product) },
	"address": func(a, b listRow) int { return natural(a.Address, b.Address) },
	"checkin": func(a, b listRow) int { return b.Last.At.Compare(a.Last.At) }, // the newest first
	"policy":  func(a, b listRow) int { return natural(a.Policy, b.Policy) },
}

func (v *views) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	l := listPage{frame: v.frame("Nodes", 0), Query: q[:min(len(q), 200)], Sort: r.URL.Query().Get("sort")}
	err := v.server.Nodes(func(n *razor.Node, facts []byte) {
		if n.Last.RuleError != "" {
			l.Errors++
		}
		known := textsOf(facts)
		row := listRow{n, n.Last.Count > 0 && time.Since(n.Last.At) > lateAfter*l.CheckinInterval, known["productname"], known["ipaddress"]}
		if matches(n, known, l.Query) {
			l.Rows = append(l.Rows, row)
		}
	})
	if by := sortKeys[l.Sort]; by != nil {
		slices.SortStableFunc(l.Rows, by)
	}
	l.Total = len(l.Rows)
	l.Rows = l.Rows[:min(l.Total, listed)]
	v.render(w, "nodes.html", &l, err)
}

// textsOf returns facts as texts for the pages.
func textsOf(facts []byte) map[string]string {
	var values rules.Facts
	_ = json.Unmarshal(facts, &values) // the server wrote it; without facts there are none
	texts := make(map[string]string, len(values))
	for name, raw := range values {
		texts[name] = textOf(raw)
	}
	return texts
}

// matches searches the columns of the list, and the facts by value or by NAME=VALUE.
func matches(n *razor.Node, facts map[string]string, q string) bool {
	shown := strings.Join(slices.Concat([]string{n.Name, n.Hostname, n.Policy}, n.HWInfo, n.Tags), "\n")
	q = strings.ToLower(q)
	if strings.Contains(strings.ToLower(shown), q) || strings.Contains(shown, strings.ReplaceAll(q, ":", "-")) {
		return true
	}
	for name, value := range facts {
		if strings.Contains(strings.ToLower(name+"="+value), q) {
			return true
		}
	}
	return false
}

// natural compares texts with the numbers in them as numbers: disk2 comes before disk10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if order := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n), cmp.Compare(x, y)); order != 0 {
			return order
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits counts those at the start of a text.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// nodePage shows everything about one node.
type nodePage struct {
	frame
	*razor.Report
	Rows     []row
	Metadata []row
}

// row is one fact, or one value of the metadata.
type row struct {
	Kind          string // fact or metadata
	Name, Value   string
	FromExtension bool
	Change        string
}

func (v *views) node(w http.ResponseWriter, r *http.Request) {
	report, err := v.server.Report(r.PathValue("name"))
	if err != nil {
		v.render(w, "node.html", nil, err)
		return
	}
	n := report.Node
	d := nodePage{frame: v.frame(n.Name, n.ID), Report: report, Rows: rowsOf("fact", report.Facts)}
	for i := range d.Rows {
		f := &d.Rows[i]
		_, f.FromExtension = slices.BinarySearch(n.Last.FromExtension, f.Name)
		for _, c := range n.Last.Changed() {
			if c.Name == f.Name {
				f.Change = c.Kind
			}
		}
	}
	metadata := rules.Facts{}
	for key, value := range n.Metadata {
		metadata[key], _ = json.Marshal(value) // it comes from JSON
	}
	d.Metadata = rowsOf("metadata", metadata)
	v.render(w, "node.html", d, nil)
}

// rowsOf sorts values by name.
func rowsOf(kind string, values rules.Facts) []row {
	rows := make([]row, 0, len(values))
	for name, raw := range values {
		text := textOf(raw)
		if len(text) > maxValue {
			text = strings.ToValidUTF8(text[:maxValue], "") + "…"
		}
		rows = append(rows, row{Kind: kind, Name: name, Value: text})
	}
	slices.SortFunc(rows, func(a, b row) int { return natural(a.Name, b.Name) })
	return rows
}

// textOf returns a string unchanged, and everything else as JSON.
func textOf(raw json.RawMessage) string {
	text := string(raw)
	if raw[0] == '"' {
		_ = json.Unmarshal(raw, &text) // it is part of valid JSON
	}
	return text
}

const (
	maxValue  = 8 << 10 // maximum bytes shown of a value
	longValue = 1 << 10 // length from which a value scrolls in a focusable box
	longLines = 15
)

// Long is true for a value that scrolls.
func (r row) Long() bool {
	return len(r.Value) > longValue || strings.Count(r.Value, "\n") >= longLines
}

// rulesPage shows tags and policies, and how many nodes each has.
type rulesPage struct {
	frame
	*rules.Rules
	Tagged, Bound map[string]int
}

func (v *views) rules(w http.ResponseWriter, _ *http.Request) {
	d := rulesPage{frame: v.frame("Rules", 0), Rules: v.server.Rules(), Tagged: map[string]int{}, Bound: map[string]int{}}
	err := v.server.Nodes(func(n *razor.Node, _ []byte) {
		for _, tag := range n.Tags {
			d.Tagged[tag]++
		}
		d.Bound[n.Policy]++
	})
	v.render(w, "rules.html", d, err)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }
