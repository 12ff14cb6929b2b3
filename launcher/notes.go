package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// isAboutMemory reports whether the note of a cgroup says that memory was missing.
func isAboutMemory(note string) bool { return strings.Contains(note, "want of memory") }

// dropsStdout reports whether nobody gets what the pod writes to its standard output.
func (n *attempt) dropsStdout() bool { return n.spec.Stdout == nil && !n.spec.LogStdout }

// stdoutOfExited says where the standard output went of a pod that has ended and left
// nothing in its log.
func (n *attempt) stdoutOfExited(out *podOutput) []string {
	if out.tail.total() > 0 || !n.dropsStdout() {
		return nil
	}
	return []string{"its standard output is the null device, and what it wrote there is lost (Spec.LogStdout)"}
}

// stdoutOfWaiting says where the standard output goes of a pod that runs and has not written
// the line that is waited for: if it has written nothing to its log, or something elsewhere.
func (n *attempt) stdoutOfWaiting(pod *Pod, out *podOutput) []string {
	silent := out.tail.total() == 0
	switch {
	case !readsLines(out.probe) || !silent && !writesElsewhere(pod, out):
		return nil
	case n.spec.Stdout != nil && !n.spec.sameWriter():
		return []string{"its standard output goes to Spec.Stdout, and a ready line there is not seen: set Spec.LogStdout instead"}
	case n.dropsStdout():
		return []string{"its standard output is the null device, and a ready line there reaches nobody (Spec.LogStdout)"}
	case silent:
		return []string{"its standard output is no terminal, and many programs keep back what they write there until it is some KiB (python3 -u, stdbuf -oL)"}
	}
	return nil
}

// writesElsewhere reports whether the process of pod has written more than there is in its
// log.
func writesElsewhere(pod *Pod, out *podOutput) bool {
	written, ok := osproc.BytesWritten(pod.PID())
	if !ok || out.log.Path == "" {
		return false
	}
	more, _ := inspect(out, "the size of its log was not found out", func() bool {
		fi, err := os.Stat(out.log.Path)
		return err == nil && written > fi.Size()
	})
	return more
}

// readsLines reports whether p waits for a line of the pod's.
func readsLines(p readiness.Probe) bool {
	for leaf := range readiness.Leaves(p) {
		switch leaf.(type) {
		case readiness.LineOwner, readiness.NearMisser:
			return true
		}
	}
	return false
}

// shellNotes says what an exit status means that a shell makes of a signal.
func shellNotes(exit Exit) []string {
	const bySignal = 128
	sig := syscall.Signal(exit.Code - bySignal)
	if !exit.Known || exit.Signal != 0 || exit.Code <= bySignal || sig > syscall.SIGTERM {
		return nil
	}
	return []string{fmt.Sprintf("a shell exits so when signal %d (%v) has ended what it ran", int(sig), sig)}
}

// hangupNotes says what it may mean that SIGPIPE has ended a pod that probe has connected to.
func hangupNotes(exit Exit, probe readiness.Probe) []string {
	if exit.Signal != syscall.SIGPIPE {
		return nil
	}
	for leaf := range readiness.Leaves(probe) {
		var field string
		var looks bool
		switch p := leaf.(type) {
		case readiness.TCP:
			field, looks = "readiness.TCP.NoConnect", p.NoConnect
		case readiness.Unix:
			field, looks = "readiness.Unix.NoConnect", p.NoConnect
		case readiness.Socket:
			field, looks = "readiness.Socket.NoConnect", p.NoConnect
		}
		if field != "" && !looks {
			return []string{fmt.Sprintf("SIGPIPE ends a program that writes to a connection that is closed, and the probe closes its own at once: %s makes it look without connecting", field)}
		}
	}
	return nil
}

// surroundings says what of its surroundings the pod t, which probe waits for, may miss.
func surroundings(probe readiness.Probe, t readiness.Target) []string {
	var found []string
	for _, d := range []struct{ what, path string }{{"working", t.WorkDir}, {"runtime", t.RuntimeDir}} {
		if _, err := os.Stat(d.path); d.path != "" && errors.Is(err, fs.ErrNotExist) {
			found = append(found, fmt.Sprintf("its %s directory %q was removed", d.what, d.path))
		}
	}
	if uid, mode, barred := osproc.BarredFrom(t.PID, t.RuntimeDir); barred && mayNeedDirectory(probe) {
		found = append(found, fmt.Sprintf("it runs as user %d, who cannot enter its runtime directory (mode %#o), and so reaches no socket there", uid, mode))
	}
	return found
}

// mayNeedDirectory reports whether a pod that probe waits for may have to reach something in
// its runtime directory. A probe with NotifySocket.Public is for a pod that cannot enter it.
func mayNeedDirectory(probe readiness.Probe) bool {
	for leaf := range readiness.Leaves(probe) {
		needs := false
		switch p := leaf.(type) {
		case readiness.LineOwner, readiness.Socket:
			needs = true // the socket that is announced may be there
		case readiness.NotifySocket:
			needs = !p.Public
		case readiness.Unix:
			needs = !filepath.IsAbs(p.Path) && !strings.HasPrefix(p.Path, "@")
		case readiness.File:
			needs = !filepath.IsAbs(p.Path)
		case readiness.PIDFile:
			needs = !filepath.IsAbs(p.Path)
		}
		if needs {
			return true
		}
	}
	return false
}
