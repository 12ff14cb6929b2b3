//go:build linux

package ending_test

import (
	"context"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// family is a script that starts three children. Two end at SIGTERM: one is in the group,
// the other in a session of its own. The third ignores SIGTERM.
const family = `sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000' &
setsid sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000' &
setsid sh -c 'trap "" TERM; echo $$ >>"$OUT/pids"; while :; do sleep 1000; done' &
`

// reported returns what r says of a process; nil if it is not in there.
func reported(r launcher.Report, pid int) *launcher.ReportedProcess {
	i := slices.IndexFunc(r.Processes, func(p launcher.ReportedProcess) bool { return p.PID == pid })
	if i < 0 {
		return nil
	}
	return &r.Processes[i]
}

// checkReported makes sure that a process was sent signals, and has gone, between began and
// now, and after each of the signals.
func checkReported(t *testing.T, r launcher.Report, pid int, began time.Time, signals ...syscall.Signal) {
	t.Helper()
	p := reported(r, pid)
	if p == nil {
		t.Errorf("pid %d is not in %+v", pid, r)
		return
	}
	var got []syscall.Signal
	last := began
	for _, s := range p.Signals {
		got = append(got, s.Signal)
		if s.At.Before(last) {
			t.Errorf("it was sent %v before what came earlier: %+v", s.Signal, p)
		}
		last = s.At
	}
	if !slices.Equal(got, signals) || p.Killed != slices.Contains(signals, syscall.SIGKILL) {
		t.Errorf("it was sent %v, want %v: %+v", got, signals, p)
	}
	if p.Gone.Before(last) || p.Gone.After(time.Now()) {
		t.Errorf("it has gone at %v, and the signals began at %v: %+v", p.Gone, began, p)
	}
	if p.Command == "" {
		t.Errorf("it has no command: %+v", p)
	}
}

// The report names each process of a family, what it was sent, and when it went: with and
// without a cgroup.
func TestReport(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the grace of pods")
	}
	for _, held := range []launcher.Containment{launcher.ContainedByGroup, launcher.ContainedByCgroup} {
		t.Run(held.String(), func(t *testing.T) {
			r := newRig(t)
			r.L.Grace = 500 * time.Millisecond
			if held == launcher.ContainedByCgroup {
				r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
			}
			r.shell(family+`exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			pids := r.await(3)
			other := r.MustAttach(pod)
			if got := pod.Report(); got.Processes != nil {
				t.Errorf("before its end: %+v", got)
			}
			began := time.Now()
			if err := pod.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-pod.Done()
			report := pod.Report()
			killed := 0
			var first time.Time // when the first of them was killed
			for _, p := range report.Processes {
				if p.Killed {
					killed++
					if at := p.Signals[len(p.Signals)-1].At; first.IsZero() || at.Before(first) {
						first = at
					}
				}
			}
			// The sleep of the third child ignores SIGTERM too, because it inherits that.
			if len(report.Processes) != 5 || report.More != 0 || killed != 2 {
				t.Errorf("%d processes, %d of them killed: %+v", len(report.Processes), killed, report)
			}
			checkReported(t, report, pod.PID(), began, syscall.SIGTERM)
			ignores := 0
			for _, pid := range pids {
				if p := reported(report, pid); p != nil && p.Killed {
					checkReported(t, report, pid, began, syscall.SIGTERM, syscall.SIGKILL)
					ignores++
					continue
				}
				checkReported(t, report, pid, began, syscall.SIGTERM)
				if p := reported(report, pid); p != nil && p.Gone.After(first) {
					t.Errorf("it is said to have gone after the others were killed, at %v: %+v", first, p)
				}
			}
			if ignores != 1 {
				t.Errorf("%d of the three children were killed, want one: %+v", ignores, report)
			}
			<-other.Done()
			if got := other.Report(); got.Processes != nil || got.More != 0 {
				t.Errorf("the one that was attached has not ended it: %+v", got)
			}
			report.Processes[0].Signals[0].Signal = 0
			if got := pod.Report(); got.Processes[0].Signals[0].Signal != syscall.SIGTERM {
				t.Error("the report is not the caller's own")
			}
		})
	}
}

// A child that has gone long before the first process is said to have.
func TestReportTellsWhenEachWent(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	go1 := r.Fifo("go")
	r.shell(`setsid sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000' &
exec "$0" "$@"`, "onterm await "+go1, "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	child := r.await(1)[0]
	stopped := make(chan error, 1)
	go func() { stopped <- pod.Stop(context.WithoutCancel(t.Context())) }()
	for lives(child) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(250 * time.Millisecond) // this is what it is about: the child is looked at meanwhile
	woken := time.Now()
	podrig.Wake(t, go1)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	report := pod.Report()
	p, first := reported(report, child), reported(report, pod.PID())
	if p == nil || first == nil || p.Gone.IsZero() || p.Gone.After(woken) || first.Gone.Before(woken) {
		t.Errorf("the child had gone before %v, and the first process had not: %+v", woken, report)
	}
}

// A pod that ends by itself has nothing in its report, until what it has left is ended.
func TestReportOfAGonePod(t *testing.T) {
	leaktest.Parallel(t)
	for _, script := range []string{`setsid sh -c 'echo $$ >>"$OUT/pids"; exec sleep 1000'`, deaf} {
		r := newRig(t)
		r.L.Grace = 50 * time.Millisecond
		pod, left := r.launchGone(script)
		if got := pod.Report(); got.Processes != nil {
			t.Errorf("nobody was signalled: %+v", got)
		}
		began := time.Now()
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []syscall.Signal{syscall.SIGTERM}
		if script == deaf {
			want = append(want, syscall.SIGKILL)
		}
		checkReported(t, pod.Report(), left[0], began, want...)
	}
}

// The name of a program is known also if its process has gone as soon as it was signalled.
func TestReportNamesWhoEndsAtOnce(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	var helper int
	r.L.Starter = signalsUntilGone{new(launcher.Local), &helper}
	// Its parent outlives it, and reaps it at once; init may take seconds.
	r.shell(`(trap : TERM; sleep 1000 & echo $! >>"$OUT/pids"; wait; wait) & exec "$0" "$@"`, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	helper = r.await(1)[0]
	began := time.Now()
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkReported(t, pod.Report(), helper, began, syscall.SIGTERM)
}

// signalsUntilGone starts processes whose Signal returns once helper has gone, and was reaped.
type signalsUntilGone struct {
	launcher.Starter
	helper *int
}

func (s signalsUntilGone) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	p, err := s.Starter.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	return signalUntilGone{p, s.helper}, nil
}

type signalUntilGone struct {
	launcher.Process
	helper *int
}

func (p signalUntilGone) Reap(ctx context.Context) error {
	return p.Process.(launcher.Reaper).Reap(ctx)
}

func (p signalUntilGone) Release() { p.Process.(launcher.Releaser).Release() }

func (p signalUntilGone) Signal(ctx context.Context, sig os.Signal) error {
	err := p.Process.Signal(ctx, sig)
	if sig == syscall.SIGTERM {
		for syscall.Kill(*p.helper, 0) == nil {
			time.Sleep(time.Millisecond)
		}
	}
	return err
}

// A report is bounded, and says how many others there were.
func TestReportIsBounded(t *testing.T) {
	leaktest.Parallel(t)
	const n = launcher.MaxReported + 44
	r := newRig(t)
	r.L.Grace = 10 * time.Second
	r.shell(`for i in $(seq 300); do sleep 1000 & done; exec "$0" "$@"`, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := pod.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := pod.Report()
	if len(report.Processes) != launcher.MaxReported || report.More != n+1-launcher.MaxReported {
		t.Errorf("%d processes, and %d more; there were %d", len(report.Processes), report.More, n+1)
	}
	checkReported(t, report, pod.PID(), time.Now().Add(-time.Hour), syscall.SIGKILL)
}
