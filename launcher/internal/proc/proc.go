// Package proc reads what the kernel tells of processes in /proc, and proves
// that a process is the one that it was.
package proc
