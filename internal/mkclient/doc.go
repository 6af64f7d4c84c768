// Package mkclient is the client inside a booted microkernel. In every cycle it refreshes the
// extension, collects facts with Facter and from the hardware, writes MCollective's facts
// file, reports to the Razor server and acts on the answer.
//
// The order of duties is fixed: whatever happens to the extension, to Facter or to a hardware
// tool, a check-in still goes out with the facts that are left. Nothing in here ends the loop
// but its context.
//
// It runs as root on kernels from 3.0 on, so it keeps to system calls of that time, and it
// treats everything that the network hands it as hostile.
package mkclient
