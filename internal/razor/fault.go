package razor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrFault says that a fault's description is not understood.
var ErrFault = errors.New("invalid fault")

// Targets of a [Fault].
const (
	FaultExtension = "extension" // GET /svc/mk/extension.zip
	FaultCheckin   = "checkin"   // POST /svc/checkin/:id
)

// Fault is a way in which an answer goes wrong on purpose, for testing clients.
type Fault struct {
	// Target is [FaultExtension] or [FaultCheckin].
	Target string
	// Kind is one of the names that [FaultKinds] lists.
	Kind string
	// Size is the argument of truncate and oversize, in bytes.
	Size int64
	// Time is the argument of slow (how long the whole answer takes) and skew (signed).
	Time time.Duration
}

// faultKind describes a kind: what it does, and what argument it takes.
type faultKind struct {
	name, arg, doc string
	extensionOnly  bool
}

const (
	argNone     = ""
	argSize     = "BYTES"
	argDuration = "DURATION"
	argSkew     = "±DURATION"
)

var faultKinds = []faultKind{
	{"404", argNone, "answer 404", false},
	{"500", argNone, "answer 500", false},
	{"slow", argDuration, "take DURATION (10s) over the answer, a few bytes at a time", false},
	{"hang", argNone, "accept the request and never answer", false},
	{"truncate", argSize, "announce the whole length, send BYTES (half) and cut the connection", false},
	{"wronglength", argNone, "announce and send half of the body, as if that were all", false},
	{"empty", argNone, "answer 200 without a body", false},
	{"garbage", argNone, "answer 200 with bytes that mean nothing", false},
	{"mediatype", argNone, "answer as text/html", false},
	{"redirect", argNone, "redirect to itself for ever", false},
	{"oversize", argSize, "answer 200 with a body of BYTES (1 GiB)", false},
	{"skew", argSkew, "move Last-Modified by ±DURATION", true},
	{"flipflop", argNone, "hand out the extension and an older, other one in turn", true},
	{"zipslip", argNone, "hand out a zip whose members try to leave their directory", true},
}

// Defaults of the arguments.
const (
	defaultSlow     = 10 * time.Second
	defaultOversize = 1 << 30
	maxFaultTime    = 24 * 365 * 100 * time.Hour
)

// FaultKinds describes all kinds, one line each, for --help.
func FaultKinds() []string {
	out := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		name := k.name
		if k.arg != "" {
			name += "[:" + k.arg + "]"
		}
		if k.extensionOnly {
			name += " (extension only)"
		}
		out[i] = name + ": " + k.doc
	}
	return out
}

// ParseFault reads [extension=|checkin=]KIND[:ARG]. Without a target, a fault concerns the
// extension.
func ParseFault(s string) (Fault, error) {
	f := Fault{Target: FaultExtension, Size: -1}
	spec := s
	if target, rest, ok := strings.Cut(s, "="); ok {
		f.Target, spec = target, rest
	}
	if f.Target != FaultExtension && f.Target != FaultCheckin {
		return f, fmt.Errorf("fault %q: %w: the target is extension or checkin", s, ErrFault)
	}
	name, arg, hasArg := strings.Cut(spec, ":")
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == name })
	if i < 0 {
		return f, fmt.Errorf("fault %q: %w: unknown kind %q", s, ErrFault, name)
	}
	k := faultKinds[i]
	if k.extensionOnly && f.Target != FaultExtension {
		return f, fmt.Errorf("fault %q: %w: %s concerns the extension only", s, ErrFault, name)
	}
	f.Kind = name
	return f, f.argument(s, k.arg, arg, hasArg)
}

func (f *Fault) argument(s, kind, arg string, given bool) (err error) {
	switch kind {
	case argNone:
		if given {
			return fmt.Errorf("fault %q: %w: %s takes no argument", s, ErrFault, f.Kind)
		}
	case argSize:
		if f.Kind == "oversize" {
			f.Size = defaultOversize
		}
		if given {
			if f.Size, err = strconv.ParseInt(arg, 10, 64); err != nil || f.Size < 0 {
				return fmt.Errorf("fault %q: %w: %q is no number of bytes", s, ErrFault, arg)
			}
		}
	case argDuration, argSkew:
		f.Time = defaultSlow
		if kind == argSkew && !given {
			return fmt.Errorf("fault %q: %w: skew needs a duration, as in skew:-1h", s, ErrFault)
		}
		if given {
			f.Time, err = time.ParseDuration(arg)
			if err != nil || f.Time.Abs() > maxFaultTime || kind == argDuration && f.Time < 0 {
				return fmt.Errorf("fault %q: %w: %q is no duration such as 10s", s, ErrFault, arg)
			}
		}
	}
	return nil
}

// String is the form that [ParseFault] reads.
func (f Fault) String() string {
	s := f.Target + "=" + f.Kind
	switch f.Kind {
	case "slow":
		s += ":" + f.Time.String()
	case "skew":
		s += ":" + f.Time.String()
	case "oversize":
		s += ":" + strconv.FormatInt(f.Size, 10)
	case "truncate":
		if f.Size >= 0 {
			s += ":" + strconv.FormatInt(f.Size, 10)
		}
	}
	return s
}

// faults are the faults in force, one per target, and how often each was asked for.
type faults struct {
	mu    sync.Mutex
	set   map[string]Fault
	count map[string]uint64
}

func newFaults(list []Fault) *faults {
	f := &faults{set: map[string]Fault{}, count: map[string]uint64{}}
	for _, x := range list {
		f.set[x.Target] = x
	}
	return f
}

// next returns the fault for one request and the request's number.
func (f *faults) next(target string) (Fault, uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.set[target]
	f.count[target]++
	return x, f.count[target], ok
}

func (f *faults) put(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set[x.Target] = x
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.set)
}

// list returns the faults in force, sorted.
func (f *faults) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]string, 0, len(f.set))
	for _, x := range f.set {
		out = append(out, x.String())
	}
	slices.Sort(out)
	return out
}
