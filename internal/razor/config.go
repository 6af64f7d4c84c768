package razor

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrConfig says that Razor's configuration file has something this server cannot use.
var ErrConfig = errors.New("invalid Razor configuration")

// maxConfig bounds config.yaml and the rules file, in bytes.
const maxConfig = 4 << 20

// hwKeys are the identity keys that Razor keeps and that match_nodes_on may name.
var hwKeys = []string{"mac", "serial", "asset", "uuid"}

// Config is the part of Razor's config.yaml that this server acts on. The keys of Razor that
// it has no use for (database, authentication, tasks, …) are tolerated.
type Config struct {
	// ExtensionZip is microkernel.extension-zip: the file handed to every node, or "".
	ExtensionZip string
	// KernelArgs is microkernel.kernel_args, appended to the kernel command line verbatim.
	KernelArgs string
	// DebugLevel is microkernel.debug_level when it is "quiet" or "debug", else "".
	DebugLevel string
	// Blacklist names the facts that are dropped at every check-in.
	Blacklist NameSet
	// MatchOn names the facts that become part of a node's identity.
	MatchOn NameSet
	// MatchNodesOn lists the identity keys used for finding a node: mac, serial, asset, uuid.
	MatchNodesOn []string
	// ProtectNewNodes marks every new node as installed, so that no policy binds to it.
	ProtectNewNodes bool
	// CheckinInterval is in seconds; iPXE waits that long before it reboots after an error.
	CheckinInterval int
}

// NameSet is a list of fact names as config.yaml has them: literal, or /regexp/ that has to
// match the whole name.
type NameSet struct {
	entries []string
	re      *regexp.Regexp
}

// Has reports whether the set contains name.
func (s NameSet) Has(name string) bool { return s.re != nil && s.re.MatchString(name) }

// Entries returns the list as it was written.
func (s NameSet) Entries() []string { return slices.Clone(s.entries) }

// newNameSet compiles a list; the error names the entry.
func newNameSet(entries []string) (NameSet, error) {
	set := NameSet{entries: entries}
	if len(entries) == 0 {
		return set, nil
	}
	alt := make([]string, len(entries))
	for i, e := range entries {
		src := regexp.QuoteMeta(e)
		if len(e) >= 2 && strings.HasPrefix(e, "/") && strings.HasSuffix(e, "/") {
			if _, err := compileRegexp(e[1:len(e)-1], false); err != nil {
				return set, fmt.Errorf("entry %q is not a valid regular expression: %w", e, err)
			}
			src, _ = translateRegexp(e[1 : len(e)-1]) // it has just been compiled
		}
		alt[i] = "(?:" + src + ")"
	}
	re, err := regexp.Compile(`(?m)\A(?:` + strings.Join(alt, "|") + `)\n?\z`)
	if err != nil {
		return set, fmt.Errorf("list of names: %w", err)
	}
	set.re = re
	return set, nil
}

// defaultBlacklist is the list of Razor's config.yaml as shipped. The names are exact: the
// structured facts of Facter 2 and later (os, memory, system_uptime, …) are not covered.
var defaultBlacklist = []string{
	"domain", "filesystems", "fqdn", "hostname", "id", "/kernel.*/", "memoryfree", "memorysize",
	"memorytotal", "/operatingsystem.*/", "osfamily", "path", "ps", "rubysitedir", "rubyversion",
	"selinux", "sshdsakey", "/sshfp_[dr]sa/", "sshrsakey", "/swap.*/", "timezone", "/uptime.*/",
}

// DefaultConfig is what Razor's shipped defaults give: no extension, nodes matched on MACs.
func DefaultConfig() Config {
	set, err := newNameSet(defaultBlacklist)
	if err != nil {
		panic(err) // the list is a constant: a test compiles it
	}
	return Config{Blacklist: set, MatchNodesOn: []string{"mac"}, CheckinInterval: 15}
}

// LoadConfig reads config.yaml: its "all" section, over which the section of the environment
// ("production", …) is laid key by key. As in Razor the merge is shallow: a `microkernel:` map
// of the environment replaces the whole map of "all".
func LoadConfig(file, environment string) (Config, error) {
	b, err := readLimited(file, maxConfig)
	if err != nil {
		return Config{}, fmt.Errorf("read Razor configuration: %w", err)
	}
	return ParseConfig(b, file, environment)
}

// readLimited reads a small regular file.
func readLimited(file string, limit int64) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes, the limit is %d", file, st.Size(), limit)
	}
	return os.ReadFile(file)
}

// ParseConfig is [LoadConfig] on bytes; file is for error messages.
func ParseConfig(b []byte, file, environment string) (Config, error) {
	d := yamlDoc{file: file, kind: ErrConfig}
	root, err := d.parse(b)
	if err != nil {
		return Config{}, err
	}
	merged, err := d.sections(root, "all", environment)
	if err != nil {
		return Config{}, err
	}
	c := DefaultConfig()
	for _, key := range []struct {
		name string
		set  func(*yaml.Node) error
	}{
		{"microkernel", func(n *yaml.Node) error { return d.microkernel(n, &c) }},
		{"facts", func(n *yaml.Node) error { return d.facts(n, &c) }},
		{"match_nodes_on", func(n *yaml.Node) error { return d.matchNodesOn(n, &c) }},
		{"protect_new_nodes", func(n *yaml.Node) (err error) { c.ProtectNewNodes, err = d.boolean(n, "protect_new_nodes"); return }},
		{"checkin_interval", func(n *yaml.Node) error { return d.interval(n, &c) }},
	} {
		n, ok := merged[key.name]
		if !ok {
			continue
		}
		if err := key.set(n); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// sections merges the named top-level maps, later over earlier, one level deep.
func (d yamlDoc) sections(root *yaml.Node, names ...string) (map[string]*yaml.Node, error) {
	top, err := d.mapping(root, "the file")
	if err != nil {
		return nil, err
	}
	merged := map[string]*yaml.Node{}
	for _, name := range names {
		n, ok := top[name]
		if !ok {
			continue
		}
		section, err := d.mapping(n, name)
		if err != nil {
			return nil, err
		}
		for k, v := range section {
			merged[k] = v
		}
	}
	return merged, nil
}

func (d yamlDoc) microkernel(n *yaml.Node, c *Config) error {
	m, err := d.mapping(n, "microkernel")
	if err != nil {
		return err
	}
	for key, dst := range map[string]*string{
		"extension-zip": &c.ExtensionZip, "kernel_args": &c.KernelArgs, "debug_level": &c.DebugLevel,
	} {
		if v, ok := m[key]; ok {
			if *dst, err = d.text(v, "microkernel."+key); err != nil {
				return err
			}
		}
	}
	if strings.ContainsAny(c.KernelArgs, "\n\r\x00") {
		return d.errorf(m["kernel_args"], "microkernel.kernel_args must be one line")
	}
	if c.DebugLevel != "quiet" && c.DebugLevel != "debug" {
		c.DebugLevel = "" // Razor ignores every other value
	}
	return nil
}

// facts replaces both lists: because the merge is shallow, a `facts:` map without a blacklist
// has none.
func (d yamlDoc) facts(n *yaml.Node, c *Config) error {
	m, err := d.mapping(n, "facts")
	if err != nil {
		return err
	}
	c.Blacklist, c.MatchOn = NameSet{}, NameSet{}
	for key, dst := range map[string]*NameSet{"blacklist": &c.Blacklist, "match_on": &c.MatchOn} {
		v, ok := m[key]
		if !ok {
			continue
		}
		list, err := d.texts(v, "facts."+key)
		if err != nil {
			return err
		}
		if *dst, err = newNameSet(list); err != nil {
			return d.errorf(v, "facts.%s: %v", key, err)
		}
	}
	return nil
}

func (d yamlDoc) matchNodesOn(n *yaml.Node, c *Config) error {
	list, err := d.texts(n, "match_nodes_on")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return d.errorf(n, "match_nodes_on must be a nonempty list")
	}
	for _, k := range list {
		if !slices.Contains(hwKeys, k) {
			return d.errorf(n, "match_nodes_on must only contain %s, not %q", strings.Join(hwKeys, ", "), k)
		}
	}
	c.MatchNodesOn = list
	return nil
}

func (d yamlDoc) interval(n *yaml.Node, c *Config) error {
	i, err := d.integer(n, "checkin_interval")
	if err != nil {
		return err
	}
	if i < 1 || i > 86400 {
		return d.errorf(n, "checkin_interval must be 1..86400 seconds, not %d", i)
	}
	c.CheckinInterval = i
	return nil
}
