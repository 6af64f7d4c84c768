package lock_test

import (
	"fmt"

	"mkbuild/internal/fail"
	"mkbuild/internal/lock"
)

func ExampleLock_DriftFrom() {
	old, now := &lock.Lock{}, &lock.Lock{}
	old.Add(lock.Input{Kind: lock.TCZ, Name: "bash.tcz", SHA256: "aa"})
	now.Add(lock.Input{Kind: lock.TCZ, Name: "bash.tcz", SHA256: "bb"})
	for _, d := range now.DriftFrom(old) {
		fmt.Println(d)
		fmt.Println(fail.HintOf(d))
	}
	// Output:
	// check bash.tcz against the lock: sha256: locked aa, now bb
	// if you trust it, accept it with `mkbuild lock --update=bash.tcz`
}
