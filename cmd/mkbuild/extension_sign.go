package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mkbuild/internal/extension"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/signing"
	"mkbuild/internal/wholefile"
)

// sealOptions are the flags of the commands that sign an extension.
type sealOptions struct {
	signOptions
	name, sequence string
}

func (o *sealOptions) addFlags(c *cobra.Command) {
	o.signOptions.addFlags(c, "sign", "sign it with this secret `key`: images that list its public key under extension_keys take only signed extensions")
	c.Flags().StringVar(&o.name, "name", "", "signed `name` (default: that of the file or folder)")
	c.Flags().StringVar(&o.sequence, "sequence", "", "signed `number`: of two extensions the higher is newer (default: SOURCE_DATE_EPOCH, else the time in seconds since 1970)")
}

// seal signs an archive that was made of the file or folder source.
func (o *sealOptions) seal(ctx context.Context, w *world, zip []byte, source string) ([]byte, error) {
	s, err := o.signer(ctx, w)
	if err != nil || s == nil {
		return zip, err
	}
	sequence, err := o.number(w)
	if err != nil {
		return nil, err
	}
	name := o.sealName(source)
	zip, err = extension.Sign(ctx, zip, s, name, sequence)
	if why, ok := errors.AsType[*extension.Error](err); ok {
		return nil, fail.Wrap(fail.Usage, fmt.Errorf("sign %s: %w", source, why), "pack it with `mkbuild extension pack DIR --sign KEY`")
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w.stderr, "mkbuild: signed by key %s: name %s, sequence %d\n", signing.KeyID(s.Public.ID()), name, sequence)
	return zip, nil
}

func (o *sealOptions) sealName(source string) string {
	if o.name != "" {
		return o.name
	}
	if abs, err := filepath.Abs(source); err == nil {
		source = abs // "." has no name
	}
	return strings.TrimSuffix(filepath.Base(source), ".zip")
}

func (o *sealOptions) number(w *world) (int64, error) {
	text, from := o.sequence, "--sequence"
	if text == "" {
		text, from = w.getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	}
	if text == "" {
		return time.Now().Unix(), nil
	}
	n, err := strconv.ParseUint(text, 10, 49)
	if err != nil {
		return 0, usage(fmt.Sprintf("%s: %q is not a number of at most 15 digits", from, text), "for example: --sequence 1700000000")
	}
	return int64(n), nil //nolint:gosec // 49 bits
}

func extensionSignCommand(w *world) *cobra.Command {
	o := &sealOptions{}
	output := ""
	c := &cobra.Command{
		Use:   "sign ZIP",
		Short: "Sign an extension",
		Long: `Sign a packed extension. The signature, in minisign's format, is the archive's comment: unzip,
razor-server and older clients read the archive as before. An existing signature is
replaced. Images that list the public key under extension_keys refuse an extension whose sequence number is
lower than that of the one they have. stdout is the path of the file.`,
		Example: `  mkbuild extension sign mk-extension.zip --sign site.key
  mkbuild extension sign mk-extension.zip --sign site.pub --sign-command ./hsm-sign.sh -o signed.zip`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				output = args[0]
			}
			return runExtensionSign(cmd.Context(), w, o, args[0], output)
		},
	}
	o.addFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "", "`file` to write (default: ZIP itself)")
	return c
}

func runExtensionSign(ctx context.Context, w *world, o *sealOptions, name, output string) error {
	if o.key == "" {
		return usage("extension sign: --sign is missing", "for example: --sign site.key")
	}
	var reads hostfile.Reads
	o.signOptions.reads(&reads)
	if err := reads.Allow(ctx, hostfile.File(output, "-o FILE")); err != nil {
		return err
	}
	zip, err := readArchive(name)
	if err != nil {
		return err
	}
	if _, err := extension.Open(bytes.NewReader(zip), int64(len(zip)), extension.DefaultLimits()); err != nil {
		next := "`mkbuild extension show " + name + "` says what mk-client would refuse"
		if e, ok := errors.AsType[*extension.Error](err); ok && e.Kind == extension.NotZip { // show fails, too
			next = "name a file of `mkbuild extension pack`"
		}
		return extension.Named(fmt.Errorf("sign %s: %w", name, err), next)
	}
	if zip, err = o.seal(ctx, w, zip, name); err != nil {
		return err
	}
	err = wholefile.Write(output, func(f io.Writer) error {
		_, err := f.Write(zip)
		return err
	})
	if err != nil {
		return err
	}
	return printPath(w, output)
}

func readArchive(name string) ([]byte, error) {
	zip, err := hostfile.Read(name, extension.DefaultLimits().Compressed)
	if err != nil {
		return nil, extension.Named(err, "name a file of `mkbuild extension pack`")
	}
	return zip, nil
}

func extensionVerifyCommand(w *world) *cobra.Command {
	var keys []string
	c := &cobra.Command{
		Use:   "verify ZIP",
		Short: "Check the signature of an extension",
		Long: `Check an extension as an image with these public keys under extension_keys does: one of the keys
signed all of its bytes, and mk-client would refuse nothing in it. stdout is the signing key, the name
and the sequence number. Exit status 5 means that a check failed.`,
		Example: `  mkbuild extension verify mk-extension.zip --key site.pub`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return runExtensionVerify(w, args[0], keys) },
	}
	addKeys(c, &keys)
	return c
}

// addKeys adds the flag of the public keys that a command checks signatures with.
func addKeys(c *cobra.Command, keys *[]string) {
	c.Flags().StringArrayVar(keys, "key", nil, "public `key`, or a file of public keys; one of them must have signed; may be repeated")
}

func runExtensionVerify(w *world, name string, keys []string) error {
	if len(keys) == 0 {
		return usage("extension verify: --key is missing", "for example: --key site.pub")
	}
	trusted, err := signing.ReadKeys("--key", keys...)
	if err != nil {
		return err
	}
	zip, err := readArchive(name)
	if err != nil {
		return err
	}
	seal, bare, err := extension.Verify(bytes.NewReader(zip), int64(len(zip)), trusted)
	if err == nil {
		zip = append(zip[:bare-2], 0, 0)
		_, err = extension.Open(bytes.NewReader(zip), bare, extension.DefaultLimits())
	}
	if err != nil {
		return fail.Wrap(fail.Verification, fmt.Errorf("verify %s: %w", name, err), "do not use it; if you made it, sign it: mkbuild extension sign "+name+" --sign KEY")
	}
	_, err = fmt.Fprintf(w.stdout, "%s: signed by key %s: name %s, sequence %d\n", filepath.ToSlash(name), seal.Key(), seal.Name, seal.Sequence)
	return err
}

// sealing returns a function that signs a folder, which the server packs for each request. It signs each state of
// the folder once. The sequence number is the time of the newest file, but at least the server's start: files may
// be old.
func (o *signOptions) sealing(ctx context.Context, w *world, dir string) (func([]byte, time.Time) ([]byte, error), error) {
	s, err := o.signer(ctx, w)
	if err != nil || s == nil {
		return func(zip []byte, _ time.Time) ([]byte, error) { return zip, nil }, err
	}
	name, started := (&sealOptions{}).sealName(dir), time.Now()
	var lock sync.Mutex
	var last, sealed []byte
	return func(zip []byte, newest time.Time) ([]byte, error) {
		lock.Lock()
		defer lock.Unlock()
		if bytes.Equal(zip, last) {
			return sealed, nil
		}
		b, err := extension.Sign(ctx, zip, s, name, max(newest.Unix(), started.Unix()))
		if err == nil {
			last, sealed = zip, b
		}
		return b, err
	}, nil
}
