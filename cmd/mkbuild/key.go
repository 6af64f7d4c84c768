package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mkbuild/internal/attest"
	"mkbuild/internal/fail"
	"mkbuild/internal/hostfile"
	"mkbuild/internal/inspect"
	"mkbuild/internal/signing"
	"mkbuild/internal/ui"
)

// signOptions are the flags of every command that signs.
type signOptions struct {
	key, command, passwordFile string
}

func (o *signOptions) addFlags(c *cobra.Command, flag, what string) {
	f := c.Flags()
	f.StringVar(&o.key, flag, "", what)
	f.StringVar(&o.command, "sign-command", "", "sign with this `command`: it reads the bytes on stdin and prints the Ed25519 signature; --"+flag+" then names its public key")
	o.addPassword(c)
}

func (o *signOptions) addPassword(c *cobra.Command) {
	c.Flags().StringVar(&o.passwordFile, "password-file", "", "the key's password is the first line of this `file` (default: ask on the terminal)")
}

// wanted reports whether a flag asks for a signature.
func (o *signOptions) wanted() bool { return o.key != "" || o.command != "" || o.passwordFile != "" }

// signer opens the key; nil if no flag asks for a signature.
func (o *signOptions) signer(ctx context.Context, w *world) (*signing.Signer, error) {
	switch {
	case !o.wanted():
		return nil, nil //nolint:nilnil // not to sign is a normal answer
	case o.key == "":
		return nil, usage("sign: a key is missing", "name NAME.key with --sign KEY (or --attest KEY), or NAME.pub together with --sign-command")
	case o.command != "" && o.passwordFile != "":
		return nil, usage("--sign-command and --password-file cannot be combined", "leave one of the two out: the command asks for its own secrets")
	case o.command != "":
		keys, err := signing.ReadKeys("--sign", o.key)
		if err != nil {
			return nil, err
		}
		if len(keys) != 1 {
			return nil, usage(fmt.Sprintf("sign: %s holds %d public keys", o.key, len(keys)), "name a file with only the public key of --sign-command")
		}
		return signing.Command(o.command, keys[0])
	}
	s := signing.Secret{Name: o.key, Warn: func(text string) { fmt.Fprintf(w.stderr, "mkbuild: warning: %s\n", ui.Clean(text)) }}
	switch {
	case o.passwordFile != "": // read even if the key is not encrypted: a wrong name is a mistake
		password, err := o.password(ctx, w, "")
		if err != nil {
			return nil, err
		}
		s.Password = func() ([]byte, error) { return password, nil }
	case w.password != nil:
		s.Password = func() ([]byte, error) { return w.password(ctx, "Password of "+o.key) }
	}
	return s.Open()
}

// password reads the password from the file, or from the terminal.
func (o *signOptions) password(ctx context.Context, w *world, prompt string) ([]byte, error) {
	if o.passwordFile == "" {
		return w.password(ctx, prompt)
	}
	text, err := hostfile.ReadPiped(ctx, o.passwordFile, maxSecret)
	if err != nil {
		return nil, fail.Wrap(fail.Usage, err, "name the file that holds the password")
	}
	if text = signing.FirstLine(text); len(text) == 0 {
		return nil, usage("read "+o.passwordFile+": its first line is empty", "put the password there")
	}
	return text, nil
}

// reads adds the files that signing reads: results must not replace them.
func (o *signOptions) reads(r *hostfile.Reads) {
	if !signing.IsKey(o.key) {
		r.Add("the signing key", o.key)
	}
	r.Add("the password's file", o.passwordFile)
}

// askPassword reads a password from a terminal, without echo.
func askPassword(ctx context.Context, prompt string) ([]byte, error) {
	fd := int(os.Stdin.Fd()) //nolint:gosec // a descriptor
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%s: ", ui.Clean(prompt))
	defer fmt.Fprintln(os.Stderr)
	done := make(chan []byte, 1)
	go func() {
		b, _ := term.ReadPassword(fd)
		done <- b
	}()
	select {
	case b := <-done:
		return b, nil
	case <-ctx.Done():
		term.Restore(fd, before) //nolint:errcheck,gosec // nothing is left to do
		return nil, ctx.Err()
	}
}

// attesting returns a function that signs a statement about an image as it is now, and writes it next to the
// image. Without a key the function does nothing.
func (o *signOptions) attesting(ctx context.Context, w *world, m *inspect.Image) (statement func(func(attest.Descriptor) (*attest.Statement, error)) error, err error) {
	s, err := o.signer(ctx, w)
	if err != nil || s == nil {
		return func(func(attest.Descriptor) (*attest.Statement, error)) error { return nil }, err
	}
	if m.Kind != inspect.KindISO && m.Kind != inspect.KindPXE {
		return nil, usage("--attest: "+m.Name+" is neither an ISO nor a PXE folder", "name an image of mkbuild iso")
	}
	if m.Manifest != nil && m.Manifest.Customization != nil {
		return nil, usage("--attest: "+m.Name+" was customized after the build", "attest the image as built, and sign the customized one with minisign")
	}
	beside := filepath.Clean(m.Name)
	var reads hostfile.Reads
	o.reads(&reads)
	if err := reads.Allow(ctx, hostfile.File(attest.FileName(beside), "another IMAGE")); err != nil {
		return nil, err
	}
	subject, err := inspect.Subject(m)
	if err != nil {
		return nil, fail.Wrap(fail.Verification, err, "write the folder again with mkbuild iso --format pxe")
	}
	return func(about func(attest.Descriptor) (*attest.Statement, error)) error {
		st, err := about(subject)
		if err != nil {
			return err
		}
		line, err := attest.Sign(ctx, st, s)
		if err == nil {
			err = attest.Append(beside, line)
		}
		if err == nil {
			fmt.Fprintf(w.stderr, "mkbuild: signed by key %s: %s\n", signing.KeyID(s.Public.ID()), attest.FileName(beside))
		}
		return err
	}, nil
}

func keyCommand(w *world) *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make and show keys that sign extensions and images",
		Long: `Keys have minisign's format (Ed25519): Debian's minisign reads mkbuild's keys, and mkbuild reads
those of minisign -G. docs/trust.md says what each key protects against.`,
		Example: `  mkbuild key new site
  mkbuild key show site.pub`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(keyNewCommand(w), keyShowCommand(w))
	return c
}

func keyNewCommand(w *world) *cobra.Command {
	o := &signOptions{}
	plain := false
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key pair: NAME.key and NAME.pub",
		Long: `Make a key pair. NAME.key is the secret key, readable by you alone and encrypted with a password
(scrypt, 1 GiB of memory for a few seconds); NAME.pub may be published. Existing files stay. stdout
is the two paths.`,
		Example: `  mkbuild key new site --no-password
  mkbuild key new release --password-file <(pass show release)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runKeyNew(cmd.Context(), w, o, args[0], plain) },
	}
	c.Flags().BoolVar(&plain, "no-password", false, "leave the secret key unencrypted: anyone who can read the file can sign")
	o.addPassword(c)
	return c
}

func runKeyNew(ctx context.Context, w *world, o *signOptions, name string, plain bool) error {
	var password []byte
	switch {
	case plain && o.passwordFile != "":
		return usage("--no-password and --password-file cannot be combined", "leave one of the two out")
	case plain:
	case o.passwordFile == "" && w.password == nil:
		return usage("make key: no terminal to ask for a password", "name its file with --password-file FILE, or leave the key unencrypted with --no-password")
	default:
		var err error
		if password, err = o.newPassword(ctx, w, name); err != nil {
			return err
		}
	}
	secret, public, err := signing.NewKey(name, password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "%s\n%s\n", filepath.ToSlash(secret), filepath.ToSlash(public))
	return err
}

// newPassword asks twice: a typing error would lose the key.
func (o *signOptions) newPassword(ctx context.Context, w *world, name string) ([]byte, error) {
	password, err := o.password(ctx, w, "Password for "+name+".key")
	if err != nil || o.passwordFile != "" {
		return password, err
	}
	again, err := o.password(ctx, w, "Once more")
	switch {
	case err != nil:
		return nil, err
	case len(password) == 0:
		return nil, usage("make key: the password is empty", "type one, or leave the key unencrypted with --no-password")
	case !bytes.Equal(password, again):
		return nil, usage("make key: the two passwords differ", "run the command again")
	}
	return password, nil
}

func keyShowCommand(w *world) *cobra.Command {
	o := &signOptions{}
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the public key of a .pub or .key file, with its number",
		Long: `Print the public keys of a file, each as the text of a .pub file. For a secret key, its public half is
printed; an encrypted key needs its password.`,
		Example: `  mkbuild key show site.pub`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := signing.ReadKeys("key show", args...)
			if err != nil && strings.Contains(err.Error(), "secret key") {
				o.key = args[0]
				var s *signing.Signer
				if s, err = o.signer(cmd.Context(), w); err == nil {
					keys = append(keys, s.Public)
				}
			}
			for _, k := range keys {
				fmt.Fprintf(w.stdout, "%s", signing.PublicText(k))
			}
			return err
		},
	}
	o.addPassword(c)
	return c
}
