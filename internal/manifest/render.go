package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Render returns the manifest's text: indented JSON, one line for each file of the booted system,
// so that tools for lines can compare two of them. The same manifest gives the same bytes.
func (m *Manifest) Render() ([]byte, error) {
	head := *m
	head.Files = nil
	var config bytes.Buffer
	if err := json.Compact(&config, m.Config); err != nil {
		return nil, fmt.Errorf("render manifest: configuration: %w", err)
	}
	head.Config = config.Bytes()
	compact, err := marshal(&head)
	if err != nil {
		return nil, fmt.Errorf("render manifest: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("render manifest: %w", err)
	}
	out.Truncate(out.Len() - len("null\n}")) // files come last
	out.WriteString("[")
	for i := range m.Files {
		line, err := marshal(&m.Files[i])
		if err != nil {
			return nil, fmt.Errorf("render manifest: %s: %w", m.Files[i].Path, err)
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		out.Write(line)
	}
	out.WriteString("\n  ]\n}\n")
	return out.Bytes(), nil
}
