package osproc_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A process with the mark is found if it was created after the launcher. Another value of the
// variable, or a longer one, is another mark.
func TestHasMark(t *testing.T) {
	us, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), verbVariable+"=ignore", "MARK_OF_TEST=hère")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	defer end()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	later := us
	later.Start = 1 << 63
	must := func(mark string, launcher osproc.Identity, want bool) {
		t.Helper()
		if has, err := osproc.HasMark(t.Context(), mark, launcher); has != want || err != nil {
			t.Errorf("HasMark of %q returned %v, %v; want %v", mark, has, err, want)
		}
	}
	must("MARK_OF_TEST=hère", us, true)
	must("MARK_OF_TEST=hèr", us, false)
	must("MARK_OF_TEST=hère2", us, false)
	must("ARK_OF_TEST=hère", us, false)
	must("MARK_OF_TEST=hère", later, false)
	elsewhere := us
	elsewhere.Boot = "another"
	if _, err := osproc.HasMark(t.Context(), "MARK_OF_TEST=hère", elsewhere); !errors.Is(err, osproc.ErrElsewhere) {
		t.Errorf("HasMark returned %v, want %v", err, osproc.ErrElsewhere)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(windows.ERROR_CANCELLED)
	if _, err := osproc.HasMark(ctx, "MARK_OF_TEST=hère", us); !errors.Is(err, windows.ERROR_CANCELLED) {
		t.Errorf("HasMark returned %v, want the cause of its context", err)
	}
	end()
	must("MARK_OF_TEST=hère", us, false)
}
