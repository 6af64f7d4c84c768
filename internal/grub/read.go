package grub

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/bootmenu"
)

// maxSteps bounds the number of followed commands, maxText their bytes and the bytes of variables, and maxDepth the
// depth of function calls: a small file can request terabytes.
const (
	maxSteps = 10000
	maxText  = 4 << 20
	maxDepth = 16
	maxFiles = 64
)

// reader follows the commands of a configuration in order. Conditions are not evaluated: both branches count.
type reader struct {
	open      bootmenu.Open
	vars      map[string]variable
	functions map[string][]command
	files     map[string][]command // files that "source" runs
	exported  []string             // variables
	out       *bootmenu.Menu
	last      bool // the last entry can still get its initrd
	steps     int
	text      int
}

// variable is a variable that the file always sets to the same text; clear is true if nothing else sets it.
type variable struct {
	text    string
	literal bool
	clear   bool
}

// Read returns the boot entries of a configuration: every "linux" command with its "initrd" command. Paths have no
// GRUB device, and are as written if they use a variable that the file does not set. Files of "source" are part of
// it; menus are the files of "configfile" and "normal".
func Read(cfg []byte, open bootmenu.Open) (*bootmenu.Menu, error) {
	r := &reader{open: open, vars: map[string]variable{}, functions: map[string][]command{}, files: map[string][]command{}, out: &bootmenu.Menu{}}
	main, err := r.load(cfg, "")
	if err != nil {
		return nil, err
	}
	r.run(main, nil, 0)
	return r.out, nil
}

// load reads a file, its functions separately, and its sourced files.
func (r *reader) load(cfg []byte, name string) ([]command, error) {
	commands, err := parse(cfg)
	if err != nil {
		return nil, fmt.Errorf("read GRUB configuration: %w", err)
	}
	var main []command
	for _, c := range commands {
		c.place.File = name
		r.learn(&c)
		if c.is("export") {
			for _, w := range c.words[1:] {
				r.exported = append(r.exported, w.text)
			}
		}
		if slices.Contains(harmlessCommands(), c.fn) {
			r.doubt(&c, "the function "+c.fn+", which has a command's name")
		}
		if c.fn != "" {
			r.functions[c.fn] = append(r.functions[c.fn], c)
		} else {
			main = append(main, c)
		}
	}
	for i := range commands {
		if c := &commands[i]; c.isSource() {
			if err := r.source(device.ReplaceAllString(r.expand(c.words[1], nil, 0), "")); err != nil {
				return nil, err
			}
		}
	}
	return main, nil
}

// source reads a sourced file once.
func (r *reader) source(name string) error {
	if _, known := r.files[name]; known || strings.Contains(withoutPlace(name), "$") {
		return nil
	}
	if len(r.files) >= maxFiles {
		return fmt.Errorf("read GRUB configuration: %w: more than %d files are run", ErrInvalid, maxFiles)
	}
	r.files[name] = nil
	text, err := r.open(name)
	if err != nil || text == nil {
		return err
	}
	r.files[name], err = r.load(text, name)
	return err
}

var assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=(?s:(.*))$`)

// learn records the variables that a command sets.
func (r *reader) learn(c *command) {
	set := func(name string, v variable) {
		if old, known := r.vars[name]; known && (old.text != v.text || !old.clear) {
			v.clear = false
		}
		r.vars[name] = v
	}
	unclear := func(text string) {
		name := text[strings.LastIndexAny(text, "=:")+1:]
		if name == "root" && !strings.HasPrefix(c.words[0].text, "search") { // which searches disks
			r.doubt(c, "the device that "+c.words[0].text+" sets")
		}
		set(name, variable{})
	}
	for i, w := range c.words {
		m := assignment.FindStringSubmatch(w.text)
		switch {
		case m != nil && (i == 0 || i == 1 && c.is("set")):
			if m[1] == "root" { // GRUB strips the parentheses and shows the device with them
				m[2] = strings.Trim(m[2], "()")
				if !disk.MatchString(m[2]) {
					r.doubt(c, "the device "+w.text)
				}
			}
			set(m[1], variable{m[2], w.literal, true})
		case strings.HasPrefix(w.text, "--set="), i > 0 && setsNext(&c.words[i-1]), i == 1 && c.is("for", "read", "unset"):
			unclear(w.text)
		}
	}
}

// setsNext reports whether a word may be an option whose value names a variable: --set, or -s among other letters.
func setsNext(w *word) bool {
	return !w.literal || w.text == "--set" || strings.HasPrefix(w.text, "-") && strings.HasSuffix(w.text, "s")
}

// isSource reports whether a command runs a file in its own place.
func (c *command) isSource() bool { return c.is("source", ".", "normal") && len(c.words) == 2 }

// run follows commands. args are the arguments of the enclosing function.
func (r *reader) run(commands []command, args []string, depth int) {
	for i := range commands {
		c := &commands[i]
		r.steps++
		r.text += c.words[len(c.words)-1].end - c.words[0].start
		if r.steps > maxSteps || r.text > maxText || depth > maxDepth {
			r.doubt(c, "more commands than anybody follows")
			return
		}
		if c.inMenu {
			args = nil // the entry has its own arguments, which only its title shows
		}
		switch {
		case c.is("menuentry", "submenu"):
			r.last = false
			r.options(c, args)
		case c.isLinux() && len(c.words) > 1:
			r.linux(c, args)
		case c.is("initrd", "initrdefi", "initrd16"):
			if !r.last {
				r.doubt(c, "an initrd without a kernel in front of it")
				continue
			}
			e := &r.out.Entries[len(r.out.Entries)-1]
			for _, w := range c.words[1:] {
				e.Initrds = append(e.Initrds, r.path(c, w, args))
			}
			r.last = false
		case c.isSource(), c.is("configfile") && len(c.words) == 2:
			r.menu(c, args, depth)
		default:
			r.other(c, args, depth)
		}
	}
}

// menu follows a command that names a menu. "configfile" starts it with only the exported variables.
func (r *reader) menu(c *command, args []string, depth int) {
	p := r.path(c, c.words[1], args)
	switch {
	case strings.Contains(withoutPlace(p), "$") || r.files[p] == nil && c.isSource() && args != nil:
		r.doubt(c, "the menu "+c.words[1].text)
	case c.isSource():
		r.run(r.files[p], args, depth+1)
	default:
		r.out.Menus = append(r.out.Menus, p)
		r.leave(c)
	}
}

// leave checks the exports to another menu, which mkbuild reads separately.
func (r *reader) leave(c *command) {
	for _, name := range r.exported {
		if !slices.Contains(harmlessExports(), name) {
			r.doubt(c, "the variable "+name+", which goes on to another menu")
		}
	}
	if _, set := r.vars["prefix"]; set {
		r.out.Prefix = device.ReplaceAllString(r.expand(word{text: "$prefix"}, nil, 0), "")
		if strings.Contains(r.out.Prefix, "$") {
			r.doubt(c, "the prefix of another menu")
		}
	}
}

// harmlessExports are variables for a menu's appearance or device.
func harmlessExports() []string {
	return strings.Fields(`root prefix default timeout timeout_style pager theme icondir locale_dir secondary_locale_dir lang superusers
		gfxmode gfxpayload linux_gfx_mode menuentry_id_option color_normal color_highlight menu_color_normal menu_color_highlight`)
}

// options checks the options after the title of a menu entry: with --source its commands are the text of an option.
func (r *reader) options(c *command, args []string) {
	for _, w := range c.words[1:] {
		if w.text == "$menuentry_id_option" || w.text == "${menuentry_id_option}" {
			continue
		}
		name, _, _ := strings.Cut(r.expand(w, args, 0), "=")
		known := slices.Contains([]string{"--class", "--users", "--hotkey", "--id", "--unrestricted"}, name)
		if !known && (strings.HasPrefix(name, "-") || strings.HasPrefix(name, "$")) {
			r.doubt(c, "the option "+name+" of a menu entry")
		}
	}
}

// withoutPlace drops the variables that GRUB itself sets to a menu's place.
func withoutPlace(p string) string {
	return strings.NewReplacer("${prefix}", "", "$prefix", "", "${config_directory}", "", "$config_directory", "").Replace(p)
}

func (r *reader) doubt(c *command, what string) {
	r.out.Doubts = append(r.out.Doubts, bootmenu.Doubt{Place: c.place, Text: what})
}

func (r *reader) linux(c *command, args []string) {
	e := bootmenu.Entry{Place: c.place, Name: c.entry, Kernel: r.path(c, c.words[1], args)}
	var words []string
	for _, w := range c.words[2:] {
		text := r.expand(w, args, 0)
		if strings.ContainsAny(text, " \t") { // GRUB puts quotes around it
			text = `"` + text + `"`
		}
		words = append(words, text)
		if list, ok := strings.CutPrefix(text, "initrd="); ok { // for the kernel's EFI stub
			e.Initrds = append(e.Initrds, strings.Split(list, ",")...)
		}
	}
	e.Append = strings.Join(words, " ")
	r.out.Entries = append(r.out.Entries, e)
	r.last = true
}

// harmlessCommands start nothing from the medium.
func harmlessCommands() []string {
	return strings.Fields(`set export unset insmod rmmod loadfont search search.file search.fs_label search.fs_uuid search_label search_fs_uuid
		terminal_output terminal_input terminal serial echo true false sleep play background_image background_color clear test [ [[
		videoinfo vbeinfo lsmod ls cat probe regexp read for function return break continue pager keystatus keymap gptsync
		reboot halt exit fwsetup normal_exit password password_pbkdf2 authenticate save_env cpuid hdparm lspci date devicetree`)
}

func (r *reader) other(c *command, args []string, depth int) {
	name, last := c.words[0], c.words[len(c.words)-1].text
	body, called := r.functions[name.text]
	switch {
	case c.is("normal") && len(c.words) == 1: // the current menu
	case called:
		var values []string
		for _, w := range c.words[1:] {
			values = append(values, r.expand(w, args, 0))
		}
		r.run(body, values, depth+1)
	case c.is("chainloader") && strings.Contains(last, "+1") && !strings.Contains(last, "/"):
	case assignment.MatchString(name.text), name.literal && slices.Contains(harmlessCommands(), name.text):
	default:
		r.doubt(c, "the command "+name.text)
	}
}

var (
	// disk matches devices of a medium or a disk. Others are a file, the network, or the loader's own memory.
	disk   = regexp.MustCompile(`^(?:hd|cd|fd|usb|ata|ahci|scsi)[0-9]*(?:,[a-z0-9]+)*$`)
	named  = regexp.MustCompile(`\$(?:\{([^}]+)\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?]))`)
	device = regexp.MustCompile(`^\(([^)]*)\)`)
	blocks = regexp.MustCompile(`^[0-9]*\+[0-9]`)
)

// path returns a word as a path on the boot medium: variables expanded, the device dropped.
func (r *reader) path(c *command, w word, args []string) string {
	text := r.expand(w, args, 0)
	p := device.ReplaceAllString(text, "")
	m := device.FindStringSubmatch(text)
	switch {
	case m != nil && !disk.MatchString(m[1]) && m[1] != "$root" && m[1] != "${root}":
		r.doubt(c, "the device of "+text)
	case blocks.MatchString(p):
		r.doubt(c, "the blocks "+text)
	case strings.ContainsAny(p, "*?["):
		r.doubt(c, "the pattern "+text)
	}
	return p
}

// expand replaces the variables of a word. Beyond the bounds they stay as written.
func (r *reader) expand(w word, args []string, depth int) string {
	if w.literal || depth > maxDepth {
		return w.text
	}
	return named.ReplaceAllStringFunc(w.text, func(s string) string {
		if r.text <= maxText {
			s = r.value(s, args, depth)
			r.text += len(s)
		}
		return s
	})
}

// value returns the text of a variable, or the variable as written.
func (r *reader) value(s string, args []string, depth int) string {
	name := strings.Trim(s, "${}")
	if n, err := strconv.ParseUint(name, 10, 31); err == nil && n > 0 && int(n) <= len(args) {
		return args[n-1]
	}
	if name == "@" || name == "*" {
		return strings.Join(args, " ")
	}
	if v, ok := r.vars[name]; ok && v.clear {
		return r.expand(word{text: v.text, literal: v.literal}, nil, depth+1)
	}
	return s
}
