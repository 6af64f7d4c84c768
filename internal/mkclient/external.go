package mkclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxExternal bounds one file of external facts.
const maxExternal = 1 << 20

// addExternal does what Facter 1.7 does with external facts, for a Facter that has none or for
// none at all: they win over other facts, and among them the extension's over the image's. A
// file that cannot be used loses its own facts only.
func (c *Client) addExternal(ctx context.Context, facts Facts, gen string, dirs []string) {
	for _, dir := range dirs { // the strongest last
		for name, v := range c.externalFacts(ctx, dir, gen) {
			facts[name] = v
		}
	}
}

// externalFacts reads one directory: not recursive, no dot files, in sorted order, the first of
// two files that name a fact wins.
func (c *Client) externalFacts(ctx context.Context, dir, gen string) Facts {
	facts := Facts{}
	for _, name := range dirNames(dir) {
		found, err := c.externalFile(ctx, filepath.Join(dir, name), gen)
		if err != nil {
			c.log().Changed("external "+name, Warn, "external facts of %s: %v", name, err)
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
func (c *Client) externalFile(ctx context.Context, file, gen string) (Facts, error) {
	fi, err := os.Stat(file)
	if err != nil || !fi.Mode().IsRegular() {
		return nil, err
	}
	switch filepath.Ext(file) {
	case ".txt":
		b, err := readLimited(file)
		return parsePairs(b), err
	case ".json":
		b, err := readLimited(file)
		if err != nil {
			return nil, err
		}
		return parseJSONFile(b)
	case ".yaml":
		b, err := readLimited(file)
		if err != nil {
			return nil, err
		}
		return parseYAMLFile(b)
	case ".bat", ".cmd", ".com", ".exe":
		return nil, nil
	}
	if fi.Mode()&0o111 == 0 {
		return nil, nil
	}
	dir := gen
	if dir == "" {
		dir = "/"
	}
	res, err := c.runBounded(ctx, command{Path: file, Env: c.factEnv(gen), Dir: dir})
	return parsePairs(res.Stdout), err // its exit status does not count, as in Facter
}

func readLimited(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxExternal+1))
	if err == nil && len(b) > maxExternal {
		err = fmt.Errorf("more than %d bytes", maxExternal)
	}
	return b, err
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

func parseJSONFile(b []byte) (Facts, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var facts Facts
	if err := dec.Decode(&facts); err != nil {
		return nil, err
	}
	return facts, nil
}

func parseYAMLFile(b []byte) (Facts, error) {
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	m, ok := jsonValue(v).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no mapping")
	}
	return m, nil
}
