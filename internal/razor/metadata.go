package razor

import "maps"

// maxMetadata bounds the number of metadata keys of one node.
const maxMetadata = 1000

// setMetadata stores one value; as in Razor, a text that is JSON is stored as what it spells.
func (n *Node) setMetadata(key string, v any) {
	if s, ok := v.(string); ok {
		var parsed any
		if decodeJSON([]byte(s), &parsed) == nil {
			v = parsed
		}
	}
	if n.Metadata == nil {
		n.Metadata = map[string]any{}
	}
	if _, known := n.Metadata[key]; known || len(n.Metadata) < maxMetadata {
		n.Metadata[key] = v
	}
}

// modifyMetadata applies what /svc/store_metadata was asked for; the old map stays as it is.
func (n *Node) modifyMetadata(update map[string]string, remove []string) {
	n.Metadata = maps.Clone(n.Metadata)
	for k, v := range update {
		n.setMetadata(k, v)
	}
	for _, k := range remove {
		delete(n.Metadata, k)
	}
}
