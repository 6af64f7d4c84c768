package mkclient

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// hardwareRetry is how long a tool that failed is left alone: one that hangs must not delay
// every check-in.
const hardwareRetry = 10 * time.Minute

// hwSource is one contained source of hardware facts.
type hwSource struct {
	name  string
	facts Facts
	read  func(context.Context) (Facts, error)
}

// hardwareCache keeps what the tools said. A full lshw takes seconds, and what it tells changes
// only when devices come or go.
type hardwareCache struct {
	devices string
	sources []hwSource
	retry   time.Duration // on the monotonic clock, since start
	start   time.Time
}

// hardware runs each tool under its own limit. One that is missing is quiet, one that fails
// loses its own facts only.
func (c *Client) hardware(ctx context.Context) []hwSource {
	devices := strings.Join(append(dirNames(c.path("sys/class/net")), dirNames(c.path("sys/block"))...), " ")
	if c.hw.start.IsZero() {
		c.hw.start = time.Now() // carries the monotonic clock, which no RTC disturbs
	}
	now := time.Since(c.hw.start)
	if c.hw.sources != nil && c.hw.devices == devices && (c.hw.retry == 0 || now < c.hw.retry) {
		return c.hw.sources
	}
	c.hw.devices, c.hw.retry = devices, 0
	c.hw.sources = []hwSource{
		{name: "sysfs", read: func(context.Context) (Facts, error) { return c.sysFacts(), nil }},
		{name: "lscpu", read: c.tool("lscpu", nil, parseLscpu)},
		{name: "dmidecode", read: c.tool("dmidecode", []string{"-q"}, parseDmidecode)},
		{name: "lshw", read: c.tool("lshw", []string{"-xml"}, parseLshw)},
	}
	for i := range c.hw.sources {
		if !c.readSource(ctx, &c.hw.sources[i]) {
			c.hw.retry = now + hardwareRetry
		}
	}
	return c.hw.sources
}

// readSource runs one source; even a bug in its parser costs no more than its facts.
func (c *Client) readSource(ctx context.Context, src *hwSource) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.log().Changed("hw "+src.name, Error, "hardware facts of %s: bug: %v", src.name, p)
			src.facts, ok = nil, false
		}
	}()
	facts, err := src.read(ctx)
	if err != nil {
		c.log().Changed("hw "+src.name, Warn, "hardware facts of %s: %v", src.name, err)
		return false
	}
	src.facts = facts
	return true
}

// tool makes a reader out of a program and a parser of what it prints.
func (c *Client) tool(name string, args []string, parse func([]byte) (Facts, error)) func(context.Context) (Facts, error) {
	return func(ctx context.Context) (Facts, error) {
		p, err := c.lookPath(name)
		if err != nil {
			c.log().Logf(Debug, "%v", err)
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(ctx, c.opt.Timeouts.Source)
		defer cancel()
		res, err := runGroup(ctx, command{Path: p, Args: args, Env: c.baseEnv(), Dir: "/"})
		if err != nil {
			return nil, err
		}
		facts, err := parse(res.Stdout)
		if err != nil {
			return nil, fmt.Errorf("exit status %d: %w%s", res.Code, err, hint(res.Stderr))
		}
		return facts, nil
	}
}

// hwKey spells a tool's label as part of a fact's name: blanks become "_", dots and brackets go.
func hwKey(label string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r == '.' || strings.ContainsRune("!@#$%^&*()=+[]{}:", r) || r < 0x20 || r > 0x7e:
			return -1
		}
		return r
	}, strings.TrimSpace(label))
}

// parseLscpu reads "Label: value" lines into mk_hw_lscpu_Label. Flags and vulnerabilities are
// left out for their length, the current frequency because it never holds still.
func parseLscpu(out []byte) (Facts, error) {
	facts := Facts{}
	for line := range strings.Lines(string(out)) {
		label, v, ok := strings.Cut(line, ":")
		v = strings.TrimSpace(v)
		if !ok || v == "" || label == "Flags" || label == "CPU MHz" || strings.HasPrefix(label, "CPU(s) scaling") ||
			strings.HasPrefix(strings.TrimSpace(label), "Vulnerability") {
			continue
		}
		facts["mk_hw_lscpu_"+hwKey(label)] = strings.ToValidUTF8(v, "?")
	}
	if facts["mk_hw_lscpu_Architecture"] == nil { // its first line in every version
		return nil, fmt.Errorf("nothing usable in the output of lscpu")
	}
	return facts, nil
}

// sysFacts is what the kernel itself shows: the firmware's kind and, where lshw is missing, the
// lists of cards, disks and processors. lshw's facts are laid over these.
func (c *Client) sysFacts() Facts {
	sys := c.path("sys")
	facts := Facts{"mk_hw_boot_mode": "bios"}
	if isDir(filepath.Join(sys, "firmware/efi")) {
		facts["mk_hw_boot_mode"] = "efi"
	}
	if _, err := c.lookPath("lshw"); err == nil {
		return facts
	}
	c.sysCards(facts, sys)
	c.sysDisks(facts, sys)
	models := cpuModels(c.path("proc/cpuinfo"))
	facts["mk_hw_cpu_count"] = strconv.Itoa(len(models))
	for i, m := range models {
		putText(facts, fmt.Sprintf("mk_hw_cpu%d_product", i), m)
	}
	return facts
}

func (c *Client) sysCards(facts Facts, sys string) {
	count := 0
	for _, n := range readNICs(sys) {
		if !n.Physical {
			continue
		}
		dir, key := filepath.Join(sys, "class/net", n.Name), fmt.Sprintf("mk_hw_nic%d_", count)
		putText(facts, key+"logical_name", n.Name)
		putText(facts, key+"serial", n.MAC)
		putText(facts, key+"bus_info", linkBase(dir, "device"))
		putText(facts, key+"driver", linkBase(dir, "device/driver"))
		count++
	}
	facts["mk_hw_nic_count"] = strconv.Itoa(count)
}

func (c *Client) sysDisks(facts Facts, sys string) {
	count := 0
	for _, name := range dirNames(filepath.Join(sys, "block")) {
		dir := filepath.Join(sys, "block", name)
		if linkBase(dir, "device") == "" {
			continue
		}
		key, size := fmt.Sprintf("mk_hw_disk%d_", count), leadingInt(sysLine(dir, "size"))*512
		putText(facts, key+"logical_name", "/dev/"+name)
		putText(facts, key+"product", sysLine(dir, "device/model"))
		putText(facts, key+"vendor", sysLine(dir, "device/vendor"))
		putText(facts, key+"size", diskSize(size))
		putText(facts, key+"size_bytes", strconv.FormatInt(size, 10))
		count++
	}
	facts["mk_hw_disk_count"] = strconv.Itoa(count)
}

// putText adds a fact unless its value is empty.
func putText(facts Facts, name, v string) {
	if v = strings.TrimSpace(strings.ToValidUTF8(v, "?")); v != "" {
		facts[name] = v
	}
}
