package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// stateAbandoned is a state that podctl adds to those of the library: the pod was never
// ready, and its launcher is gone. The library calls such a pod gone, but its processes may
// run until somebody ends them.
const stateAbandoned launcher.State = "abandoned"

// allPods yields what l lists. An abandoned pod has the state abandoned, unless podctl has ended
// it.
func allPods(ctx context.Context, l *launcher.Launcher) iter.Seq2[launcher.Status, error] {
	return func(yield func(launcher.Status, error) bool) {
		for s, err := range l.List(ctx) {
			if err == nil && errors.Is(s.Why, launcher.ErrAbandoned) {
				s = abandoned(s)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// abandoned is s, which was never ready, with the state that podctl gives it.
func abandoned(s launcher.Status) launcher.Status {
	if wasEnded(s) {
		s.Why = errors.New("it was never ready; what it had left was ended")
	} else {
		s.State = stateAbandoned
	}
	return s
}

// runs reports whether the first process of an abandoned pod is proven to run.
func runs(s launcher.Status) bool {
	return s.State == stateAbandoned && s.PID != 0 && !errors.Is(s.Why, os.ErrProcessDone)
}

// remains says what may run of an abandoned pod.
func remains(s launcher.Status) string {
	if runs(s) {
		return fmt.Sprintf("pid %d of it still runs", s.PID)
	}
	return "something of it may still run"
}

// howToEnd says what may run of an abandoned pod, and what to do about it.
func howToEnd(s launcher.Status) string {
	return fmt.Sprintf("%s; podctl stop %s ends it", remains(s), shown(s.Name))
}

// lostLauncher is what has become of an abandoned pod.
const lostLauncher = "did not become ready, and its launcher is gone"

// isAbandoned is the error about an abandoned pod. It ends with more.
func isAbandoned(s launcher.Status, more string, args ...any) error {
	text := lostLauncher + "; " + fmt.Sprintf(more, args...)
	return &podError{s.Name, text, fs.ErrNotExist}
}

// endedName is the file in a pod's directory that names a launch which was abandoned, and
// whose processes podctl stop has ended. The library's record does not tell.
const endedName = ".podctl.ended"

// noteEnded notes that nothing of an abandoned pod runs any more.
func noteEnded(s launcher.Status) error {
	if s.RuntimeDir == "" {
		return nil
	}
	err := replaceFile(s.RuntimeDir, endedName, []byte(s.Launch.String()+"\n"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody has removed its directory
	}
	return err
}

// wasEnded reports whether noteEnded has noted the end of this launch of the pod.
func wasEnded(s launcher.Status) bool {
	text, err := os.ReadFile(filepath.Join(s.RuntimeDir, endedName))
	return err == nil && s.Launch != uuid.Nil && strings.TrimSpace(string(text)) == s.Launch.String()
}
