package signs_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// W10: SIGPIPE is ignored in a pod that is started as by systemd, with a Listener, and in
// no other one. A client that leaves early would end a service that relies on it.
func TestSIGPIPE(t *testing.T) {
	if ignores(t, os.Getpid()) {
		t.Fatal("it is ignored in the test itself")
	}
	for _, c := range []struct {
		ready   readiness.Probe
		ignores bool
	}{
		{readiness.Sequence{readiness.Listener{}, readiness.ReadyLine{}}, true},
		{readiness.ReadyLine{}, false},
	} {
		r := podrig.New(t)
		r.L.Command = launcher.Exec("/bin/sh", "-c", `printf 'INSOMNIA-READY\talice\t%s\n' "$POD_RUNTIME_DIR/sock" >&2; exec sleep 1000`)
		r.L.Ready = c.ready
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		if got := ignores(t, pod.PID()); got != c.ignores {
			t.Errorf("%s: that SIGPIPE is ignored is %v", fmt.Sprint(c.ready), got)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// W10: a pod that writes to the probe's connection, which is closed by then, may end by SIGPIPE.
// The error names what keeps the probe from connecting, and with that the pod is ready.
func TestEndsByTheProbe(t *testing.T) {
	leaktest.Parallel(t)
	r := podrig.New(t)
	r.L.Command = launcher.Exec("/usr/bin/perl", "-MIO::Socket::UNIX", "-e",
		`my $s = IO::Socket::UNIX->new(Local => "$ENV{POD_RUNTIME_DIR}/sock", Listen => 5) or die; my $c = $s->accept; sysread $c, my $b, 1; syswrite $c, "hello" while 1`)
	hello := readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		<-ctx.Done() // the pod has ended
		return target.Endpoint, context.Cause(ctx)
	})
	r.L.Ready = readiness.Sequence{readiness.Unix{}, hello}
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrExitedEarly)
	podrig.MustSay(t, err, "signal: broken pipe", "readiness.Unix.NoConnect makes it look without connecting")
	r.L.Ready = readiness.Unix{NoConnect: true}
	pod := r.Launch(podrig.Alice)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// ignores reports whether a process ignores SIGPIPE.
func ignores(t *testing.T, pid int) bool {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "SigIgn:")
	mask, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(syscall.SIGPIPE-1)) != 0
}
