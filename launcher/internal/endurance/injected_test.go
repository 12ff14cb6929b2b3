//go:build linux

package endurance_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// An order says what a copy of this test binary is to do, which plays the program whose
// system calls fail. The copy reads it from the environment.
type order struct {
	Act    string // a key of acts
	Base   string
	Pod    string        // the fake pod's binary
	Errno  syscall.Errno // that is injected
	Hangs  bool          // a call hangs, instead of failing
	Report string        // the file for its report
}

// A report is what came of it.
type report struct {
	Err    string   `json:",omitempty"` // the act's
	Stage  string   `json:",omitempty"` // of an *launcher.Error
	Named  bool     // Err tells of the errno that was injected
	Left   string   `json:",omitempty"` // what the error said was not cleared
	Faults []string `json:",omitempty"` // what must not happen
}

const orderVariable = "PODLAUNCH_TEST_INJECTED"

func init() {
	text := os.Getenv(orderVariable)
	if text == "" {
		return
	}
	os.Unsetenv(orderVariable)
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		podrig.Pod = o.Pod
		err = o.play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// name is the pod's.
const name = "alice"

// patience is the deadline where a call hangs.
const patience = time.Second

// An act is what is done while system calls fail.
type act struct {
	steps []string // of the pod
	// before is done first, and nothing fails then. Nil: nothing.
	before  func(context.Context, *launcher.Launcher) (*launcher.Pod, error)
	do      func(context.Context, *launcher.Launcher, *launcher.Pod) (*launcher.Pod, error)
	started bool          // nothing fails before the process is started
	typed   bool          // if do fails it is with an *Error
	want    error         // what do fails with when nothing else does; nil: nothing
	clears  bool          // if do fails nobody has the name
	takes   time.Duration // that do may take when calls hang; 0: patience
}

var acts = map[string]act{
	"launch": {steps: podrig.Serve, do: launch, typed: true, clears: true},
	"launch that fails": {steps: []string{"spawn hang", "say hello", "exit 3"}, do: launch,
		started: true, typed: true, want: launcher.ErrExitedEarly, clears: true},
	"launch, overlay as a file":       {steps: readOverlay, do: launchHiding(launcher.OverlayAsFile), typed: true, clears: true},
	"launch, overlay as a descriptor": {steps: readOverlay, do: launchHiding(launcher.OverlayAsDescriptor), typed: true, clears: true},
	"attach":                          {steps: podrig.Serve, before: launchAndRelease, do: attach, typed: true},
	"list":                            {steps: podrig.Serve, before: launchAmongOthers, do: list, takes: 8 * time.Second},
	"stop attached":                   {steps: []string{"spawn hang", "listen", "ready", "hang"}, before: launchAndAttach, do: stop},
	"stop":                            {steps: []string{"spawn hang", "listen", "ready", "hang"}, before: launchOnly, do: stop},
	"stop gone":                       {steps: []string{"spawn hang", "listen", "ready", "hang"}, before: launchAndKill, do: stop},
}

func launch(ctx context.Context, l *launcher.Launcher, _ *launcher.Pod) (*launcher.Pod, error) {
	return l.Launch(ctx, launcher.Spec{Name: name})
}

func launchOnly(ctx context.Context, l *launcher.Launcher) (*launcher.Pod, error) {
	return launch(ctx, l, nil)
}

func launchAndRelease(ctx context.Context, l *launcher.Launcher) (*launcher.Pod, error) {
	pod, err := launch(ctx, l, nil)
	if err == nil {
		pod.Release()
	}
	return nil, err
}

func launchAndAttach(ctx context.Context, l *launcher.Launcher) (*launcher.Pod, error) {
	if _, err := launchAndRelease(ctx, l); err != nil {
		return nil, err
	}
	return attach(ctx, l, nil)
}

func attach(ctx context.Context, l *launcher.Launcher, _ *launcher.Pod) (*launcher.Pod, error) {
	return l.Attach(ctx, name)
}

// launchAmongOthers launches the pod beside names that were claimed once.
func launchAmongOthers(ctx context.Context, l *launcher.Launcher) (*launcher.Pod, error) {
	for _, other := range []string{"bob", "carol", "dave"} {
		if err := os.WriteFile(filepath.Join(string(l.Dir.(runtimedir.Dir)), "."+other+".launch"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	return launchOnly(ctx, l)
}

// believed are errors that say how things are: there is no such file, or process, or a
// lock is held.
var believed = []syscall.Errno{syscall.ENOENT, syscall.ESRCH, syscall.EWOULDBLOCK}

// errLie says that List yields what is not so.
var errLie = errors.New("a lie of List")

// list returns the pod, which runs, if List says that it is ready, and no more.
func list(ctx context.Context, l *launcher.Launcher, pod *launcher.Pod) (*launcher.Pod, error) {
	var errs []error
	seen := false
	for s, err := range l.List(ctx) {
		seen = seen || s.Name == name || s.Name == "" // an error about all of them
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%q: %w", s.Name, err))
		case s.Name == name && s.State == launcher.StateUnreachable:
			errs = append(errs, s.Why)
		case s.Name != name || s.State != launcher.StateReady:
			errs = append(errs, fmt.Errorf("%w: it calls %s %s: %w", errLie, s.Name, s.State, s.Why))
		}
	}
	if !seen {
		errs = append(errs, fmt.Errorf("%w: it passes over a pod that runs", errLie))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return pod, nil
}

func stop(ctx context.Context, l *launcher.Launcher, pod *launcher.Pod) (*launcher.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	return nil, pod.Stop(ctx)
}

// launchAndKill launches the pod and ends its first process. Another one is left, which has
// the lock.
func launchAndKill(ctx context.Context, l *launcher.Launcher) (*launcher.Pod, error) {
	pod, err := launch(ctx, l, nil)
	if err == nil {
		err = pod.Signal(ctx, syscall.SIGKILL)
	}
	if err == nil {
		_, err = pod.Wait(ctx)
	}
	return pod, err
}

// play does what was ordered, and reports. All that is done after the act is done
// in a program in which one call has failed, and no other will.
func (o order) play() error {
	a := acts[o.Act]
	ctx := context.Background()
	l := launcher.Launcher{Command: podrig.Script(a.steps...), Dir: runtimedir.Dir(o.Base), Timeout: podrig.Ample}
	var r report
	start := leaktest.Take()
	var earlier *launcher.Pod
	if a.before != nil {
		var err error
		if earlier, err = a.before(ctx, &l); err != nil {
			return err
		}
	}
	before := leaktest.Take()
	if a.started {
		l.Starter = podrig.StarterFunc(startThenBegin)
	} else {
		crashpoint.Begin()
	}
	if o.Hangs {
		l.Timeout = patience
	}
	began := time.Now()
	pod, err := a.do(ctx, &l, earlier)
	took := time.Since(began)
	crashpoint.End()
	l.Timeout = podrig.Ample

	r.judge(o, a, pod, err)
	if most := cmp.Or(a.takes, patience); o.Hangs && took > most+podrig.Late {
		r.note([]string{fmt.Sprintf("with a deadline of %v it took %v", most, took)})
	}
	if err != nil && a.clears && r.Left == "" {
		r.note(before.Left(0))
		r.noteError("the name", o.checkFree())
	}
	if err != nil && !a.clears {
		pod, err = a.do(ctx, &l, earlier)
		if a.typed || !errors.Is(err, o.Errno) { // Stop says each time whom it could not end
			r.noteError("once more", err)
		}
	}
	r.noteError("the pod", answerAndStop(ctx, pod))

	l.Command, l.Starter = podrig.Script(podrig.Serve...), nil
	pod, err = launch(ctx, &l, nil)
	if errors.Is(err, launcher.ErrRunning) && strings.Contains(r.Left, "stays if it turns out to be recorded as ready") {
		pod, err = attach(ctx, &l, nil)
		r.noteError("the pod that stays", errors.Join(err, answerAndStop(ctx, pod)))
		pod, err = launch(ctx, &l, nil)
	}
	r.noteError("the relaunch", err)
	r.noteError("the relaunched pod", answerAndStop(ctx, pod))
	r.note(start.Left(podrig.Ample))
	r.noteError("logsource", leaktest.CheckWatcher())
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(o.Report, text, 0o600)
}

func startThenBegin(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	p, err := launcher.Local{}.Start(ctx, req)
	crashpoint.Begin()
	return p, err
}

func (r *report) note(faults []string) { r.Faults = append(r.Faults, faults...) }

func (r *report) noteError(what string, err error) {
	if err != nil {
		r.note([]string{what + ": " + err.Error()})
	}
}

// judge looks at what the act has returned.
func (r *report) judge(o order, a act, pod *launcher.Pod, err error) {
	if err == nil {
		if a.want != nil {
			r.note([]string{fmt.Sprintf("no error, want %q", a.want)})
		}
		return
	}
	// What /proc refuses must not be taken for a pod that is not there (fs.ErrNotExist).
	// Such an error says it in words, and wraps errors.ErrUnsupported.
	r.Err = err.Error()
	if errors.Is(err, errLie) && !slices.Contains(believed, o.Errno) {
		r.note([]string{r.Err})
	}
	r.Named = errors.Is(err, o.Errno) || errors.Is(err, errors.ErrUnsupported) && strings.Contains(r.Err, o.Errno.Error())
	if pod != nil {
		r.note([]string{"both a pod and an error"})
	}
	if errors.Is(err, launcher.ErrTimeout) && !o.Hangs {
		r.note([]string{"it hung until its deadline: " + r.Err})
	}
	e, ok := err.(*launcher.Error)
	if !ok {
		if a.typed {
			r.note([]string{fmt.Sprintf("the error is a %T: %v", err, err)})
		}
		return
	}
	r.Stage = string(e.Stage)
	if e.Name != name || e.Stage == "" || e.Err == nil || e.Elapsed <= 0 {
		r.note([]string{fmt.Sprintf("the error lacks evidence: %+v", e)})
	}
	if e.Leftover != nil {
		r.Left = e.Leftover.Error()
	}
}

func answerAndStop(ctx context.Context, pod *launcher.Pod) error {
	if pod == nil {
		return nil
	}
	return errors.Join(podrig.Answers(ctx, pod), pod.Stop(ctx))
}

// checkFree makes sure that nobody has the name, and that nothing is there but
// what a launch that failed may leave.
func (o order) checkFree() error {
	var faults []error
	pods, err := podrig.LivePods(filepath.Join(o.Base, name))
	if err != nil || len(pods) > 0 {
		faults = append(faults, fmt.Errorf("pods %v are alive, %w", pods, err))
	}
	may := []string{name, "seen", "seen.tmp", "." + name + ".launch", "." + name + ".pod", "stderr.log", "stderr.log.1", "sock"}
	err = filepath.WalkDir(o.Base, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != o.Base && !slices.Contains(may, d.Name()) {
			err = fmt.Errorf("there is %s", strings.TrimPrefix(path, o.Base))
		}
		return err
	})
	faults = append(faults, err)
	for _, suffix := range []string{".launch", ".pod"} {
		f, err := os.Open(filepath.Join(o.Base, "."+name+suffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			f.Close()
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("lock %s: %w", suffix, err))
		}
	}
	return errors.Join(faults...)
}
