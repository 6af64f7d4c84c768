package mcoconfig

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plugins checks the files that the settings name, and their requirements.
func (l *linter) plugins() {
	for _, p := range []struct{ key, file, on string }{
		{"connector", "connector/%s.rb", ""},
		{"securityprovider", "security/%s.rb", ""},
		{"factsource", "facts/%s_facts.rb", ""},
		{"registration", "registration/%s.rb", ""},
		{"logger_type", "logger/%s_logger.rb", ""},
		{"rpcauditprovider", "audit/%s.rb", "rpcaudit"},
		{"rpcauthprovider", "util/%s.rb", "rpcauthorization"},
	} {
		name := l.setting(p.key)
		if p.on != "" && !l.on(p.on) {
			continue
		}
		if name == "" {
			if p.on != "" {
				l.add(p.key, "is missing: %s needs it with %s; set it, or set %s to 0", l.version, p.on, p.on)
			}
			continue
		}
		if p.key == "rpcauthprovider" {
			name = strings.ReplaceAll(name, "_", "") // action_policy is ActionPolicy, in actionpolicy.rb
		}
		l.plugin(p.key, name, "mcollective/"+p.file)
	}
	l.needs("mcollectived", l.home+"/lib/mcollective.rb")
	if daemon, err := l.image.Resolve(daemonLink); err == nil {
		l.needs("mcollectived", daemon)
	}
	_, defaulted := l.config.defaults["topicprefix"]
	if rule := l.config.takes("topicprefix"); rule != nil && !rule.ignored && !defaulted && l.values["topicprefix"] == "" {
		l.add("topicprefix", "is missing, and %s has no default for it: no node hears anything; set it to /topic/", l.version)
	}
	if l.setting("factsource") == "yaml" {
		l.factFiles(l.values["plugin.yaml"])
	}
}

// factFiles checks the files of factsource yaml, a list separated by ":".
func (l *linter) factFiles(files string) {
	const written = "/" + configDir + "/facts.yaml" // by mk-client
	if files == "" {
		l.add("plugin.yaml", "is missing: factsource yaml needs it; set it to %s", written)
		return
	}
	for _, file := range strings.Split(files, ":") {
		if _, err := l.image.Lookup(file); err != nil && path.Clean(file) != written {
			l.add("plugin.yaml", "has %s, which the image lacks and mk-client does not write: there are no facts; set it to %s", file, written)
		}
	}
}

// plugin checks that a plugin exists, with its requirements and settings.
func (l *linter) plugin(key, name, pattern string) {
	file := fmt.Sprintf(pattern, name)
	at := l.find(file)
	if at == "" {
		if l.has == nil || !l.has(strings.TrimSuffix(file, ".rb")) {
			l.add(key, "%s has no plugin %s (it has %s); choose another one, or add %s to a directory of libdir by `overlay`", l.version, name, l.named(pattern), file)
		}
		return
	}
	l.needs(key, at)
	text := source(l.image, at)
	switch key {
	case "connector":
		l.connector(name, text)
	case "securityprovider":
		for _, o := range readOptions(text) {
			// The keys of clients are for administrators of the nodes.
			if o.needed && l.values["plugin."+o.name] == "" && !strings.Contains(o.name, "client_p") {
				l.add("plugin."+o.name, "is missing: securityprovider %s needs it; set it", name)
			}
		}
	}
}

// find returns the path of a file on the search path, or "".
func (l *linter) find(file string) string {
	for _, dir := range l.dirs {
		if e, err := l.image.Lookup(dir + "/" + file); err == nil && e.IsRegular() {
			return e.Path
		}
	}
	return ""
}

// named lists the existing plugins of a kind.
func (l *linter) named(pattern string) string {
	before, after, _ := strings.Cut(path.Base(pattern), "%s")
	var names []string
	for _, dir := range l.dirs {
		for _, e := range l.image.Children(path.Join(dir, path.Dir(pattern))) {
			name, ok := strings.CutSuffix(strings.TrimPrefix(path.Base(e.Path), before), after)
			if ok && name != "base" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, ", "), "none")
}

// needs checks the libraries that a Ruby file requires, including those of MCollective's own libraries.
func (l *linter) needs(key, file string) {
	if l.has == nil || l.visited[file] {
		return
	}
	l.visited[file] = true
	for _, feature := range readRequires(source(l.image, file)) {
		if own := l.find(feature + ".rb"); own != "" {
			l.needs(key, own)
			continue
		}
		if l.visited[feature] || l.has(feature) {
			continue
		}
		l.visited[feature] = true
		l.add(key, "/%s requires %s, which neither Ruby nor a gem in the image has: mcollectived ends at once; %s", file, feature, bringing(feature))
	}
}

// bringing returns the remedy for a missing library.
func bringing(feature string) string {
	switch gem, _, _ := strings.Cut(feature, "/"); {
	case feature == "rubygems":
		return "set `rubygems` in mkbuild.yaml"
	case gem == "mcollective":
		return "the archive lacks it: give another one as mcollective.url"
	case gem == "ssh":
		return "add the gem sshkeyauth to gems.install"
	case gem == "json":
		return "add the gem json_pure to gems.install"
	default:
		return "add the gem " + gem + " to gems.install, or an extension that brings it"
	}
}

// connector checks that the connector has its settings.
func (l *linter) connector(name, text string) {
	prefix := "plugin." + name + "."
	asked := readOptions(text)
	if len(asked) == 0 {
		l.add("connector", "mkbuild cannot check the settings of %s, because it finds none in its file; compare them with its documentation", name)
		return
	}
	t := readTruth(methodBody(text, "get_bool_option"))
	if strings.Contains(strings.Join(methodBody(text, "get_bool_option"), "\n"), "str_to_bool(") {
		t = l.boolean
	}
	alone := slices.ContainsFunc(asked, func(o option) bool { return o.needed && o.name == name+".host" })
	size, pooled := l.values[prefix+"pool.size"]
	if pooled || !alone && slices.ContainsFunc(asked, func(o option) bool { return o.pooled() }) {
		l.brokers(prefix, name, size, asked, t)
		return
	}
	for i := range asked {
		if !asked[i].pooled() {
			l.option(&asked[i], "", t)
		}
	}
}

// brokers checks a pool of brokers.
func (l *linter) brokers(prefix, name, size string, asked []option, t *truth) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 || n > maxPool {
		l.add(prefix+"pool.size", "is not a number from 1 to %d: the connector %s takes its brokers from a pool; set it to their number", maxPool, name)
		return
	}
	for i := 1; i <= n; i++ {
		for j := range asked {
			if asked[j].pooled() || i == 1 && asked[j].boolean {
				l.option(&asked[j], strconv.Itoa(i), t)
			}
		}
	}
	for _, part := range []string{"host", "port", "user", "password"} {
		if key := prefix + part; l.values[key] != "" {
			l.add(key, "is not read: %spool.size makes the connector take its brokers from the pool; remove one of the two", prefix)
		}
	}
}

// option checks one setting of the connector.
func (l *linter) option(o *option, broker string, t *truth) {
	key := "plugin." + o.at(broker)
	_, set := l.values[key]
	if _, renamed := l.values["plugin."+otherForm(o.at(broker))]; renamed {
		return // pluginKeys reports it
	}
	switch {
	case set && o.boolean && t != nil:
		l.boolValue(key, t)
	case set:
	case o.needed:
		l.add(key, "is missing: the connector needs it; set it")
	case o.prompted:
		l.add(key, "is missing: the connector logs in with an empty one; set it")
	}
}

// pluginKeys finds settings of plugins that nothing reads.
func (l *linter) pluginKeys(keys []string) {
	asked := l.allOptions()
	reads := func(name string) bool {
		return slices.ContainsFunc(asked, func(o option) bool { return o.matches(name) })
	}
	connector := l.setting("connector")
	for _, key := range keys {
		name, ok := strings.CutPrefix(key, "plugin.")
		if !ok {
			continue
		}
		owner, _, _ := strings.Cut(name, ".")
		switch other := otherForm(name); {
		case owner == connector && l.find("mcollective/connector/"+owner+".rb") == "": // already reported
		case owner != connector && slices.Contains(connectors(), owner):
			l.add(key, "is not read: the connector is %s; remove it from mcollective.server", connector)
		case reads(name):
		case other != "" && reads(other):
			l.add(key, "is not read: %s calls it plugin.%s; rename it under mcollective.server", l.version, other)
		default:
			l.add(key, "is not read by any file of %s or its plugins in the image; correct its name under mcollective.server, or remove it", l.version)
		}
	}
}

// allOptions lists the settings that MCollective and its plugins read.
func (l *linter) allOptions() []option {
	var out []option
	for _, e := range l.image.Entries() {
		if path.Ext(e.Path) != ".rb" || strings.Contains(e.Path, "/vendor/") {
			continue
		}
		for _, dir := range l.dirs {
			if strings.HasPrefix(e.Path, dir+"/") {
				out = append(out, readOptions(source(l.image, e.Path))...)
				break
			}
		}
	}
	return out
}

var (
	poolDot  = regexp.MustCompile(`^(\w+\.pool\.)([0-9]+)\.(\w+)$`)
	poolTail = regexp.MustCompile(`^(\w+\.pool\.)([a-z]+)([0-9]+)$`)
)

// otherForm turns stomp.pool.1.host, the form of 2.x, into stomp.pool.host1, the form of 1.x, and back. It returns
// "" for other names.
func otherForm(name string) string {
	if m := poolDot.FindStringSubmatch(name); m != nil {
		return m[1] + m[3] + m[2]
	}
	if m := poolTail.FindStringSubmatch(name); m != nil {
		return m[1] + m[3] + "." + m[2]
	}
	return ""
}
