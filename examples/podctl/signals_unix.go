//go:build unix

package main

import "syscall"

// signalTable has the signals that a person sends, by their names.
var signalTable = []struct {
	name   string
	signal syscall.Signal
}{
	{"TERM", syscall.SIGTERM},
	{"HUP", syscall.SIGHUP},
	{"INT", syscall.SIGINT},
	{"QUIT", syscall.SIGQUIT},
	{"KILL", syscall.SIGKILL},
	{"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2},
	{"WINCH", syscall.SIGWINCH},
	{"STOP", syscall.SIGSTOP},
	{"CONT", syscall.SIGCONT},
	{"ABRT", syscall.SIGABRT},
	{"ALRM", syscall.SIGALRM},
}
