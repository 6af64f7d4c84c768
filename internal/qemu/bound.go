package qemu

import (
	"os/exec"
	"runtime"
	"sync"
)

// startBound starts a program that dies with this process, if the system can do that: see [dieTogether]. The
// caller calls release after the program has ended.
//
// The system watches the thread that started the program, not the process (PR_SET_PDEATHSIG of prctl(2)), so the
// thread is kept while the program runs.
func startBound(cmd *exec.Cmd) (release func(), err error) {
	dieTogether(cmd)
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-ended
		}
	}()
	return sync.OnceFunc(func() { close(ended) }), <-started
}
