//go:build !unix

package main

import "syscall"

// signalTable has the signals that a person sends, by their names.
var signalTable = []struct {
	name   string
	signal syscall.Signal
}{
	{"TERM", syscall.SIGTERM},
	{"INT", syscall.SIGINT},
	{"KILL", syscall.SIGKILL},
}
