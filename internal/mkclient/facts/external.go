package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/program"
)

// maxExternal bounds one file of external facts.
const maxExternal = 1 << 20

// addExternal adds external facts as Facter 1.7 does, for a Facter without them or for no Facter: they override
// other facts, and the extension's override the image's. A bad file loses only its own facts. only, if not "", is
// the ending of the files to read.
func (c *Collector) addExternal(ctx context.Context, facts Facts, gen, only string) {
	for _, dir := range c.opt.externalDirs(gen) { // the strongest last
		maps.Copy(facts, c.externalFacts(ctx, dir, gen, only))
	}
}

// externalFacts reads one directory: not recursive, no dot files, in sorted order; the first file with a fact
// wins.
func (c *Collector) externalFacts(ctx context.Context, dir, gen, only string) Facts {
	facts := Facts{}
	for _, name := range dirNames(dir) {
		if !strings.HasSuffix(name, only) {
			continue
		}
		found, err := c.externalFile(ctx, filepath.Join(dir, name), gen)
		if err != nil {
			c.opt.Log.Changed("external "+name, clientlog.Warn, "external facts of %s: %v", name, err)
			continue
		}
		for k, v := range found {
			if k = strings.ToLower(k); k != "" {
				if _, taken := facts[k]; !taken {
					facts[k] = v
				}
			}
		}
	}
	return facts
}

// externalFile reads one file by the kind that its ending names, or runs it.
func (c *Collector) externalFile(ctx context.Context, file, gen string) (Facts, error) {
	fi, err := os.Stat(file)
	if err != nil || !fi.Mode().IsRegular() {
		return nil, err
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".txt":
		return parseFile(file, func(b []byte) (Facts, error) { return parsePairs(b), nil })
	case ".json":
		return parseFile(file, parseJSON)
	case ".yaml":
		return parseFile(file, parseYAML)
	case ".bat", ".cmd", ".com", ".exe":
		return nil, nil
	}
	if !program.IsExecutable(file) {
		return nil, nil
	}
	res, err := c.run(ctx, gen, file)
	return parsePairs(res.Stdout), err // its exit status is ignored, as in Facter
}

func parseFile(file string, parse func([]byte) (Facts, error)) (Facts, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxExternal+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxExternal {
		return nil, fmt.Errorf("more than %d bytes", maxExternal)
	}
	return parse(b)
}

// pairLine is Facter's own pattern: nothing is trimmed, both sides have at least one character.
var pairLine = regexp.MustCompile(`^(.+?)=(.+)$`)

// parsePairs reads NAME=VALUE lines and ignores all others.
func parsePairs(b []byte) Facts {
	facts := Facts{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if m := pairLine.FindStringSubmatch(line); m != nil {
			facts[strings.ToLower(m[1])] = strings.ToValidUTF8(m[2], "?")
		}
	}
	return facts
}

// decodeObject reads one JSON object and returns its length. Numbers keep their text.
func decodeObject(b []byte) (facts Facts, n int, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	err = dec.Decode(&facts)
	return facts, int(dec.InputOffset()), err
}

func parseJSON(b []byte) (Facts, error) {
	facts, _, err := decodeObject(b)
	return facts, err
}

func parseYAML(b []byte) (Facts, error) {
	var (
		doc yaml.Node
		v   any
	)
	err := yaml.Unmarshal(b, &doc)
	if err == nil {
		lastOfEach(&doc)
		err = doc.Decode(&v)
	}
	if err != nil {
		return nil, fmt.Errorf("it is not YAML: %w", err)
	}
	m, ok := jsonValue(v).(map[string]any)
	if !ok {
		return nil, errors.New("it is not a YAML mapping")
	}
	return m, nil
}

// lastOfEach keeps the last of repeated keys in a mapping, as Ruby does. The parser would refuse them.
func lastOfEach(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := len(n.Content) - 2; i >= 0; i -= 2 {
			key := n.Content[i].Tag + " " + n.Content[i].Value
			if n.Content[i].Kind == yaml.ScalarNode && seen[key] {
				n.Content = slices.Delete(n.Content, i, i+2)
			}
			seen[key] = true
		}
	}
	for _, inner := range n.Content {
		lastOfEach(inner)
	}
}

// jsonValue converts a YAML value to a JSON value.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = jsonValue(e)
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = jsonValue(e)
		}
		return m
	case []any:
		for i, e := range v {
			v[i] = jsonValue(e)
		}
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case float64:
		if v != v || v > 1e308 || v < -1e308 {
			return fmt.Sprint(v) // .nan and .inf have no JSON
		}
	}
	return v
}
