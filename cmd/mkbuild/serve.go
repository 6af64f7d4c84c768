package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/medium"
	"mkbuild/internal/razor"
	"mkbuild/internal/razor/page"
)

type serveOptions struct {
	config, environment string
	rules, data, listen string
	extension           string
	image               string
	kernel, initrd      string
	tokenFile           string
	hosts               []string
	correct, dryRun     bool
	verbose             bool
	sign                signOptions
}

func serveCommand(w *world) *cobra.Command {
	o := &serveOptions{}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a check-in server to try images and extensions",
		Long: `Run a check-in server that speaks Razor's protocol, quirks included, for development and small
labs. It hands out the extension, takes check-ins, evaluates tag rules, binds policies, and shows
nodes and their facts on a web page that updates live. It installs nothing.

stdout gets one line, the server's URL, once the server answers. The log goes to stderr. Changes
through the page or the API need the token that stderr shows at the start. The nodes' requests
(/svc) are open to everybody who can reach the address, as with Razor, but refused to
web pages of other sites. docs/rules.md describes the file for --rules.`,
		Example: `  mkbuild serve --extension ./my-extension --data ./razor-data
  mkbuild serve --razor-config /etc/razor/config.yaml --rules rules.yaml --listen 192.168.7.1:8150
  mkbuild serve --image rz_mk_dev-image.0.1.0.iso --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), w, o) },
	}
	f := c.Flags()
	f.StringVar(&o.config, "razor-config", "", "Razor's own config.yaml `FILE` (default: Razor's defaults)")
	f.StringVar(&o.environment, "environment", razor.DefaultEnvironment, "`SECTION` of config.yaml that overrides \"all\"")
	f.StringVar(&o.rules, "rules", "", "read tags and policies from this YAML or JSON `FILE`, again when it changes")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8150", "`ADDRESS` to serve on; port 0 takes a free one")
	f.StringVar(&o.data, "data", "razor-data", "`DIR` of the database; made if missing")
	f.StringVar(&o.extension, "extension", "", "hand out this zip `FILE` or DIR instead of microkernel.extension-zip")
	f.StringVar(&o.image, "image", "", "serve kernel and initrd out of this ISO `FILE` or PXE folder, for booting over the network; a folder's files are at /microkernel/, too")
	f.StringVar(&o.kernel, "kernel", "", "serve this `FILE` as the kernel")
	f.StringVar(&o.initrd, "initrd", "", "serve this `FILE` as the initrd")
	f.StringVar(&o.tokenFile, "token-file", "", "read the token from this `FILE` (default: a random one, printed to stderr)")
	f.StringArrayVar(&o.hosts, "host", nil, "another `NAME` of this server that browsers may use, besides localhost and IP addresses; may be repeated")
	f.BoolVar(&o.correct, "http-correct", false, "hand out the extension as a plain HTTP server would, without Razor's quirks")
	f.BoolVar(&o.dryRun, "dry-run", false, "answer every check-in with the action none and bind nothing, but show what would happen")
	o.sign.addFlags(c, "sign", "with this secret `key`, sign the folder of --extension whenever it has changed")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log every request")
	return c
}

func runServe(ctx context.Context, w *world, o *serveOptions) error {
	opts, err := o.options(ctx, w)
	if err != nil {
		return serveError(err)
	}
	token, err := o.token(ctx)
	if err != nil {
		return serveError(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return usage("--listen "+o.listen+": "+listenError(err), "choose an address and a port, such as --listen 127.0.0.1:8150; port 0 takes a free one")
	}
	s, err := razor.New(opts)
	if err != nil {
		return serveError(errors.Join(err, l.Close()))
	}
	p, err := page.New(s, page.Options{Token: token, Hosts: o.hosts, Log: opts.Log})
	if err != nil {
		return errors.Join(err, s.Close(), l.Close())
	}
	if o.tokenFile == "" {
		fmt.Fprintf(w.stderr, "mkbuild: token: %s\n", token)
	}
	fmt.Fprintf(w.stdout, "http://%s/\n", l.Addr())
	return errors.Join(s.Serve(ctx, l, p), s.Close())
}

// listenError is the innermost cause, without the net package's own words.
func listenError(err error) string {
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return "it is not ADDRESS:PORT"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// token returns the token that allows changes: from the user's file, else a random one.
func (o *serveOptions) token(ctx context.Context) (string, error) {
	if o.tokenFile == "" {
		return page.NewToken(), nil
	}
	b, err := hostfile.ReadPiped(ctx, o.tokenFile, maxSecret)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// options turns flags and files into the server's options.
func (o *serveOptions) options(ctx context.Context, w *world) (razor.Options, error) {
	if st, err := os.Stat(o.extension); o.sign.key != "" && (err != nil || !st.IsDir()) {
		return razor.Options{}, usage("--sign needs a folder as --extension", "sign a zip once: mkbuild extension sign ZIP --sign KEY")
	}
	seal, err := o.sign.sealing(ctx, w, o.extension)
	if err != nil {
		return razor.Options{}, err
	}
	opts := razor.Options{
		Config: razor.DefaultConfig(), RulesFile: o.rules, DataDir: o.data, HTTPCorrect: o.correct, DryRun: o.dryRun, Log: o.logger(w),
		PackDir: func(dir string) ([]byte, time.Time, error) {
			zip, newest, err := extension.PackDir(ctx, dir, extension.DefaultLimits())
			if err == nil {
				zip, err = seal(zip, newest)
			}
			return zip, newest, err
		},
	}
	if o.config == "" && o.environment != razor.DefaultEnvironment {
		return opts, usage("--environment needs --razor-config", "name Razor's file: --razor-config config.yaml")
	}
	if o.config != "" {
		if opts.Config, err = razor.LoadConfig(o.config, o.environment); err != nil {
			return opts, err
		}
	}
	if o.extension != "" {
		opts.Config.Microkernel.ExtensionZip = o.extension
		o.checkExtension(opts.Log)
	}
	return opts, o.bootFiles(&opts)
}

// checkExtension warns of a file that nodes cannot use. It is not an error: the file may come later, as with
// Razor.
func (o *serveOptions) checkExtension(log *slog.Logger) {
	src, release, err := extension.Read(o.extension, extension.DefaultLimits())
	if err != nil {
		log.Warn("cannot read the extension; nodes get none until it is fixed", "error", err)
		return
	}
	release()
	log.Debug("extension", "files", len(src.Files))
}

// logSchema names the format of the server's log as JSON: the members of log/slog.
const logSchema = "mkbuild.log/v1"

func (o *serveOptions) logger(w *world) *slog.Logger {
	ho := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.verbose {
		ho.Level = slog.LevelDebug
	}
	if w.lines == nil {
		return slog.New(slog.NewTextHandler(w.stderr, ho))
	}
	return slog.New(slog.NewJSONHandler(w.stderr, ho)).With("schema", logSchema)
}

func (o *serveOptions) bootFiles(opts *razor.Options) error {
	if o.image != "" && (o.kernel != "" || o.initrd != "") {
		return usage("--image cannot be combined with --kernel and --initrd", "name the image, or both files")
	}
	if (o.kernel == "") != (o.initrd == "") {
		return usage("--kernel and --initrd need each other", "name both files, or an image: --image FILE")
	}
	if o.kernel != "" {
		for _, name := range []string{o.kernel, o.initrd} {
			f, _, err := hostfile.Open(name)
			if err != nil {
				return fmt.Errorf("--kernel and --initrd: %w", err)
			}
			f.Close() //nolint:errcheck,gosec // only looked at
		}
		opts.Kernel, opts.Initrd = razor.FileBoot(o.kernel), razor.FileBoot(o.initrd)
	}
	if o.image == "" {
		return nil
	}
	if _, _, err := medium.ReadBootFiles(o.image); err != nil {
		return err
	}
	opts.Kernel, opts.Initrd = razor.ImageBoot(o.image, medium.ReadBootFiles)
	if info, err := os.Stat(o.image); err == nil && info.IsDir() {
		opts.Folder, opts.Segments = o.image, func() []string { return medium.Blobs(o.image) }
	}
	return nil
}

// serveError turns a missing file into a usage error.
func serveError(err error) error {
	if errors.Is(err, os.ErrNotExist) && fail.HintOf(err) == "" {
		return fail.Wrap(fail.Usage, err, "check the file name")
	}
	return err
}
