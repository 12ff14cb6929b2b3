//go:build linux && (amd64 || arm64)

package vfork

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fill opens descriptors until there is one with the number upTo, for as long as the test
// runs.
func fill(t testing.TB, upTo int) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if was.Cur <= uint64(upTo)+100 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(upTo) + 100, Max: max(was.Max, uint64(upTo)+100)}); err != nil {
			t.Skipf("%d descriptors: %v", upTo, err)
		}
		t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
	}
	for fd := 0; fd < upTo; {
		var err error
		if fd, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
}

// crowded runs f in a program that had few descriptors when it first had to fork with some,
// and has many.
func crowded(t *testing.T, f func(t *testing.T)) {
	if !leavesWell() {
		t.Skip("before Linux 6.11 a child has a copy of all descriptors")
	}
	lending.off, lending.failures = false, 0
	fill(t, keepFrom)
	output(t, Program{}, ":")
	fill(t, lending.above+manyMore+100)
	f(t)
	if lending.off || lending.failures > 0 || lending.above == 0 || lending.above > keepFrom+100 {
		t.Errorf("children have copies of all descriptors: off %v, failures %d, the socket is below %d", lending.off, lending.failures, lending.above)
	}
}

// With thousands of descriptors a child has those that it was given all the same, and is as
// one of package os/exec is.
func TestCrowded(t *testing.T) {
	crowded(t, func(t *testing.T) {
		bothWays(t, func(t *testing.T) {
			t.Run("files", TestFiles)
			t.Run("like exec", testLikeExec)
			t.Run("errors", TestErrors)
			t.Run("many", testMany)
		})
	})
}

// Many descriptors that are given come in order; what is given twice is there twice.
func TestCrowdedWithMany(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it opens thousands of files")
	}
	crowded(t, func(t *testing.T) {
		for _, n := range []int{1, 50, mostLent - 2, mostLent, 400} {
			var given []int
			var want strings.Builder
			for i := range n {
				path := fmt.Sprintf("%s/%d", t.TempDir(), i)
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				given = append(given, open(t, path))
				fmt.Fprintln(&want, path)
			}
			given = append(given, given[0])
			first, _, _ := strings.Cut(want.String(), "\n")
			fmt.Fprintln(&want, first)
			got := output(t, Program{Env: os.Environ()}, fmt.Sprintf(`i=3; while [ $i -le %d ]; do readlink /proc/$$/fd/$i; i=$((i+1)); done`, n+3), given...)
			if got != want.String() {
				t.Errorf("%d are given: the child has\n%s\nwant\n%s", n, got, want.String())
			}
		}
	})
}

// A record lock of this program outlives a fork that gives its file away.
func TestCrowdedKeepsRecordLocks(t *testing.T) {
	crowded(t, func(t *testing.T) {
		path := t.TempDir() + "/locked"
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		fd := open(t, path)
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			t.Fatal(err)
		}
		locked := func() bool {
			locks, err := os.ReadFile("/proc/locks")
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(strings.Split(string(locks), "\n"), func(line string) bool {
				return strings.Contains(line, "POSIX") && slices.Contains(strings.Fields(line), fmt.Sprint(os.Getpid()))
			})
		}
		if !locked() {
			t.Fatal("there is no record lock")
		}
		if got := output(t, Program{}, "readlink /proc/$$/fd/3", fd); got != path+"\n" {
			t.Errorf("the child has %q, want %q", got, path)
		}
		if !locked() {
			t.Error("the record lock is gone")
		}
	})
}

// What a child has not taken does not come to the next one: that of a fork which fails, here.
func TestCrowdedAfterAFailure(t *testing.T) {
	crowded(t, func(t *testing.T) {
		zero, full := open(t, "/dev/zero"), open(t, "/dev/full")
		c := &child{files: []int{zero}, most: 1 << 20}
		lending.lend(c)(false)
		if c.leave == 0 {
			t.Fatal("nothing was lent")
		}
		if got := output(t, Program{}, "readlink /proc/$$/fd/3", full); got != "/dev/full\n" {
			t.Errorf("the child has %q", got)
		}
	})
}

// Other code closes the socket, and opens another one in its place: nothing is sent to that.
func TestCrowdedWithAnotherSocket(t *testing.T) {
	crowded(t, func(t *testing.T) {
		other, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends, above := lending.ends, lending.above
		var saved [2]int
		for i, e := range ends {
			if saved[i], err = unix.FcntlInt(uintptr(e.fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
				t.Fatal(err)
			}
			if err := unix.Dup3(other[i], e.fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
		if got := output(t, Program{}, "readlink /proc/$$/fd/3", open(t, "/dev/full")); got != "/dev/full\n" {
			t.Errorf("the child has %q", got)
		}
		if n, _, err := unix.Recvfrom(other[1], make([]byte, 1), unix.MSG_DONTWAIT); err != unix.EAGAIN {
			t.Errorf("%d bytes came to the other socket, %v", n, err)
		}
		if !lending.off {
			t.Error("the socket still counts as good")
		}
		for i := range ends {
			unix.Close(other[i])
			unix.Dup3(saved[i], ends[i].fd, unix.O_CLOEXEC)
			unix.Close(saved[i])
		}
		lending.ends, lending.above, lending.off = ends, above, false
	})
}

// Other code has closed one end: the other one is closed as well, and nothing is made again.
func TestCrowdedWithOneEnd(t *testing.T) {
	crowded(t, func(t *testing.T) {
		ends := lending.ends
		saved, err := unix.FcntlInt(uintptr(ends[0].fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		other, err := unix.FcntlInt(uintptr(ends[1].fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		full := open(t, "/dev/full")
		unix.Close(ends[0].fd)
		for range 3 {
			output(t, Program{}, ":", full)
		}
		if ends[1].isOpen() || len(Kept()) > 0 {
			t.Errorf("the other end is open: %v; kept: %v", ends[1].isOpen(), Kept())
		}
		unix.Dup3(saved, ends[0].fd, unix.O_CLOEXEC)
		unix.Dup3(other, ends[1].fd, unix.O_CLOEXEC)
		unix.Close(saved)
		unix.Close(other)
		lending.off = false
	})
}

// While the limit is too low for what a child would get, it has a copy. Later children do not.
func TestCrowdedBelowALowLimit(t *testing.T) {
	crowded(t, func(t *testing.T) {
		full := open(t, "/dev/full")
		c := &child{files: []int{full}, most: uint64(lending.above)}
		lending.lend(c)(false)
		if c.leave != 0 {
			t.Error("a descriptor was lent that a child could not take")
		}
	})
}

// A table that was left is whole: the child can open as many descriptors as it may.
func TestCrowdedTableIsWhole(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	crowded(t, func(t *testing.T) {
		const script = `ulimit -Sn 4000; exec perl -e 'my @f; while (open my $f, "<", "/dev/null") { push @f, $f } print scalar(@f), " ", fileno($f[-1]), "\n"'`
		if got := output(t, Program{Env: os.Environ()}, script); got != "3997 3999\n" {
			t.Errorf("with a limit of 4000, and 3 open, a child could open so many, and the highest: %q", got)
		}
	})
}

// BenchmarkCrowded is a fork with thousands of descriptors, by a table that is left and by a
// copy of it.
func BenchmarkCrowded(b *testing.B) {
	const many = 19_000
	lending.off, lending.failures = false, 0
	fill(b, keepFrom)
	lending.prepare()
	fill(b, many)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(null)
	for name, copied := range map[string]bool{"left": false, "copied": true} {
		b.Run(name, func(b *testing.B) {
			lending.off = copied
			for range b.N {
				pid, pidfd, err := Start(&Program{Path: "/bin/true", Argv: []string{"true"}, Files: []int{null, null, null}})
				if err != nil {
					b.Fatal(err)
				}
				reap(pid, pidfd)
			}
		})
	}
}
