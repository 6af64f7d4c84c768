package razor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// defaultPort is where Razor listens since its version 1.1.
const defaultPort = "8150"

// hostPattern is what may stand in a Host header that goes into a script for iPXE.
var hostPattern = regexp.MustCompile(`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\z`)

// baseURL is the address by which the client reached us; it goes into scripts and kernel
// command lines.
func (s *Server) baseURL(r *http.Request) (string, bool) {
	if !hostPattern.MatchString(r.Host) {
		return "", false
	}
	return "http://" + r.Host, true
}

// lookupRequest is what /svc/nodeid and /svc/boot share.
func (s *Server) lookupRequest(r *http.Request, after func(*txn, *Node) error) (*Node, error) {
	hw, dhcp := queryHW(r.URL.Query())
	var n *Node
	err := s.store.update(func(t *txn) (err error) {
		if n, err = s.lookup(t, hw, dhcp); err != nil {
			return err
		}
		return after(t, n)
	})
	var dup *duplicateError
	switch {
	case errors.As(err, &dup):
		s.logDuplicate(dup)
	case err == nil:
		s.hub.publish(n.ID)
	}
	if err != nil {
		s.log.Warn("look up node", "path", r.URL.Path, "error", err)
	}
	return n, err
}

// handleNodeID is GET /svc/nodeid: it finds or makes the node and tells its number, which is
// all that a microkernel without PXE needs to check in.
func (s *Server) handleNodeID(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.Query()) == 0 {
		s.empty(w, http.StatusBadRequest)
		return
	}
	n, err := s.lookupRequest(r, func(*txn, *Node) error { return nil })
	var dup *duplicateError
	switch {
	case errors.As(err, &dup):
		s.empty(w, s.unlessCorrect(http.StatusBadRequest, http.StatusConflict))
	case errors.Is(err, errNoKey), errors.Is(err, errTooMany):
		s.failure(w, http.StatusBadRequest, err.Error())
	case err != nil:
		s.failure(w, http.StatusInternalServerError, "the node was not stored")
	default:
		s.writeJSON(w, http.StatusOK, map[string]uint64{"id": n.ID})
	}
}

// handleBoot is GET /svc/boot: the iPXE script for one machine.
func (s *Server) handleBoot(w http.ResponseWriter, r *http.Request) {
	base, ok := s.baseURL(r)
	if !ok {
		s.empty(w, http.StatusBadRequest)
		return
	}
	n, err := s.lookupRequest(r, func(t *txn, n *Node) error {
		e := LogEntry{Timestamp: s.now(), Event: "boot", Task: "microkernel", Template: "boot", Policy: n.Policy}
		if bootsLocally(n) {
			e.Task, e.Template = "noop", "boot_local"
		}
		return t.log(n.ID, e)
	})
	var dup *duplicateError
	switch {
	case errors.As(err, &dup), errors.Is(err, errNoKey), errors.Is(err, errTooMany):
		s.empty(w, http.StatusBadRequest)
	case err != nil:
		s.empty(w, http.StatusInternalServerError)
	case bootsLocally(n):
		s.script(w, localScript(n))
	default:
		s.script(w, s.microkernelScript(base, n))
	}
}

// bootsLocally says that the node is no business of the microkernel any more: bound, or
// installed and registered.
func bootsLocally(n *Node) bool {
	return n.Policy != "" || n.Installed != "" && n.Registered
}

func (s *Server) script(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = io.WriteString(w, text)
}

// kernelArgs is the kernel command line that /svc/boot gives to a node: Razor's fixed words for
// its own live image, which others ignore, then the addresses, then microkernel.kernel_args.
func (c *Config) kernelArgs(base string, id uint64) string {
	args := []string{"rootflags=loop", "initrd=initrd0.img", "root=live:/microkernel.iso", "rootfstype=auto", "ro",
		"rd.live.image", c.DebugLevel, "acpi=force", "rd.luks=0", "rd.md=0", "rd.dm=0",
		fmt.Sprintf("razor.register=%s/svc/checkin/%d", base, id),
		"razor.extend=" + base + "/svc/mk/extension.zip", c.KernelArgs}
	return strings.Join(strings.Fields(strings.Join(args, " ")), " ")
}

func (s *Server) microkernelScript(base string, n *Node) string {
	repo := base + "/svc/repo/microkernel"
	return fmt.Sprintf(`#!ipxe
initrd %s/initrd0.img || goto error
kernel %s/vmlinuz0 %s || goto error
boot || goto error

:error
prompt --key s --timeout %d ERROR, hit 's' for the iPXE shell; reboot in %d seconds && shell || reboot
`, repo, repo, s.config.kernelArgs(base, n.ID), s.config.CheckinInterval*1000, s.config.CheckinInterval)
}

// localScript sends a bound or installed node to its disk: this server installs nothing.
func localScript(n *Node) string {
	why := "it is installed"
	if n.Policy != "" {
		why = "it is bound to a policy, and this development server installs nothing"
	}
	return fmt.Sprintf(`#!ipxe
echo Node %d boots locally: %s
sleep 3
sanboot --no-describe --drive 0x80 || exit 0
`, n.ID, why)
}

var (
	nicMaxPattern = regexp.MustCompile(`\A[1-9][0-9]*\z`)
	portPattern   = regexp.MustCompile(`\A[1-9][0-9]{0,4}\z`)
)

// maxNICs bounds the script; Razor has no bound.
const maxNICs = 64

// handleBootstrap is GET /api/microkernel/bootstrap?nic_max=N&http_port=P: the script that an
// operator puts on the TFTP server.
func (s *Server) handleBootstrap(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	nics := 4
	if q.Has("nic_max") {
		n, err := strconv.Atoi(last(q["nic_max"]))
		if !nicMaxPattern.MatchString(last(q["nic_max"])) || err != nil || n > maxNICs {
			s.failure(w, http.StatusBadRequest, "The nic_max parameter must be an integer not starting with 0")
			return
		}
		nics = n
	}
	port := last(q["http_port"])
	if n, err := strconv.Atoi(port); q.Has("http_port") && (!portPattern.MatchString(port) || err != nil || n > 65535) {
		s.failure(w, http.StatusBadRequest, "The http_port parameter must be an integer between 1 and 65535")
		return
	}
	if !hostPattern.MatchString(r.Host) {
		s.empty(w, http.StatusBadRequest)
		return
	}
	host, own, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, own = strings.Trim(r.Host, "[]"), "80"
	}
	if port == "" {
		port = own
	}
	if port == "" {
		port = defaultPort
	}
	s.script(w, bootstrapScript(net.JoinHostPort(host, port), nics))
}

// bootstrapScript tries DHCP on each interface in turn, up to 60 times with growing pauses, and
// then asks /svc/boot with everything iPXE knows about the machine.
func bootstrapScript(hostport string, nics int) string {
	var b, q strings.Builder
	for i := range nics {
		next := fmt.Sprintf("dhcp_net%d", i+1)
		if i == nics-1 {
			next = "chain_boot"
		}
		fmt.Fprintf(&b, ":dhcp_net%d\nisset ${net%d/mac} && dhcp net%d || goto %s\necho net%d has DHCP\nset dhcp_mac ${net%d/mac:hexhyp}\ngoto chain_boot\n\n",
			i, i, i, next, i, i)
		fmt.Fprintf(&q, "net%d=${net%d/mac:hexhyp}&", i, i)
	}
	return `#!ipxe
set tries:uint32 0
set maxtries:uint32 60

:retry
isset ${ip} || goto dhcp_net0
set dhcp_mac ${mac:hexhyp}
goto chain_boot

` + b.String() + `:chain_boot
chain http://` + hostport + `/svc/boot?` + q.String() +
		`dhcp_mac=${dhcp_mac}&serial=${serial}&asset=${asset}&uuid=${uuid}&fact_boot_type=${platform} || goto error
echo the chained script came back: booting locally
exit

:error
iseq ${tries} ${maxtries} && goto failed ||
inc tries
sleep ${tries}
goto retry

:failed
echo no DHCP after ${tries} attempts, giving up
sleep 60
reboot
`
}

// handleRepo is GET /svc/repo/microkernel/{vmlinuz0,initrd0.img}, whatever the case of the path.
func (s *Server) handleRepo(w http.ResponseWriter, r *http.Request) {
	path := r.PathValue("path")
	var open BootFile
	switch strings.ToLower(path) {
	case "microkernel/vmlinuz0":
		open = s.opts.Kernel
	case "microkernel/initrd0.img":
		open = s.opts.Initrd
	}
	if open == nil {
		s.failure(w, http.StatusNotFound, "File "+clip(path, 200)+" not found")
		return
	}
	f, mtime, err := open()
	if err != nil {
		s.log.Error("open boot file", "path", path, "error", err)
		s.failure(w, http.StatusNotFound, "File "+clip(path, 200)+" not found")
		return
	}
	if c, ok := f.(io.Closer); ok {
		defer c.Close() //nolint:errcheck // only read
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", mtime, f)
}
