//go:build linux

package ending_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// pidFirst is a daemon that writes the pid of the process that was started, reads a word from
// go, goes to the background, and then writes the pid of its worker. uwsgi does so.
const pidFirst = `echo $$ >"$OUT/pid"; read word <"$OUT/go"; setsid sh -c 'echo $$ >"$OUT/pid"; exec "$0" "$@"' "$0" "$@" & exit 0`

// awaitEnd waits until the process has ended, reaped or not.
func (r *rig) awaitEnd(pid int) {
	r.T.Helper()
	for end := time.Now().Add(podrig.Ample); lives(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.T.Fatalf("pid %d does not end", pid)
		}
	}
}

// wakesOnce is a Schedule.Final that takes no error for the last, and wakes who waits at fifo
// once one says what it waits for.
func wakesOnce(t *testing.T, fifo, says string) func(error) bool {
	var once sync.Once
	return func(err error) bool {
		if strings.Contains(err.Error(), says) {
			once.Do(func() { go podrig.Wake(t, fifo) })
		}
		return false
	}
}

// W31: a daemon may write the pid of the process that was started, and go to the background
// later. With Forks only the later pid counts, however long it takes.
func TestAdoptsAfterTheStarted(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	leave := r.Fifo("go")
	r.shell(pidFirst, serveQuietly...)
	pidFile := readiness.PIDFile{Path: r.path("pid"), Forks: true}
	pidFile.Final = wakesOnce(t, leave, "which has not ended") // it has looked at the first pid
	r.L.Ready = readiness.Sequence{pidFile, readiness.Unix{}}
	pod := r.Launch(podrig.Alice)
	r.mustBeAdopted(pod, r.pidIn("pid"))
	podrig.Ping(t, pod)
	r.stop(pod)
}

// W31: without Forks the launch goes on, and reads the pid file again, if the process that was
// started goes to the background while it is still watched.
func TestAdoptsWhenTheStartedGoes(t *testing.T) {
	leaktest.Parallel(t)
	for _, next := range []string{"nothing", "a socket"} {
		t.Run(next, func(t *testing.T) {
			r := newRig(t)
			leave := r.Fifo("go")
			r.shell(pidFirst, serveQuietly...)
			goes := make(chan struct{})
			r.L.Ready = readiness.Sequence{
				readiness.PIDFile{Path: r.path("pid")},
				readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
					select {
					case <-goes: // the second time
					default:
						close(goes)
						podrig.Wake(t, leave)
						r.awaitEnd(target.PID)
					}
					return target.Endpoint, nil
				}),
			}
			if next == "a socket" {
				r.L.Ready = append(r.L.Ready.(readiness.Sequence), readiness.Unix{})
			}
			pod := r.Launch(podrig.Alice)
			r.mustBeAdopted(pod, r.pidIn("pid"))
			r.stop(pod)
		})
	}
}

// W31: a program that stays in the foreground is not ready with Forks, and the error says so.
func TestForksAndStays(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.Timeout{Probe: readiness.PIDFile{Path: r.path("pid"), Forks: true}, Limit: 200 * time.Millisecond}
	r.shell(`echo $$ >"$OUT/pid"; exec "$0" "$@"`, "hang")
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustSay(t, err, fmt.Sprintf("names the process that was started, pid %d, which has not ended", r.pidIn("pid")), "PIDFile.Forks")
	r.nobodyIsLeft()
}

// A program that has written its pid and fails is no stranger.
func TestPIDFileOfWhoFails(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, readiness.Unix{}}
	r.shell(`sh -c 'echo $$ >"$OUT/pid"; echo cannot bind >&2; exit 3'; exit 3`)
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "cannot bind", "exit status 3")
	if errors.Is(e, launcher.ErrNotOurs) {
		t.Error(e)
	}
}

// Without Forks, the process that was started is the pod if the pid file names it in the end,
// though it has named another one before.
func TestPIDFileNamesTheStartedInTheEnd(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	leave := r.Fifo("go")
	r.shell(`sleep 1000 & echo $! >"$OUT/pid"; read word <"$OUT/go"; echo $$ >"$OUT/pid"; exec "$0" "$@"`, serveQuietly...)
	pidFile := readiness.PIDFile{Path: r.path("pid")}
	pidFile.Final = wakesOnce(t, leave, "has not ended, and its pid file names") // who was adopted
	r.L.Ready = readiness.Sequence{pidFile, readiness.Unix{}}
	pod := r.Launch(podrig.Alice)
	if want := r.pidIn("pid"); pod.PID() != want {
		t.Errorf("the pod is pid %d, and the pid file names %d", pod.PID(), want)
	}
	podrig.Ping(t, pod)
	r.stop(pod)
}

// The number of a thread is no process's, and the error does not say that the process is gone.
func TestPIDFileNamesAThread(t *testing.T) {
	leaktest.Parallel(t)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	thread := threads[0].Name()
	if thread == strconv.Itoa(os.Getpid()) {
		thread = threads[1].Name()
	}
	r := newRig(t)
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`echo `+thread+` >"$OUT/pid"; exec "$0" "$@"`, "hang")
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrNotOurs)
	podrig.MustSay(t, e, "names pid "+thread, fmt.Sprintf("that is the number of a thread of process %d", os.Getpid()))
	if strings.Contains(e.Error(), "is gone") {
		t.Error(e)
	}
	r.nobodyIsLeft()
}
