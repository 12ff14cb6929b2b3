package unixproc

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
	for _, open := range []int{0, 100, 400, 4000} {
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
			b.Run("read", func(b *testing.B) {
				for b.Loop() {
					highestDescriptor(true)
				}
			})
			for name, start := range map[string]forkExec{"fork": syscall.StartProcess, "fork alone": forkExecAlone} {
				b.Run(name, func(b *testing.B) {
					if name == "fork alone" && !canForkAlone() {
						b.Skip("this kernel cannot")
					}
					for b.Loop() {
						pidfd := -1
						pid, _, err := start("/bin/true", []string{"true"}, &syscall.ProcAttr{Sys: sysProcAttr(&pidfd)})
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
