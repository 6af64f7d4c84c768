package mkclient

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mkbuild/internal/mkclient/clientlog"
	"mkbuild/internal/mkclient/facts"
)

// open lists possible ways into a running machine. `mkbuild test` reads its JSON on the console.
type open struct {
	// Listening are the sockets that receive from a network, each with its program: "tcp 0.0.0.0:23 /bin/busybox
	// telnetd".
	Listening []string `json:"listening"`
	// Consoles are the terminals that a process reads, each with its program: "ttyS0 /bin/busybox getty".
	Consoles []string `json:"consoles"`
}

// reportOpen adds the open sockets and consoles to the facts, and to the log when they change. It leaves out Tiny
// Core's DHCP client: its sockets come and go with the lease.
func (c *Client) reportOpen(col *facts.Collection) {
	o := findOpen(c.opt.Facts.Root)
	text, _ := json.Marshal(o)
	c.log.Changed("open", clientlog.Info, "open: %s", text)
	words := func(list []string) string {
		if len(list) == 0 {
			return "none"
		}
		return strings.Join(list, "; ")
	}
	col.Add("mk-client", facts.Facts{"mk_listening": words(o.Listening), "mk_consoles": words(o.Consoles)})
}

// findOpen reads /proc. Unix sockets are not a way in: only processes of the machine reach them.
func findOpen(root facts.Root) open {
	before, o := listening(root), open{Listening: []string{}, Consoles: []string{}}
	owners := map[string]string{} // of sockets, by inode
	fds, _ := filepath.Glob(root.Path("proc/[1-9]*/fd/*"))
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		dir := filepath.Dir(filepath.Dir(fd))
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		switch pid := filepath.Base(dir); {
		case err != nil:
		case isSocket:
			owners[strings.TrimSuffix(inode, "]")] = programOf(dir)
		case pid == "1" || pid == strconv.Itoa(os.Getpid()): // init and mk-client never read
		case target == "/dev/console" && filepath.Base(fd) != "0": // output of every boot script
		case terminal.MatchString(target) && readable(dir, filepath.Base(fd)):
			o.Consoles = append(o.Consoles, strings.TrimPrefix(target, "/dev/")+" "+programOf(dir))
		}
	}
	for inode, socket := range listening(root) {
		program := owners[inode]
		if before[inode] == "" || strings.HasPrefix(program, "/bin/busybox udhcpc") {
			continue // new since the scan: the next cycle sees it, if it stays
		}
		if program == "" {
			program = "no program"
		}
		o.Listening = append(o.Listening, socket+" "+program)
	}
	o.Listening, o.Consoles = sorted(o.Listening), sorted(o.Consoles)
	return o
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// terminal matches devices with a keyboard or a serial line. Pseudoterminals need a server, which listens.
var terminal = regexp.MustCompile(`^/dev/(console|tty|hvc|hvsi|xvc|vc/)[A-Za-z0-9]*$`)

// readable reports whether a descriptor was opened for reading (proc(5), fdinfo: flags in octal).
func readable(dir, fd string) bool {
	b, _ := os.ReadFile(filepath.Join(dir, "fdinfo", fd))
	_, text, _ := strings.Cut(string(b), "flags:")
	text, _, _ = strings.Cut(text, "\n")
	flags, err := strconv.ParseUint(strings.TrimSpace(text), 8, 64)
	return err != nil || flags&3 != uint64(os.O_WRONLY)
}

// programOf names a process by its executable, and by its applet or script, if it is a busybox or an interpreter.
func programOf(dir string) string {
	program, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return "an unknown program"
	}
	b, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	args := strings.Split(string(b), "\x00")
	if filepath.Base(args[0]) != filepath.Base(program) {
		program += " " + args[0]
	}
	if len(args) > 1 && (strings.HasPrefix(args[1], "/") || filepath.Base(args[0]) == "busybox") {
		program += " " + args[1]
	}
	return clientlog.Printable(program[:min(len(program), 200)])
}

// listening lists the receiving sockets of the internet families and of raw packets, by inode.
func listening(root facts.Root) map[string]string {
	sockets := map[string]string{}
	for _, family := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "packet"} {
		b, err := os.ReadFile(root.Path("proc/net/" + family))
		if err != nil && family == "tcp" {
			sockets["?"] = "cannot list listening sockets: " + err.Error()
		}
		for line := range strings.Lines(string(b)) {
			if inode, where := parseSocket(family, strings.Fields(line)); inode != "" {
				sockets[inode] = family + " " + where
			}
		}
	}
	return sockets
}

// parseSocket reads a line of /proc/net/FAMILY. The inode is "" for the heading, and for sockets that are connected
// to one address: state 1, or not 10, which is LISTEN, with TCP (net/tcp_states.h).
func parseSocket(family string, f []string) (inode, where string) {
	switch tcp := strings.HasPrefix(family, "tcp"); {
	case len(f) < 9 || f[0] == "sl" || f[0] == "sk":
	case family == "packet":
		return f[8], "protocol " + f[3]
	case len(f) > 9 && (tcp && f[3] == "0A" || !tcp && f[3] != "01"):
		return f[9], address(f[1])
	}
	return "", ""
}

// address reads an address and a port in hexadecimal; the kernel writes the former as words of this machine.
func address(text string) string {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(b)%4 != 0 {
		return text
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	ip, _ := netip.AddrFromSlice(b)
	return fmt.Sprint(netip.AddrPortFrom(ip, uint16(n)))
}
