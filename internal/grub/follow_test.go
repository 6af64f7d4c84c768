package grub

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mkbuild/e2e/testkit/menus"
	"mkbuild/internal/bootmenu"
)

// shown is an entry in the tests: "kernel initrds | arguments".
func shown(e bootmenu.Entry) string {
	return fmt.Sprintf("%s %s | %s", e.Kernel, strings.Join(e.Initrds, ","), e.Append)
}

// nested are functions f1 to fN, each of which runs the next; the last boots /k.
func nested(n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf("function f%d { f%d; }\n", i+1, i+2)
	}
	return strings.Replace(text, fmt.Sprintf("f%d;", n+1), "linux /k;", 1) + "f1\n"
}

// chained are variables v1 to vN, each the text of the next, and a menu that boots $v1.
func chained(n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf("v%d=$v%d\n", i+1, i+2)
	}
	return text + fmt.Sprintf("v%d=/k\nlinux $v1\n", n+1)
}

// TestFollow tests the entries of variables, functions and other files.
func TestFollow(t *testing.T) {
	files := map[string]string{
		"/a.cfg": "linux $k\n", "/loop.cfg": "\nsource /loop.cfg\n", "/args.cfg": "linux /k $1\n", "${prefix}/p.cfg": "x\n",
	}
	for i := range 17 {
		files[fmt.Sprintf("/%d", i)] = fmt.Sprintf("source /%d\n", i+1)
	}
	files["/17"] = "linux /k\n"
	open := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, nil
	}
	menus.Read(t, []menus.Case{
		{"linux /k a\ninitrd /i /j\ninitrd /x\n", ":1 /k /i,/j | a\n:3 an initrd without a kernel in front of it\n"},
		{"linux /k\nmenuentry x { initrd /i; }", ":1 /k  | \n:2 an initrd without a kernel in front of it\n"},
		{"linux\n", ":1 the command linux\n"},
		{"linux /k initrd=/i,/j \"a b\" \"c\td\"\n", ":1 /k /i,/j | initrd=/i,/j \"a b\" \"c\td\"\n"},

		// words
		{"linux \\\n/k\\\nl a\\ b 'c\\d' \"e\\f\\\"\\$g\\\\\"\r\n", ":1 /kl  | \"a b\" c\\d e\\f\"$g\\\n"},
		{"linux \\\r\n/k;linux /l # x\n;# y", ":1 /k  | \n:2 /l  | \n"},
		{"\n}\n{ linux /k }\n", ":3 /k  | \n"},
		{"k=/k\nlinux ${k\n}\nlinux ${k}\nlinux $k{\n", ":2 $  | \n:4 /k  | \n:5 /k  | \n:2 the command k\n"},
		{"k=/k\nlinux \"$k\" '$k' \\$k \"\\$k\"\n", ":2 /k  | $k $k $k\n"},
		{"if true; then linux /k; else ! linux /l; fi\nwhile true; do linux /m; done\n", ":1 /k  | \n:1 /l  | \n:2 /m  | \n"},

		// variables
		{"k=/k\nset k=/k\nlinux $k\n", ":3 /k  | \n"},
		{"k=/k\nk=/l\nk=/k\nlinux $k\n", ":4 $k  | \n"},
		{"set root='(hd0,1)'\nlinux ($root)/k\n", ":2 /k  | \n"},
		{"set x y=/k\nlinux $y\n", ":2 $y  | \n"},
		{"echo y=/k\nlinux $y\n", ":2 $y  | \n"},
		{"a=$b\nb='$c'\nc=/k\nlinux $a ${c}\n", ":4 $c  | /k\n"},
		{chained(16), ":18 /k  | \n"},
		{chained(17), ":19 $v18  | \n"},
		{"a=$a\nlinux $a\n", ":2 $a  | \n"},
		{"k=/k\nprobe --set=k x\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nprobe --set x -s k\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nprobe --set k x\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nregexp --set 1:k x\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nregexp --set=1:k x\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nread k\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nunset k\nlinux $k\n", ":3 $k  | \n"},
		{"k=/k\nunset x k\ntest k\nlinux $k\n", ":4 /k  | \n"},
		{"k=/k\nfor x in k; do linux $k; done\n", ":2 /k  | \n"},

		// functions
		{"function f { linux $1 $2 ${3} $4 $0; }\nf /k \"a b\" c\n", ":1 /k  | \"a b\" c $4 $0\n"},
		{"function f { linux /k $@; linux /l $*; }\nf a b\n", ":1 /k  | \"a b\"\n:1 /l  | \"a b\"\n"},
		{"function f { linux /k $12 $1; }\nf a\n", ":1 /k  | $12 a\n"},
		{"function f { linux /k; }\n", ""},
		{"function f { shift; linux $1; }\nf /k /l\n", ":1 /k  | \n:1 the command shift\n"},
		{"menuentry function { linux /k; }\nfunction { linux /l; }\n", ":1 /k  | \n:2 /l  | \n"},
		{nested(16), ":16 /k  | \n"},
		{nested(17), ":17 more commands than anybody follows\n"},
		{strings.Repeat("true\n", maxSteps-1) + "linux /k\n", ":10000 /k  | \n"},
		{strings.Repeat("true\n", maxSteps) + "linux /k\n", ":10001 more commands than anybody follows\n"},

		// other files
		{"k=/k\n. /a.cfg\n", "/a.cfg:1 /k  | \n"},
		{"source (hd0)/a.cfg\n", "/a.cfg:1 $k  | \n"},
		{"source /none.cfg\nsource ${prefix}/p.cfg\n", "${prefix}/p.cfg:1 the command x\n"},
		{"source /loop.cfg\n", "/loop.cfg:2 more commands than anybody follows\n"},
		{"source /2\n", "/17:1 /k  | \n"},
		{"source /1\n", "/17:1 more commands than anybody follows\n"},
		{"source $x\nconfigfile $x\nnormal ${x}\n", ":1 the menu $x\n:2 the menu $x\n:3 the menu ${x}\n"},
		{"configfile (hd0)/x\nnormal $prefix/y\nnormal\n", "menu /x\n"},
		{"source /a.cfg /b.cfg\n", ":1 the command source\n"},
		{"function f { source $1; }\nf /none.cfg\n", ":1 the menu $1\n"},
		{"function f { source /args.cfg; }\nf a\n", "/args.cfg:1 /k  | a\n"},

		{"menuentry x $menuentry_id_option a ${menuentry_id_option} b --class c {\nlinux /k\n}\nmenuentry y --source z { true; }\n", ":2 /k  | \n:4 the option --source of a menu entry\n"},
		{"export x root\nconfigfile /m\n", "menu /m\n:2 the variable x, which goes on to another menu\n"},
		{"function echo { true; }\n", ":1 the function echo, which has a command's name\n"},
		{"linux /k*\ninitrd 1+2\n", ":1 /k* 1+2 | \n:1 the pattern /k*\n:2 the blocks 1+2\n"},

		// devices and commands
		{"linux (loop)/k\ninitrd (memdisk)/i\nlinux (hd0)/l\n", ":1 /k /i | \n:3 /l  | \n:1 the device of (loop)/k\n:2 the device of (memdisk)/i\n"},
		{"set root=(loop)\nroot=tftp,1.2.3.4\nset root=$x\nset loop=1\nset root=(hd0,msdos1)\nset root=hd\nroot=\n", ":1 the device root=(loop)\n:2 the device root=tftp,1.2.3.4\n:3 the device root=$x\n:7 the device root=\n"},
		{"for root in tftp; do true; done\nread root\nregexp --set=1:root (.*) tftp\nregexp --set root (.*) x\nsearch --set=root -f /x\nsearch.file /x root\n",
			":1 the device that for sets\n:2 the device that read sets\n:3 the device that regexp sets\n:4 the device that regexp sets\n"},
		{"x=hd0\nx=tftp\nset root=(hd0)\nsearch --set=root\nlinux ($x)/k\nlinux ($root)/k\nlinux (${root})/k\nlinux (mduuid/1)/k\n",
			":5 /k  | \n:6 /k  | \n:7 /k  | \n:8 /k  | \n:5 the device of ($x)/k\n:8 the device of (mduuid/1)/k\n"},
		{"chainloader +1\nchainloader (hd0)+1\nchainloader --force +1\nchainloader /a+1\nchainloader x\nchainloader\n", ":4 the command chainloader\n:5 the command chainloader\n:6 the command chainloader\n"},
		{"$x a\n'echo' a\nx=\n[ a ]\nelf\n", ":1 the command $x\n:5 the command elf\n"},
	}, func(b []byte) (*bootmenu.Menu, error) { return Read(b, open) }, shown)
}

// TestManyFiles: at most 64 files are run, and an error in one is an error.
func TestManyFiles(t *testing.T) {
	broken := errors.New("broken")
	open := func(name string) ([]byte, error) {
		switch name {
		case "/error":
			return nil, broken
		case "/quote":
			return []byte("'"), nil
		}
		return []byte("#"), nil
	}
	many := func(n int) (text string) {
		for i := range n {
			text += fmt.Sprintf("source /%d\n", i)
		}
		return text
	}
	for cfg, want := range map[string]error{many(maxFiles): nil, many(maxFiles + 1): ErrInvalid, "source /error\n": broken, "source /quote\n": ErrInvalid, "'": ErrInvalid} {
		if _, err := Read([]byte(cfg), open); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", cfg, err)
		}
	}
}

// TestSmallFilesThatGrow: variables, arguments and functions that multiply text stop at a limit, with a doubt.
func TestSmallFilesThatGrow(t *testing.T) {
	half := strings.Repeat("x", maxConfig/2)
	variables := ""
	for i := range maxDepth {
		variables += fmt.Sprintf("v%d=%s\n", i, strings.Repeat(fmt.Sprintf("$v%d", i+1), 20))
	}
	for name, cfg := range map[string]string{
		"variables":   variables + fmt.Sprintf("v%d=x\nlinux $v0\n", maxDepth),
		"arguments":   "function f { linux /k" + strings.Repeat(" $@", 10000) + "; }\nf " + half + "\n",
		"functions":   "function f { linux /k " + half + "; }\n" + strings.Repeat("f\n", 9000),
		"a long text": "v=" + half + "\nlinux /k" + strings.Repeat(" $v", 10000) + "\n",
	} {
		m, err := Read([]byte(cfg), none)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range m.Entries {
			size += len(e.Kernel) + len(e.Append)
		}
		if open := len(m.Doubts) > 0 || strings.Contains(m.Entries[0].Kernel+m.Entries[0].Append, "$"); size > 3*maxText || !open {
			t.Errorf("%s: %d bytes, %d doubts", name, size, len(m.Doubts))
		}
	}
}
