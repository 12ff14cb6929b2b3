//go:build linux

package onepod_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
)

// Follow reads the file that it has looked at, also while another one takes its place
// and gives it back all the time.
func TestFollowWhileTheLogIsReplaced(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, "say mine", "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	other, mine, next := filepath.Join(r.Base, "other"), filepath.Join(r.Base, "mine"), filepath.Join(r.Base, "next")
	if err := errors.Join(os.WriteFile(other, []byte("another"), 0o600), os.Link(pod.LogPath(), mine)); err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool
	replacing := make(chan error, 1)
	go func() {
		defer close(replacing)
		for !over.Load() {
			for _, from := range []string{other, mine} {
				if err := errors.Join(os.Link(from, next), os.Rename(next, pod.LogPath())); err != nil {
					replacing <- err
					return
				}
			}
		}
	}()
	found, missed := 0, 0
	for i := 0; i < 2000 || (found == 0 || missed == 0) && i < 1<<20; i++ {
		log, err := pod.Follow(t.Context(), true)
		if err != nil {
			podrig.MustBe(t, err, fs.ErrNotExist)
			missed++
			continue
		}
		found++
		first := make([]byte, 4)
		if _, err := io.ReadFull(log, first); err != nil || string(first) != "mine" {
			t.Errorf("after %d times the log begins with %q, %v", i, first, err)
			i = 1 << 20
		}
		log.Close()
	}
	over.Store(true)
	if err := <-replacing; err != nil || found == 0 || missed == 0 {
		t.Errorf("followed %d times, and %d times not: %v", found, missed, err)
	}
}

// What stands where the log was is not waited for, and not read: also not through a
// link that leads to the log.
func TestFollowOfWhatIsNotTheLog(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	path, moved := pod.LogPath(), pod.LogPath()+".moved"
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	for what, put := range map[string]func() error{
		"nothing":                 func() error { return nil },
		"a FIFO":                  func() error { return syscall.Mkfifo(path, 0o600) },
		"a directory":             func() error { return os.Mkdir(path, 0o700) },
		"a link to the log":       func() error { return os.Symlink(moved, path) },
		"a link that goes astray": func() error { return os.Symlink("nowhere", path) },
		"another file":            func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		log, err := pod.Follow(t.Context(), true)
		if err == nil {
			log.Close()
		}
		special := what != "nothing" && what != "another file"
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, logsource.ErrNotRegular) != special {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.Remove(path); err != nil && what != "nothing" {
			t.Fatal(err)
		}
	}
	if err := os.Rename(moved, path); err != nil {
		t.Fatal(err)
	}
	log, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatalf("the log is back: %v", err)
	}
	log.Close()
}

// When a Pod is released, its readers get what was written by then, and end. A reader
// that comes later gets the same, and ends, too. The pod goes on, and so do the readers
// of its other Pod.
func TestFollowEndsWithRelease(t *testing.T) {
	r := newRig(t)
	wake := r.Fifo("wake")
	r.L.Command = podrig.Script("say one", "listen", "ready", "await "+wake, "say two", "exit 0")
	pod := r.Launch(podrig.Alice)
	released := r.MustAttach(pod)
	whole := r.ReadLog("alice")
	follow := func(p *launcher.Pod, fromStart bool) io.ReadCloser {
		log, err := p.Follow(t.Context(), fromStart)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		return log
	}
	holds := func(log io.Reader, want string) {
		t.Helper()
		if data, err := io.ReadAll(log); err != nil || string(data) != want {
			t.Errorf("read %q, %v, want %q", data, err, want)
		}
	}
	early, now, stays := follow(released, true), follow(released, false), follow(pod, false)
	ended := make(chan struct{})
	go func() { // it waits in Read
		defer close(ended)
		holds(now, "")
	}()
	released.Release()
	holds(early, whole)
	<-ended
	holds(follow(released, true), whole)
	holds(follow(released, false), "")
	select {
	case <-released.Done():
		t.Error("Done is closed, and the pod was released")
	default:
	}
	podrig.MustLive(t, pod)
	podrig.Wake(t, wake)
	holds(stays, "two\n")
	if _, err := early.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after its end the reader says %v", err)
	}
	// And the pod has ended.
	<-pod.Done()
	if got := r.ReadLog("alice"); !strings.HasPrefix(got, whole) || !strings.HasSuffix(got, "two\n") {
		t.Errorf("the log is %q", got)
	}
	holds(follow(pod, true), r.ReadLog("alice"))
}
