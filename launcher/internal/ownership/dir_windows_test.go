package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// B12: a base to which others may write has no locks made in it.
func TestClaimNeedsABaseOfOurs(t *testing.T) {
	s := newScene(t)
	everybody, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := everybody.DACL()
	if err != nil {
		t.Fatal(err)
	}
	err = windows.SetNamedSecurityInfo(s.base, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if claim, err := s.claim(t.Context()); claim != nil || !errors.Is(err, runtimedir.ErrInsecure) || !errors.Is(err, ownership.ErrNotOursAlone) {
		t.Errorf("Claim returned %v, %v, want %v", claim, err, runtimedir.ErrInsecure)
	}
	if entries, err := os.ReadDir(s.base); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// B14: nobody can put another directory in the place of a base that is open.
func TestBaseStays(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &scene{t, base}
	claim := s.mustClaim()
	if err := os.Rename(base, base+".away"); err == nil {
		t.Error("the base was renamed")
	}
	if err := claim.CheckBase(); err != nil {
		t.Error(err)
	}
	settle(claim)
	if err := os.Rename(base, base+".away"); err != nil {
		t.Errorf("the claim is over, and the base cannot be renamed: %v", err)
	}
}

// What is no directory is no base, nor a pod's directory.
func TestOnlyDirectories(t *testing.T) {
	s := newScene(t)
	file := filepath.Join(s.base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := ownership.Open(file, "alice"); p != nil || !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("Open returned %v, %v, want %v", p, err, runtimedir.ErrInsecure)
	}
	missing := filepath.Join(s.base, "missing")
	if p, err := ownership.Open(missing, "alice"); p != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open returned %v, %v, want %v", p, err, fs.ErrNotExist)
	}
	claim := s.mustClaim()
	defer settle(claim)
	if root, err := claim.OpenDir(file); root != nil || !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("OpenDir returned %v, %v, want %v", root, err, runtimedir.ErrInsecure)
	}
	if root, err := claim.OpenDir(missing); root != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenDir returned %v, %v, want %v", root, err, fs.ErrNotExist)
	}
	for _, in := range []string{s.base, t.TempDir()} {
		path := filepath.Join(in, "good")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := claim.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile("file", nil, 0o600); err != nil {
			t.Error(err)
		}
		root.Close()
		if _, err := os.Lstat(filepath.Join(path, "file")); err != nil {
			t.Error(err)
		}
	}
}

// B14: a link to a directory is neither a base nor a pod's directory.
func TestLinksAreRefused(t *testing.T) {
	s := newScene(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.base, link); err != nil {
		t.Skip("this user may make no symbolic links: ", err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Skip("this system makes no symbolic links, and says that it does, as Wine 8")
	}
	if p, err := ownership.Open(link, "alice"); p != nil || !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("Open returned %v, %v, want %v", p, err, runtimedir.ErrInsecure)
	}
	claim := s.mustClaim()
	defer settle(claim)
	if root, err := claim.OpenDir(link); root != nil || !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("OpenDir returned %v, %v, want %v", root, err, runtimedir.ErrInsecure)
	}
}

// Two names that differ in case are one name, with one pod.
func TestNamesFoldCase(t *testing.T) {
	s := newScene(t)
	pod, r := s.pod("hold", true)
	p, err := ownership.Open(s.base, "ALICE")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var running *ownership.RunningError
	if _, err := p.Claim(t.Context()); !errors.As(err, &running) || running.Record.Identity != r.Identity {
		t.Errorf("Claim returned %v, want the pod called alice", err)
	}
	if names, err := ownership.Names(s.base); err != nil || len(names) != 1 || names[0] != "alice" {
		t.Errorf("Names returned %q, %v", names, err)
	}
	pod.end()
}

// Remove removes all that is kept of a name, and the directory with what is in it, also files
// that are read-only.
func TestRemove(t *testing.T) {
	s := newScene(t)
	s.pod("hold", true)
	dir := filepath.Join(s.base, "alice")
	deep := filepath.Join(dir, "a", "b")
	if err := errors.Join(os.MkdirAll(deep, 0o700), os.WriteFile(filepath.Join(deep, "read-only"), nil, 0o400),
		os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p := s.open()
	if exists, err := p.Exists(); !exists || err != nil {
		t.Errorf("Exists returned %v, %v", exists, err)
	}
	p.Close()
	s.endRecorded()
	claim := s.mustClaim()
	if err := claim.Remove(t.Context(), dir); err != nil {
		t.Error(err)
	}
	s.mustBeEmpty()
	p = s.open()
	defer p.Close()
	if exists, err := p.Exists(); exists || err != nil {
		t.Errorf("Exists returned %v, %v", exists, err)
	}
}

// endRecorded ends the pod of the record.
func (s *scene) endRecorded() {
	s.t.Helper()
	p := s.open()
	defer p.Close()
	r, err := p.Running()
	if err != nil {
		s.t.Fatal(err)
	}
	process, err := os.FindProcess(r.PID)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	process.Wait()
}

// mustBeEmpty fails the test unless nothing is in the base.
func (s *scene) mustBeEmpty() {
	s.t.Helper()
	entries, err := os.ReadDir(s.base)
	if err != nil || len(entries) > 0 {
		s.t.Errorf("there are %v, %v", entries, err)
	}
}

// A file that somebody has open and does not share is not removed. The error says so, and what
// is left can be removed later.
func TestRemoveOfWhatIsUsed(t *testing.T) {
	s := newScene(t)
	s.mustBeFree()
	dir := filepath.Join(s.base, "alice")
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	err = s.mustClaim().Remove(t.Context(), dir)
	if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) || !strings.Contains(err.Error(), file) {
		t.Errorf("Remove returned %v, want an error about %s", err, file)
	}
	f.Close()
	if err := s.mustClaim().Remove(t.Context(), dir); err != nil {
		t.Error(err)
	}
	s.mustBeEmpty()
}

// No call about a name leaves a handle open.
func TestHandlesAreClosed(t *testing.T) {
	s := newScene(t)
	round := func() {
		claim := s.mustClaim()
		s.mustBeLaunched(true)
		if _, err := s.claim(once()); !isLaunching(err) {
			t.Errorf("Claim returned %v", err)
		}
		if err := claim.Intend(intent()); err != nil {
			t.Error(err)
		}
		if f, err := claim.WriteOverlay("a = 1\n"); err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		dir := filepath.Join(s.base, "alice")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Error(err)
		}
		if root, err := claim.OpenDir(dir); err != nil {
			t.Error(err)
		} else {
			root.Close()
		}
		if _, err := claim.Abandon(t.Context(), true); err != nil {
			t.Error(err)
		}
		if err := s.mustClaim().Remove(t.Context(), dir); err != nil {
			t.Error(err)
		}
	}
	const times = 10
	err := conformance.Descriptors(ample, times, "rounds of calls", func() error {
		for range times {
			round()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
