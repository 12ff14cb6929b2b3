package osproc_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A process with the mark is found if it was started after the launcher. Another value
// of the variable, or a longer one, is another mark.
func TestHasMark(t *testing.T) {
	cat := exec.Command("/bin/cat") // it ends with its stdin
	cat.Env = []string{"FIRST=1", "MARK_OF_TEST=here"}
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cat.Wait(); err != nil {
			t.Error(err)
		}
	}()
	self, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	later, boot, elsewhere := self, self, self
	later.Start += 1 << 40
	boot.Boot = "another"
	elsewhere.PIDNamespace = "another"
	for _, c := range []struct {
		name, mark string
		launcher   osproc.Identity
		has        bool
		err        error
	}{
		{"it", "MARK_OF_TEST=here", self, true, nil},
		{"another value", "MARK_OF_TEST=her", self, false, nil},
		{"another name", "OF_TEST=here", self, false, nil},
		{"the first variable", "FIRST=1", self, true, nil},
		{"a later launcher", "MARK_OF_TEST=here", later, false, nil},
		{"another boot", "MARK_OF_TEST=here", boot, false, nil},
		{"another pid namespace", "MARK_OF_TEST=here", elsewhere, false, osproc.ErrElsewhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			has, err := osproc.HasMark(t.Context(), c.mark, c.launcher)
			if has != c.has || !errors.Is(err, c.err) {
				t.Errorf("got %v, %v; want %v, %v", has, err, c.has, c.err)
			}
		})
	}
}
