package mcoconfig

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Rendered is the text of a server.cfg, secrets included. Printing it in any way shows REDACTED; write the bytes
// themselves to get the file.
type Rendered []byte

const redacted = "REDACTED"

// String returns REDACTED.
func (Rendered) String() string { return redacted }

// GoString returns REDACTED.
func (Rendered) GoString() string { return redacted }

// Format prints REDACTED for every verb.
func (Rendered) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte(redacted)) // a formatter cannot report errors
}

// MarshalText returns REDACTED, for JSON, YAML and logs.
func (Rendered) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Render returns the text of server.cfg. The document's keys have the document's order, the connector's keys have
// the place of stomp's, and all other keys follow in a last block, sorted.
func (c *Config) Render() Rendered {
	left := c.Values()
	var blocks []string
	for i, block := range document() {
		if i == connectorBlock {
			block = c.connectorSettings(left)
		}
		if text := takeBlock(block, left); text != "" {
			blocks = append(blocks, text)
		}
	}
	var rest strings.Builder
	for _, key := range slices.Sorted(maps.Keys(left)) {
		fmt.Fprintf(&rest, "%s = %s\n", key, left[key])
	}
	if rest.Len() > 0 {
		blocks = append(blocks, "# Further settings\n"+rest.String())
	}
	return Rendered(strings.Join(blocks, "\n"))
}

// takeBlock renders the settings of a block that are in left, and removes them from left. A comment is rendered
// only above a setting.
func takeBlock(block []setting, left map[string]string) string {
	var comment, body strings.Builder
	for _, s := range block {
		if s.key == "" {
			comment.WriteString(s.value + "\n")
			continue
		}
		if v, ok := left[s.key]; ok {
			fmt.Fprintf(&body, "%s = %s\n", s.key, v)
			delete(left, s.key)
		}
	}
	if body.Len() == 0 {
		return ""
	}
	return comment.String() + body.String()
}

// connectorSettings lists the keys of the current connector in their usual order.
func (c *Config) connectorSettings(values map[string]string) []setting {
	prefix := "plugin." + c.connector() + "."
	if !slices.Contains(connectors(), c.connector()) {
		return nil
	}
	var out []setting
	for key := range values {
		if strings.HasPrefix(key, prefix) {
			out = append(out, setting{key: key})
		}
	}
	slices.SortFunc(out, func(a, b setting) int {
		x, y := rankOf(strings.TrimPrefix(a.key, prefix)), rankOf(strings.TrimPrefix(b.key, prefix))
		return cmp.Or(cmp.Compare(x.pool, y.pool), cmp.Compare(x.part, y.part), strings.Compare(a.key, b.key))
	})
	return out
}

// rank orders a connector's keys: pool.size, the pools by number, then the rest; host, port, user and password of
// each pool, or of the connector itself, in this order.
type rank struct{ pool, part int }

func rankOf(name string) rank {
	const own, last = 1 << 29, 1 << 30 // after all pools
	if name == "pool.size" {
		return rank{}
	}
	r := rank{pool: own, part: last}
	if rest, ok := strings.CutPrefix(name, "pool."); ok {
		number, part, _ := strings.Cut(rest, ".") // 1.host in 2.x, host1 in 1.x
		if letters := strings.TrimRight(rest, "0123456789"); part == "" {
			number, part = rest[len(letters):], letters
		}
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n < own {
			r.pool, name = n, part
		}
	}
	if i := slices.Index([]string{"host", "port", "user", "password"}, name); i >= 0 {
		r.part = i
	} else if r.pool == own {
		r.pool = last // after host, port, user and password
	}
	return r
}
