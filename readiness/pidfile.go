package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// PIDFile waits until a daemon has gone to the background, and has the launcher adopt the
// process that the daemon names in its pid file. It is for programs that have no option for
// the foreground, or are to be launched as they are.
//
// The process must be proven to belong to the pod, see [Kin]. A pid alone proves nothing: a
// file may be old, or name a process of somebody else. A process that is not proven within
// 100 ms is an error, which wraps [ErrUnproven] and ends the launch; nobody signals that process. A
// daemon that leaves its session, closes its descriptors and writes over its environment
// takes a cgroup to be proven (launcher.Local.Cgroup).
//
// Then PIDFile waits for the process that was started to end. By daemon(7) that comes
// after the pid file. It has to end with status 0.
//
// If the file names the process that was started, that alone cannot tell what the program
// is about to do. It may stay in the foreground. It may also go to the background later, and
// write the file once more: uwsgi does that. Forks says which of the two it is. Without Forks
// PIDFile takes it that the program stays, and waits for nothing else. The launcher
// watches the process for up to 50 ms more. If it ends with status 0 meanwhile, the launcher
// asks its probes again, and PIDFile waits until the file names another process.
//
// With Forks it is systemd's Type=forking with PIDFile=, with two differences: systemd also
// takes a process that it cannot prove, if the file belongs to root, and PIDFile never does.
// And systemd reads the file once the started process has ended; PIDFile has the process
// adopted before that, too.
//
// It asks nothing of the daemon. In a [Sequence] it belongs before the probes that do, for
// these have to know the process:
//
//	readiness.Sequence{readiness.PIDFile{Path: "redis.pid"}, readiness.TCP{Address: "127.0.0.1:6379"}}
//
// A file of an earlier run, which is there before the pod starts, does not count until the
// pod has changed it, as for [File]. Prepare removes it if it names nobody, for some programs
// refuse to start because of it: a regular file that holds one number, is of our user or we
// are root, and whose process is proven to have ended. systemd removes PIDFile= when a
// service has stopped. A daemon of somebody else that writes the file at this moment, or that
// lives in another pid namespace, loses it. PIDFile tries again while the file is empty or half
// written. Any content but a number in the first line is an error. It needs Linux; on other
// systems Prepare returns [errors.ErrUnsupported].
type PIDFile struct {
	// Path of the file; a relative one is taken from the pod's runtime directory. {name}
	// and {dir} in it stand for the pod's name and its runtime directory. Required.
	Path string

	// Forks says that the process that is started ends, and leaves its work to another one,
	// as with systemd's Type=forking. Readiness waits for that end. A file that names the
	// started process does not count. A program that stays in the foreground is then never
	// ready.
	Forks bool

	// Schedule of the attempts.
	Schedule
}

var (
	_ Probe    = PIDFile{}
	_ Preparer = PIDFile{}
	_ Adopter  = PIDFile{}
)

// Adopts implements [Adopter].
func (PIDFile) Adopts() bool { return true }

// String describes the probe.
func (f PIDFile) String() string { return fmt.Sprintf("the pid file %q", f.Path) }

// Prepare implements [Preparer]: it removes what an earlier run has left and names nobody, and
// notes what is there.
func (f PIDFile) Prepare(_ context.Context, s *Setup) (Probe, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("readiness.PIDFile: no process can be proven to be of the pod on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	path, err := f.check(s.Name, s.RuntimeDir)
	if err != nil {
		return nil, err
	}
	clearPIDFile(path)
	old, err := whatIsAt("PIDFile", []string{path})
	if err != nil {
		return nil, err
	}
	return preparedPIDFile{f, old}, nil
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (f PIDFile) Wait(ctx context.Context, t Target) (Endpoint, error) {
	return preparedPIDFile{f, nil}.Wait(ctx, t)
}

// check makes sure that the fields can work, and returns the path.
func (f PIDFile) check(name, runtimeDir string) (path string, err error) {
	switch {
	case f.Path == "":
		return "", errors.New("readiness.PIDFile.Path: it is empty")
	case strings.Contains(f.Path, holePID):
		return "", fmt.Errorf("readiness.PIDFile.Path: %q holds %s, and the file is what tells the pid", f.Path, holePID)
	case runtimeDir == "" && !filepath.IsAbs(f.Path):
		return "", fmt.Errorf("readiness.PIDFile.Path: %q is relative, and the pod has no runtime directory", f.Path)
	}
	path = strings.NewReplacer("{name}", name, "{dir}", runtimeDir).Replace(f.Path)
	return absolute(path, runtimeDir), f.Schedule.check("PIDFile")
}

// A preparedPIDFile is a PIDFile that knows what was there before the start.
type preparedPIDFile struct {
	PIDFile
	old oldFiles
}

// failing is how long a process that is not proven is no error. If a daemon fails after it has
// written its pid, the process that was started says so a moment later, by its exit status, and the
// launcher then ends the wait.
const failing = 100 * time.Millisecond

// Wait implements [Probe].
func (f preparedPIDFile) Wait(ctx context.Context, t Target) (Endpoint, error) {
	path, err := f.check(t.Name, t.RuntimeDir)
	if err != nil {
		return Endpoint{}, err
	}
	schedule := f.Schedule.or(Schedule{Final: func(err error) bool { return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotYet) }})
	before := 0
	var refused time.Time
	check := func(ctx context.Context, t Target) (Endpoint, error) {
		pid, err := f.look(path)
		began := t.started()
		switch {
		case err != nil:
			before = 0
			return Endpoint{}, err
		case pid == began && began == t.PID && hasEnded(began):
			return Endpoint{}, fmt.Errorf("the pod is %w: %s still names the process that was started, pid %d, which has ended", errNotYet, path, pid)
		case pid == began && f.Forks:
			return Endpoint{}, fmt.Errorf("the pod is %w: %s names the process that was started, pid %d, which has not ended, as readiness.PIDFile.Forks wants it", errNotYet, path, pid)
		case pid == began && began == t.PID && t.first() == began:
			return Endpoint{}, nil
		case pid != before: // it may be half of a number
			before, refused = pid, time.Time{}
			return Endpoint{}, fmt.Errorf("%s is %w: it has just come to name pid %d", path, errNotYet, pid)
		}
		if err := adopt(ctx, t, pid, fmt.Sprintf("the pid file %q", path)); err != nil {
			if refused.IsZero() {
				refused = time.Now()
			}
			if time.Since(refused) < failing {
				return Endpoint{}, fmt.Errorf("the pod is %w: %v", errNotYet, err)
			}
			return Endpoint{}, Final(err)
		}
		if pid != began && began > 0 && !hasEnded(began) {
			return Endpoint{}, fmt.Errorf("the pod is %w: the process that was started, pid %d, has not ended, and its pid file names pid %d", errNotYet, began, pid)
		}
		return Endpoint{}, nil
	}
	e, err := Poll{What: f.String(), Check: check, Schedule: schedule}.Wait(ctx, t)
	if pending := (*PendingError)(nil); errors.As(err, &pending) {
		return e, f.lastWord(path, t, err)
	}
	return e, err
}

// lastWord returns the error of a file that names a process that is not the pod's, if there was
// only one look at it before the time was over; else err.
func (f preparedPIDFile) lastWord(path string, t Target, err error) error {
	pid, errLook := f.look(path)
	if errLook != nil || t.Kin == nil || pid == t.started() || hasEnded(pid) {
		return err // of a process that has ended nothing is proven any more
	}
	ctx, cancel := context.WithTimeout(context.Background(), kinPatience)
	defer cancel()
	if errors.Is(t.Kin.Prove(ctx, pid), ErrUnproven) {
		if errAdopt := adopt(ctx, t, pid, fmt.Sprintf("the pid file %q", path)); errAdopt != nil {
			return errAdopt
		}
	}
	return err
}

// look returns the pid in the file at path.
func (f preparedPIDFile) look(path string) (int, error) {
	content, err := f.old.read(path)
	if errors.Is(err, errNotYet) { // it is the old one
		if start, errStart := readStart(path); errStart == nil && namesNobody(bytes.NewReader(start)) {
			err = fmt.Errorf("%w; it names pid %s, and no such process runs: remove it if the program does not start because of it", err, pidText(start))
		}
	}
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(content, []byte{'\n'})
	text := pidText(line)
	if text == "" {
		return 0, fmt.Errorf("%s is %w: it holds no pid", path, errNotYet)
	}
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("the first line of the pid file %q is no pid: %s", path, quoted(line))
	}
	return int(pid), nil
}
