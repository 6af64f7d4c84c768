package boottest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mkbuild/internal/medium"
	"mkbuild/internal/qemu"
	"mkbuild/internal/razor"
	"mkbuild/internal/wholefile"
)

// guestAddress is this machine's loopback as QEMU's guests see it.
const guestAddress = "10.0.2.2"

// checkIn is a node's report.
type checkIn struct {
	node  string
	facts map[string]any
}

// server serves iPXE's files and receives check-ins, on a free port of the loopback.
type server struct {
	listener net.Listener
	http     http.Server
	mux      *http.ServeMux
	checkIns chan checkIn
	cleanup  []func() error
}

// serve starts a server, with a check-in server if a test asks for it.
func serve(ctx context.Context, withRazor bool) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{listener: l, mux: http.NewServeMux(), checkIns: make(chan checkIn, 1)}
	s.http.Handler, s.http.ReadHeaderTimeout = s.mux, 30*time.Second
	s.cleanup = append(s.cleanup, s.http.Close)
	if withRazor {
		if err := s.addRazor(); err != nil {
			s.close()
			return nil, errors.Join(err, l.Close())
		}
	}
	go s.http.Serve(l) //nolint:errcheck // it ends with close
	return s, nil
}

// addRazor adds the check-in server, with a database that lives as long as the test.
func (s *server) addRazor() error {
	dir, release, err := wholefile.TempFolder()
	if err != nil {
		return err
	}
	s.cleanup = append(s.cleanup, func() error { release(); return nil })
	r, err := razor.New(razor.Options{
		Config: razor.DefaultConfig(), DataDir: dir,
		CheckedIn: func(node string, facts map[string]any) {
			select {
			case s.checkIns <- checkIn{node, facts}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	s.cleanup = append(s.cleanup, r.Close)
	s.mux.Handle("/svc/", r.Handler(nil))
	return nil
}

func (s *server) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f() //nolint:errcheck,gosec // nothing is kept of it
	}
}

// guestHost is HOST:PORT of the server as the machine sees it.
func (s *server) guestHost() string {
	return net.JoinHostPort(guestAddress, strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port))
}

// publish serves the files of a PXE folder.
func (s *server) publish(folder *medium.Medium) {
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		e := folder.Files.Get(strings.TrimPrefix(r.URL.Path, "/"))
		if e == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(e.Size, 10)) // with the length, iPXE allocates once
		e.CopyTo(w)                                                     //nolint:errcheck,gosec // iPXE went away
	})
}

// await waits for the first check-in, or for the machine's failure.
func (s *server) await(ctx context.Context, vm *qemu.VM) (checkIn, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- vm.Watch(watching) }()
	select {
	case c := <-s.checkIns:
		return c, nil
	case err := <-failed:
		if errors.Is(err, context.DeadlineExceeded) {
			err = vm.Failure(qemu.RuleNoCheckIn, "")
		}
		return checkIn{}, err
	}
}
