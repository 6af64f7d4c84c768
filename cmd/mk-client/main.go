// Command mk-client is the client inside a booted microkernel: it refreshes the extension,
// collects facts and checks in with the Razor server. init starts and respawns `mk-client run`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"mkbuild/internal/mkclient"
	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/settings"
)

// version is set by the build with -X main.version.
var version string

const usage = `mk-client checks a microkernel in with its Razor server.

Usage:
  mk-client run               check in until SIGTERM
  mk-client register          one cycle: refresh the extension, collect facts, check in, act
  mk-client update            refresh the extension only
  mk-client facts [--sources] print the facts, or the source of each
  mk-client config [KEY]      print one setting, or all with their sources
  mk-client execute ACTION    run an action of the server
  mk-client version           print the version

Exit status: 0 done, 1 failed or unknown setting, 2 usage.

`

var errUsage = errors.New("see mk-client --help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	syscall.Umask(0o022)                    // init's umask may be 0; actions and mcollectived inherit it
	stderr := clientlog.NewQueue(os.Stderr) // a console may block for hours
	status := exitStatus(run(ctx, os.Args[1:], os.Environ(), os.Stdout, stderr), stderr)
	stderr.Flush(time.Second)
	stop()
	os.Exit(status)
}

// exitStatus reports how a command ended.
func exitStatus(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
		return 1
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "mk-client: %v\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "mk-client: error: %v\n", err)
	return 1
}

// errSilent ends with status 1 without a message.
var errSilent = errors.New("no such setting")

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	name, rest := args[0], args[1:]
	most := map[string]int{"run": 0, "register": 0, "update": 0, "facts": 1, "config": 1, "execute": 1, "version": 0}
	switch name {
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		settings.WriteHelp(stdout)
		return nil
	case "version", "--version":
		fmt.Fprintln(stdout, buildVersion())
		return nil
	}
	limit, known := most[name]
	if !known {
		return fmt.Errorf("unknown command %q: %w", name, errUsage)
	}
	if len(rest) > limit {
		return fmt.Errorf("too many arguments for %s: %w", name, errUsage)
	}
	set, warnings := settings.Load(settings.ReadInputs("/", environ))
	log := &clientlog.Logger{W: stderr, Syslog: name == "run" || name == "register", Min: clientlog.Info}
	if set.Debug {
		log.Min = clientlog.Debug
	}
	for _, w := range warnings {
		log.Logf(clientlog.Warn, "%v", w)
	}
	if text := notRoot(os.Geteuid(), args); text != "" {
		log.Logf(clientlog.Warn, "%s", text)
	}
	opt := mkclient.DefaultOptions(buildVersion(), environ)
	opt.Log = log
	return dispatch(ctx, name, rest, mkclient.New(opt, set), set, stdout)
}

// notRoot warns of the limits of a command without root.
func notRoot(uid int, args []string) string {
	if uid == 0 || args[0] == "config" {
		return ""
	}
	return "not root: no access to the extension, the hardware and MCollective's files; use sudo mk-client " + strings.Join(args, " ")
}

// dispatch runs a command after the number of its arguments was checked.
func dispatch(ctx context.Context, name string, rest []string, c *mkclient.Client, set settings.Settings, stdout io.Writer) error {
	switch name {
	case "run":
		return c.Run(ctx)
	case "register":
		return c.Cycle(ctx)
	case "update":
		return c.Update(ctx)
	case "facts":
		return printFacts(ctx, c, rest, stdout)
	case "config":
		return printConfig(set, rest, stdout)
	}
	if len(rest) != 1 {
		return fmt.Errorf("execute needs an action: %w", errUsage)
	}
	return c.Execute(ctx, rest[0])
}

func printFacts(ctx context.Context, c *mkclient.Client, rest []string, w io.Writer) error {
	if len(rest) == 1 && rest[0] != "--sources" {
		return fmt.Errorf("unknown argument %q: %w", rest[0], errUsage)
	}
	col, err := c.Collect(ctx)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if len(rest) == 0 {
		return enc.Encode(col.Body())
	}
	type fact struct {
		Value  any    `json:"value"`
		Source string `json:"source"`
	}
	out := map[string]fact{}
	for name, v := range col.Facts {
		out[name] = fact{v, col.Sources[name]}
	}
	return enc.Encode(out)
}

// printConfig prints one setting like the reference client: without a value, an empty line and status 1.
func printConfig(set settings.Settings, rest []string, w io.Writer) error {
	if len(rest) == 1 {
		v, ok := set.Lookup(rest[0])
		fmt.Fprintln(w, v)
		if !ok {
			return errSilent
		}
		return nil
	}
	for _, row := range settings.Table() {
		if row.Family {
			continue
		}
		v, _ := set.Lookup(row.Key)
		from := set.From[row.Key]
		if from == "" {
			from = settings.Source(row.DefaultText())
		}
		fmt.Fprintf(w, "razor.%s=%s\t# %s\n", row.Key, v, from)
	}
	for _, name := range slices.Sorted(maps.Keys(set.Facts)) {
		fmt.Fprintf(w, "razor.fact.%s=%s\t# %s\n", name, set.Facts[name], set.From["fact."+name])
	}
	return nil
}

// buildVersion falls back to the Go tool's build information.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return info.Main.Version
	}
	return "development"
}
