package page

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"mkbuild/internal/razor"
	"mkbuild/internal/razor/rules"
)

// frame is what every page has.
type frame struct {
	razor.Status
	Title string
	// Watch is the node whose changes concern this page; 0 means all.
	Watch uint64
}

func (p *Page) frame(title string, watch uint64) frame {
	return frame{Status: p.server.Status(), Title: title, Watch: watch}
}

type missingPage struct{ frame }

const (
	// listed is how many nodes the list shows: a search finds the others.
	listed = 500
	// lateAfter is after how many intervals without a check-in a node is late.
	lateAfter = 4
)

// listPage shows the first nodes, of all or of those that a search finds.
type listPage struct {
	frame
	Query         string
	Rows          []listRow
	Total, Errors int
}

type listRow struct {
	*razor.Node
	Late bool
}

func (p *Page) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	l := listPage{frame: p.frame("Nodes", 0), Query: q[:min(len(q), 200)]}
	err := p.server.Nodes(func(n *razor.Node) {
		if n.Last.RuleError != "" {
			l.Errors++
		}
		if !matches(n, l.Query) {
			return
		}
		l.Total++
		if len(l.Rows) < listed {
			l.Rows = append(l.Rows, listRow{n, n.Last.Count > 0 && time.Since(n.Last.At) > lateAfter*l.CheckinInterval})
		}
	})
	p.render(w, "nodes.html", l, err)
}

// matches looks into what the list shows.
func matches(n *razor.Node, q string) bool {
	shown := strings.Join(slices.Concat([]string{n.Name, n.Hostname, n.Policy}, n.HWInfo, n.Tags), "\n")
	q = strings.ToLower(q)
	return strings.Contains(strings.ToLower(shown), q) || strings.Contains(shown, strings.ReplaceAll(q, ":", "-"))
}

// nodePage shows everything about one node.
type nodePage struct {
	frame
	*razor.Report
	Rows     []row
	Metadata []row
}

// row is one fact, or one value of the metadata.
type row struct {
	Name, Value   string
	FromExtension bool
	Change        string
}

func (p *Page) node(w http.ResponseWriter, r *http.Request) {
	report, err := p.server.Report(r.PathValue("name"))
	if err != nil {
		p.render(w, "node.html", nil, err)
		return
	}
	n := report.Node
	v := nodePage{frame: p.frame(n.Name, n.ID), Report: report, Rows: rowsOf(report.Facts)}
	for i := range v.Rows {
		f := &v.Rows[i]
		_, f.FromExtension = slices.BinarySearch(n.Last.FromExtension, f.Name)
		if j := slices.IndexFunc(n.Last.Changes, func(c razor.Change) bool { return c.Name == f.Name }); j >= 0 {
			f.Change = n.Last.Changes[j].Kind
		}
	}
	metadata := rules.Facts{}
	for key, value := range n.Metadata {
		metadata[key], _ = json.Marshal(value) // it comes from JSON
	}
	v.Metadata = rowsOf(metadata)
	p.render(w, "node.html", v, nil)
}

// rowsOf sorts values by name. Strings are shown as they are, everything else as JSON.
func rowsOf(values rules.Facts) []row {
	rows := make([]row, 0, len(values))
	for name, raw := range values {
		text := string(raw)
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &text) // it is part of valid JSON
		}
		if len(text) > maxValue {
			text = strings.ToValidUTF8(text[:maxValue], "") + "…"
		}
		rows = append(rows, row{Name: name, Value: text})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

const (
	maxValue  = 8 << 10 // bytes that a page shows of a value
	longValue = 1 << 10 // bytes from which on a value scrolls in a box of its own
	longLines = 15
)

// cell is a value as a page shows it.
type cell struct {
	// ID is unique on the page and the same after an update; empty if there is no such thing.
	ID string
	// Name tells whose value it is.
	Name, Text string
}

// Long tells that the value gets a box of its own that scrolls.
func (c cell) Long() bool {
	return len(c.Text) > longValue || strings.Count(c.Text, "\n") >= longLines
}

// newCell is for templates: kind tells the tables of a page apart.
func newCell(kind, name, text string) cell {
	c := cell{Name: name, Text: text}
	if kind != "" {
		c.ID = kind + "-" + name
	}
	return c
}

// rulesPage shows tags and policies, and how many nodes each has.
type rulesPage struct {
	frame
	*rules.Rules
	Tagged, Bound map[string]int
}

func (p *Page) rules(w http.ResponseWriter, _ *http.Request) {
	v := rulesPage{frame: p.frame("Rules", 0), Rules: p.server.Rules(), Tagged: map[string]int{}, Bound: map[string]int{}}
	err := p.server.Nodes(func(n *razor.Node) {
		for _, tag := range n.Tags {
			v.Tagged[tag]++
		}
		v.Bound[n.Policy]++
	})
	p.render(w, "rules.html", v, err)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }
