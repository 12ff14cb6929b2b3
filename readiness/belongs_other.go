//go:build !unix

package readiness

func belongs(pid, leader int) bool { return pid == leader }
