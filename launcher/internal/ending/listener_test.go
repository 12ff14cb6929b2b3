//go:build linux

package ending_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// bindPerl listens on the socket of the pod.
const bindPerl = `use POSIX; use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => "$ENV{POD_RUNTIME_DIR}/sock", Listen => 5) or die; `

// W31: a daemon may listen before it goes to the background. The kernel then names the
// started process, which has ended, and the adopted process has the socket from it. The pod
// is ready, also for a program that finds it later.
func TestAdoptsAfterListen(t *testing.T) {
	leaktest.Parallel(t)
	for _, way := range []struct{ name, script string }{
		{"the started process ends", `if (fork) { exit 0 } POSIX::setsid(); open my $f, ">", "$ENV{OUT}/pid"; print $f "$$\n"; close $f; sleep 1000`},
		{"its socket gets another name", `rename "$ENV{POD_RUNTIME_DIR}/sock", "$ENV{POD_RUNTIME_DIR}/other" or die; if (fork) { exit 0 } POSIX::setsid(); open my $f, ">", "$ENV{OUT}/pid"; print $f "$$\n"; close $f; sleep 1000`},
		{"a worker of another user serves", `if (fork) { exit 0 } POSIX::setsid(); if (fork) { close $s; open my $f, ">", "$ENV{OUT}/pid"; print $f "$$\n"; close $f; sleep 1000 } POSIX::setuid(65534); sleep 1000`},
		{"the started process stays", `if (my $c = fork) { open my $f, ">", "$ENV{OUT}/pid"; print $f "$c\n"; close $f; use IO::Socket::UNIX; IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send("MAINPID=$c\nREADY=1"); sleep 1000 } POSIX::setsid(); sleep 1000`},
	} {
		t.Run(way.name, func(t *testing.T) {
			if strings.Contains(way.script, "setuid") && os.Geteuid() != 0 {
				t.Skip("not run: only root can become another user")
			}
			r := newRig(t)
			var adopter readiness.Probe = readiness.PIDFile{Path: r.path("pid"), Forks: true}
			if strings.Contains(way.script, "MAINPID") {
				adopter = readiness.NotifySocket{MainPID: true}
			}
			served := readiness.Unix{}
			if strings.Contains(way.script, "other") {
				served.Path = "other"
				var fs syscall.Statfs_t
				const overlay = 0x794c7630
				if err := syscall.Statfs(r.Base, &fs); err != nil || fs.Type == overlay {
					t.Skipf("the kernel and stat have different numbers for a file on an overlay: %v", err)
				}
			}
			r.L.Ready = readiness.Sequence{adopter, served}
			r.shell(`exec perl -e '` + bindPerl + way.script + `'`)
			pod := r.Launch(podrig.Alice)
			r.mustBeAdopted(pod, r.pidIn("pid"))
			if err := pod.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			r.stop(pod)
		})
	}
}

// W3: the pod's own process that has gone to the background is no stranger. The error says
// what it is, and what to do.
func TestServedFromTheBackground(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.Fifo("go")
	r.L.Ready = readiness.Unix{}
	r.shell(`setsid sh -c 'setsid perl -e '"'"'select undef, undef, undef, 0.001 while getppid() == $ARGV[0]; ` + bindPerl + `open my $f, ">", "$ENV{OUT}/pid"; print $f "$$\n"; close $f; sleep 1000'"'"' $$ & exit 0' & read word <"$OUT/go"`)
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, readiness.ErrForeignPeer)
	podrig.MustSay(t, err, fmt.Sprintf("pid %d", r.pidIn("pid")), "served by a process that the pod has sent to the background", "proven to be the pod's", "readiness.PIDFile", "readiness.Unix.Peer to readiness.SameUser")
	if strings.Contains(err.Error(), "stranger") {
		t.Errorf("it is called a stranger: %v", err)
	}
	r.nobodyIsLeft()
}

// A pod whose first process has changed its user is proven by its pid, and only if
// FirstProcess asks for that.
func TestServedByAnotherUser(t *testing.T) {
	leaktest.Parallel(t)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can become another user")
	}
	const become = `use POSIX; use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => "$ENV{POD_RUNTIME_DIR}/sock", Type => SOCK_STREAM) or die; POSIX::setuid(65534); listen $s, 5; sleep 1000`
	r := newRig(t)
	r.L.Ready = readiness.Unix{}
	r.shell(`exec perl -e '` + become + `'`)
	failure := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, failure, readiness.ErrForeignPeer)
	podrig.MustSay(t, failure, "served by the pod as another user", "its first process, which has changed its user", "readiness.Unix.Peer to readiness.FirstProcess")
	r.L.Ready = readiness.Unix{Peer: readiness.FirstProcess}
	pod := r.Launch(podrig.Alice)
	if err := pod.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	r.stop(pod)
}
