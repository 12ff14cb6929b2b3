package osproc

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What it takes to keep descriptors from a child, beside what a fork takes: with
// more and more of them open.
func BenchmarkDescriptors(b *testing.B) {
	for _, open := range []int{0, 100, 400, 4000, 10000} {
		b.Run(fmt.Sprintf("%d open", open), func(b *testing.B) {
			for range open {
				fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					b.Skip(err) // the limit
				}
				defer unix.Close(fd)
			}
			b.Run("asked", func(b *testing.B) {
				for b.Loop() {
					askDescriptors()
				}
			})
			b.Run("asked each", func(b *testing.B) {
				for b.Loop() {
					askEach(countDescriptors())
				}
			})
			b.Run("read", func(b *testing.B) {
				for b.Loop() {
					inheritable(false)
				}
			})
			for name, start := range map[string]func(string, []string, *syscall.ProcAttr) (int, error){"fork": justFork, "fork closing": forkExec} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						pidfd := -1
						pid, err := start("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: sysProcAttr(Command{}, &pidfd)})
						if err != nil {
							b.Fatal(err)
						}
						unix.Close(pidfd)
						b.StopTimer()
						if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				})
			}
		})
	}
}

// justFork starts a process that may inherit anything.
func justFork(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	pid, _, err := syscall.StartProcess(path, argv, attr)
	return pid, err
}
