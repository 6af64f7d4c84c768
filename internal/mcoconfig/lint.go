package mcoconfig

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/overlay"
)

// maxPool bounds how many brokers of a pool are looked at.
const maxPool = 64

// Finding is something in a server.cfg that deserves a look. It shows no value that may be secret.
type Finding struct {
	// Key is the key that the finding is about.
	Key string
	// Text is a sentence, without the key.
	Text string
	// Sample marks the use of a published secret.
	Sample bool
}

// String returns "key: text".
func (f Finding) String() string { return f.Key + ": " + f.Text }

// Lint looks for secrets that everybody knows, keys that the connector needs or does not read, and a
// libdir that the image does not have. image is a tree with MCollective in it, such as [Stage] returns;
// nil leaves that check out. Findings come in a fixed order.
func (c *Config) Lint(image *overlay.Tree) []Finding {
	values := c.Values()
	out := lintSecrets(values)
	out = append(out, c.lintConnector(values)...)
	return append(out, lintLibdir(values["libdir"], image)...)
}

func lintSecrets(values map[string]string) []Finding {
	var out []Finding
	psk, set := values["plugin.psk"]
	switch {
	case psk == samplePSK:
		out = append(out, Finding{Key: "plugin.psk", Text: "is the key that the documentation publishes: anyone can command these machines", Sample: true})
	case !set && strings.EqualFold(values["securityprovider"], "psk"):
		out = append(out, Finding{Key: "plugin.psk", Text: "is missing: mcollectived does not start with securityprovider psk"})
	}
	var passwords []string
	for key, v := range values {
		if strings.HasSuffix(key, ".password") && v == samplePassword {
			passwords = append(passwords, key)
		}
	}
	slices.Sort(passwords)
	for _, key := range passwords {
		out = append(out, Finding{Key: key, Text: "is the password that the documentation publishes", Sample: true})
	}
	return out
}

// lintConnector checks that the connector finds what it reads.
func (c *Config) lintConnector(values map[string]string) []Finding {
	name := c.connector()
	if name == "" {
		return []Finding{{Key: "connector", Text: "is missing: MCollective takes activemq then"}}
	}
	if !slices.Contains(connectors(), name) {
		return []Finding{{Key: "connector", Text: "is none of " + strings.Join(connectors(), ", ") + ": its keys are not checked"}}
	}
	out := lintPools(name, values)
	var unread []string
	for key := range values {
		for _, other := range connectors() {
			if other != name && strings.HasPrefix(key, "plugin."+other+".") {
				unread = append(unread, key)
			}
		}
	}
	slices.Sort(unread)
	for _, key := range unread {
		out = append(out, Finding{Key: key, Text: "is not read: the connector is " + name})
	}
	return out
}

// lintPools checks the brokers. The stomp connector takes a single one or a pool, the others a pool.
// The port has a default.
func lintPools(name string, values map[string]string) []Finding {
	prefix := "plugin." + name + "."
	size, pooled := values[prefix+"pool.size"]
	if name == "stomp" && !pooled {
		return missing(values, prefix, "host", "user", "password")
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 || n > maxPool {
		text := fmt.Sprintf("is no number from 1 to %d: the connector %s takes its brokers from a pool", maxPool, name)
		return []Finding{{Key: prefix + "pool.size", Text: text}}
	}
	var out []Finding
	for i := 1; i <= n; i++ {
		out = append(out, missing(values, fmt.Sprintf("%spool.%d.", prefix, i), "host", "user", "password")...)
	}
	return out
}

func missing(values map[string]string, prefix string, keys ...string) []Finding {
	var out []Finding
	for _, key := range keys {
		if values[prefix+key] == "" {
			out = append(out, Finding{Key: prefix + key, Text: "is missing: the connector needs it"})
		}
	}
	return out
}

// lintLibdir looks up each directory of libdir, which may be several with ":" between them.
func lintLibdir(libdir string, image *overlay.Tree) []Finding {
	if libdir == "" {
		return []Finding{{Key: "libdir", Text: "is missing: mcollectived finds no plugins"}}
	}
	var out []Finding
	for _, dir := range strings.Split(libdir, ":") {
		if !strings.HasPrefix(dir, "/") {
			out = append(out, Finding{Key: "libdir", Text: fmt.Sprintf("has %q, which is not absolute", dir)})
			continue
		}
		if image == nil {
			continue
		}
		if e, err := image.Lookup(dir); err != nil || !e.IsDir() {
			out = append(out, Finding{Key: "libdir", Text: fmt.Sprintf("has %s, which is no directory of the image", dir)})
		}
	}
	return out
}
