//go:build linux && (amd64 || arm64)

package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/launcher/internal/vfork"
)

// filters are the rows of the table in docs/platforms.md, by their first column: what is
// refused.
var filters = map[string]refusal{
	"chdir":                  {call: unix.SYS_CHDIR},
	"clone with CLONE_PIDFD": {call: unix.SYS_CLONE, mask: unix.CLONE_PIDFD},
	"clone3":                 {call: unix.SYS_CLONE3},
	"close_range":            {call: unix.SYS_CLOSE_RANGE},
	"connect":                {call: unix.SYS_CONNECT},
	"dup3":                   {call: unix.SYS_DUP3},
	"faccessat2":             {call: unix.SYS_FACCESSAT2},
	"fcntl":                  {call: unix.SYS_FCNTL},
	"flock":                  {call: unix.SYS_FLOCK},
	"fstat":                  {call: unix.SYS_FSTAT},
	"getpeername":            {call: unix.SYS_GETPEERNAME},
	"getpgid":                {call: unix.SYS_GETPGID},
	"getsid":                 {call: unix.SYS_GETSID},
	"getsockopt":             {call: unix.SYS_GETSOCKOPT},
	"inotify_add_watch":      {call: unix.SYS_INOTIFY_ADD_WATCH},
	"inotify_init1":          {call: unix.SYS_INOTIFY_INIT1},
	"ioctl":                  {call: unix.SYS_IOCTL},
	"kill":                   {call: unix.SYS_KILL},
	"openat2":                {call: unix.SYS_OPENAT2},
	"pidfd_open":             {call: unix.SYS_PIDFD_OPEN},
	"pidfd_send_signal":      {call: unix.SYS_PIDFD_SEND_SIGNAL},
	"ppoll":                  {call: unix.SYS_PPOLL},
	"prctl":                  {call: unix.SYS_PRCTL},
	"prlimit64":              {call: unix.SYS_PRLIMIT64},
	"readlinkat":             {call: unix.SYS_READLINKAT},
	"renameat":               {call: unix.SYS_RENAMEAT},
	"setsid":                 {call: unix.SYS_SETSID},
	"statx":                  {call: unix.SYS_STATX},
	"unlinkat":               {call: unix.SYS_UNLINKAT},
	"waitid with P_PIDFD":    {call: unix.SYS_WAITID, mask: 3, exact: true},
	"waitid":                 {call: unix.SYS_WAITID},
}

// W14: whichever call a filter refuses, a pod's life goes on in a slower way, or an error
// says in one sentence what is missing; the table in docs/platforms.md says which.
func TestFilters(t *testing.T) {
	rows := filterRows(t)
	for name := range filters {
		if _, ok := rows[name]; !ok {
			t.Errorf("docs/platforms.md does not say what happens without %s", name)
		}
	}
	for name, want := range rows {
		f, ok := filters[name]
		if !ok {
			t.Errorf("docs/platforms.md has a row %q that nothing tests", name)
			continue
		}
		for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS} {
			if f.errno = errno; f.call == unix.SYS_CLONE3 && errno == unix.EPERM {
				continue // with cgo the pod's own threads end it: docs/platforms.md
			}
			t.Run(name+" "+unix.ErrnoName(errno), func(t *testing.T) {
				if refused(t, f) {
					filtered(t, want)
				}
			})
		}
	}
}

// A program with thousands of descriptors forks in a way of its own. Where a filter refuses a
// call that only this way takes, a pod's life goes on by the other one.
func TestFiltersAmongDescriptors(t *testing.T) {
	const many = 3000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < many+100 {
		t.Skipf("it needs %d descriptors, and the limit is %d: %v", many, limit.Max, err)
	}
	for name, f := range map[string]refusal{
		"close_range that leaves the table": {call: unix.SYS_CLOSE_RANGE, arg: 2, mask: unix.CLOSE_RANGE_UNSHARE},
		"recvmsg":                           {call: unix.SYS_RECVMSG},
		"sendmsg":                           {call: unix.SYS_SENDMSG},
		"socketpair":                        {call: unix.SYS_SOCKETPAIR},
	} {
		for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS} {
			f.errno = errno
			t.Run(name+" "+unix.ErrnoName(errno), func(t *testing.T) {
				if !refused(t, f) {
					return
				}
				opened := func(upTo int) (fd int) {
					for fd < upTo {
						var err error
						if fd, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
							t.Fatal(err)
						}
					}
					return fd
				}
				// A program prepares for many descriptors when it has some.
				pid, pidfd, err := vfork.Start(&vfork.Program{Path: "/bin/true", Argv: []string{"true"}, Files: []int{opened(300)}})
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(pidfd)
				unix.Wait4(pid, nil, 0, nil)
				opened(many)
				filtered(t, "")
			})
		}
	}
}

// filterRows returns what the table says: "" if a pod lives on, or what its error says.
func filterRows(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("../../../docs/platforms.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := regexp.MustCompile("^\\| `([^`]+)` \\| (works|an error: `([^`]+)`)")
	rows := make(map[string]string)
	in := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		in = in && lines.Text() != "" || lines.Text() == "| refused | then |"
		if m := row.FindStringSubmatch(lines.Text()); in && m != nil {
			rows[m[1]] = m[3]
		} else if in && strings.HasPrefix(lines.Text(), "| `") {
			t.Errorf("docs/platforms.md: a row that says neither: %s", lines.Text())
		}
	}
	return rows
}

// filtered takes a pod through its life. Its error says want, in one line; "": it has none.
func filtered(t *testing.T, want string) {
	err := wholeLife(t)
	switch {
	case want == "" && err != nil:
		t.Errorf("the pod's life has ended: %v", err)
	case want == "":
		adoptOrphan(t) // which is not our child
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
		t.Errorf("the error is %v, want one line with %q", err, want)
	}
}

// wholeLife takes a pod from its launch to its end.
func wholeLife(t *testing.T) error {
	r := newRig(t, "say hello", "listen", "ready", "hang")
	r.Spoil()
	r.L.Timeout = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pod, err := r.L.Launch(ctx, podrig.Alice)
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	defer unix.Kill(-pod.PID(), unix.SIGKILL)
	if _, err := r.L.Launch(ctx, podrig.Alice); !errors.Is(err, launcher.ErrRunning) {
		return fmt.Errorf("second launch: %w", err)
	}
	attached, err := r.L.Attach(ctx, "alice")
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	defer attached.Release()
	if err := podrig.Answers(ctx, attached); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	log, err := pod.Follow(ctx, true)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer log.Close()
	if line, err := bufio.NewReader(log).ReadString('\n'); err != nil {
		return fmt.Errorf("read the log: %w after %q", err, line)
	}
	if err := pod.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if _, err := io.Copy(io.Discard, log); err != nil {
		return fmt.Errorf("read the log to its end: %w", err)
	}
	if _, err := r.L.Attach(ctx, "alice"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("attach to who has ended: %w", err)
	}
	again, err := r.L.Launch(ctx, podrig.Alice)
	if err != nil {
		return fmt.Errorf("launch again: %w", err)
	}
	defer unix.Kill(-again.PID(), unix.SIGKILL)
	if err := r.L.Stop(ctx, "alice"); err != nil {
		return fmt.Errorf("stop by name: %w", err)
	}
	return nil
}
