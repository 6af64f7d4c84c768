package razor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/razor/rules"
)

// maxInterval bounds checkin_interval, in seconds.
const maxInterval = 86400

// hwKeys are the identity keys that Razor keeps and that match_nodes_on may name.
var hwKeys = []string{"mac", "serial", "asset", "uuid"}

// Config is the part of Razor's config.yaml that this server uses. It ignores Razor's other keys (database,
// authentication, tasks, …).
type Config struct {
	Microkernel Microkernel
	Facts       FactLists
	// MatchNodesOn lists the identity keys used for finding a node: mac, serial, asset, uuid.
	MatchNodesOn []string
	// ProtectNewNodes marks every new node as installed, so that no policy binds to it.
	ProtectNewNodes bool
	// CheckinInterval is in seconds; iPXE waits that long before it reboots after an error.
	CheckinInterval int
}

// Microkernel configures the boot of nodes.
type Microkernel struct {
	// ExtensionZip is the file handed to every node, or "".
	ExtensionZip string `yaml:"extension-zip"`
	// KernelArgs is appended to the kernel command line verbatim.
	KernelArgs string `yaml:"kernel_args"`
	// DebugLevel is "quiet" or "debug"; Razor ignores every other value.
	DebugLevel string `yaml:"debug_level"`
}

// FactLists name facts with a special treatment.
type FactLists struct {
	// Blacklist names the facts that are dropped at every check-in.
	Blacklist NameSet
	// MatchOn names the facts that become part of a node's identity.
	MatchOn NameSet `yaml:"match_on"`
}

// NameSet is a list of fact names in config.yaml: literal, or a /regexp/ that must match the whole name.
type NameSet struct {
	literal  []string
	patterns []*rules.Regexp
}

// newNameSet compiles a list; the error names the entry.
func newNameSet(entries []string) (NameSet, error) {
	var set NameSet
	for _, e := range entries {
		if len(e) < 2 || !strings.HasPrefix(e, "/") || !strings.HasSuffix(e, "/") {
			set.literal = append(set.literal, e)
			continue
		}
		re, err := rules.CompileRegexp(`\A(?:`+e[1:len(e)-1]+`)\Z`, false)
		if err != nil {
			return set, fmt.Errorf("entry %q is not a valid regular expression: %w", e, err)
		}
		set.patterns = append(set.patterns, re)
	}
	return set, nil
}

// Has reports whether the set contains name.
func (s NameSet) Has(name string) bool {
	return slices.Contains(s.literal, name) || slices.ContainsFunc(s.patterns, func(re *rules.Regexp) bool {
		found, err := re.Match(name)
		return found && err == nil
	})
}

// defaultBlacklist is the list of Razor's config.yaml as shipped. The names are exact: the
// structured facts of Facter 2 and later (os, memory, system_uptime, …) are not covered.
var defaultBlacklist = []string{
	"domain", "filesystems", "fqdn", "hostname", "id", "/kernel.*/", "memoryfree", "memorysize",
	"memorytotal", "/operatingsystem.*/", "osfamily", "path", "ps", "rubysitedir", "rubyversion",
	"selinux", "sshdsakey", "/sshfp_[dr]sa/", "sshrsakey", "/swap.*/", "timezone", "/uptime.*/",
}

// DefaultConfig is Razor's default configuration: no extension, nodes matched by MACs.
func DefaultConfig() Config {
	set, err := newNameSet(defaultBlacklist)
	if err != nil {
		panic(err) // the list is a constant: a test compiles it
	}
	return Config{Facts: FactLists{Blacklist: set}, MatchNodesOn: []string{"mac"}, CheckinInterval: 15}
}

// DefaultEnvironment is the section that Razor reads unless told otherwise. A configuration may lack it.
const DefaultEnvironment = "production"

// LoadConfig reads config.yaml: its "all" section, over which the section of the environment
// ("production", …) is laid key by key. As in Razor the merge is shallow: a `microkernel:` map of
// the environment replaces the whole map of "all".
func LoadConfig(file, environment string) (Config, error) {
	b, err := hostfile.Read(file, hostfile.MaxText)
	if err != nil {
		return Config{}, fmt.Errorf("read Razor configuration: %w", err)
	}
	c, err := layered(b, environment)
	if err != nil {
		return Config{}, fail.Wrap(fail.Usage, rules.Located(file, err), cmp.Or(fail.HintOf(err), "fix that line of Razor's config.yaml"))
	}
	return c, nil
}

// texts is a list of strings; a lone string is a list of one, as Ruby's Array() has it.
type texts []string

// UnmarshalYAML implements [yaml.Unmarshaler].
func (l *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = texts{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *NameSet) UnmarshalYAML(n *yaml.Node) error {
	var list texts
	if err := n.Decode(&list); err != nil {
		return err
	}
	set, err := newNameSet(list)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*s = set
	return nil
}

// layered merges the sections over the defaults. Errors name a line.
func layered(b []byte, environment string) (Config, error) {
	c := DefaultConfig()
	var sections map[string]yaml.Node
	if err := yaml.Unmarshal(b, &sections); err != nil {
		return c, err
	}
	if _, ok := sections[environment]; !ok && environment != DefaultEnvironment {
		return c, fail.New(fail.Usage, fmt.Sprintf("no section is named %q", environment), "name one of "+strings.Join(slices.Sorted(maps.Keys(sections)), ", "))
	}
	merged := map[string]yaml.Node{}
	for _, name := range []string{"all", environment} {
		n := sections[name]
		if n.ShortTag() == "!!null" {
			continue
		}
		if err := n.Decode(&merged); err != nil {
			return c, err
		}
	}
	if _, ok := merged["facts"]; ok {
		c.Facts = FactLists{} // a map without a blacklist has none
	}
	for _, key := range []struct {
		name  string
		value any
	}{
		{"microkernel", &c.Microkernel},
		{"facts", &c.Facts},
		{"match_nodes_on", (*texts)(&c.MatchNodesOn)},
		{"protect_new_nodes", &c.ProtectNewNodes},
		{"checkin_interval", &c.CheckinInterval},
	} {
		n, ok := merged[key.name]
		if !ok {
			continue
		}
		if err := n.Decode(key.value); err != nil {
			return c, err
		}
		if wrong := c.check(); wrong != "" {
			return c, fmt.Errorf("line %d: %s", n.Line, wrong)
		}
	}
	return c, nil
}

// check returns the first invalid value in words, or "".
func (c *Config) check() string {
	switch i := slices.IndexFunc(c.MatchNodesOn, func(k string) bool { return !slices.Contains(hwKeys, k) }); {
	case strings.ContainsAny(c.Microkernel.KernelArgs, "\n\r\x00"):
		return "microkernel.kernel_args must be one line"
	case len(c.MatchNodesOn) == 0:
		return "match_nodes_on must be a nonempty list"
	case i >= 0:
		return fmt.Sprintf("match_nodes_on must only contain %s, not %q", strings.Join(hwKeys, ", "), c.MatchNodesOn[i])
	case c.CheckinInterval < 1 || c.CheckinInterval > maxInterval:
		return fmt.Sprintf("checkin_interval must be 1..%d seconds, not %d", maxInterval, c.CheckinInterval)
	}
	return ""
}
