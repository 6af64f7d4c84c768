package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a TCP port of the loopback without a listener at this moment.
func FreePort(t testing.TB) int { return FreePorts(t, 1)[0] }

// FreePorts returns n different ports. They are below the kernel's automatic ports (net.ipv4.ip_local_port_range),
// so that no parallel test gets them meanwhile.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // held until all are found, so that they differ
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatal("no free TCP port")
	return nil
}
