package osproc_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Who is older than the family's oldest process is not asked for the mark.
func TestFamilySince(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.Env = []string{"MARK=since"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	f := osproc.NewFamily(osproc.Identity{}, "MARK=since")
	id, err := osproc.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for ticks, want := range []int{1, 1, 0} { // 0: none, for a tick is no difference
		since := id
		since.Start += uint64(ticks)
		f.SetSince(since, false)
		if left, err := f.Left(t.Context(), false); err != nil || len(left) != want {
			t.Errorf("since %d ticks after it started: %v, %v, want %d", ticks, left, err, want)
		}
		f = osproc.NewFamily(osproc.Identity{}, "MARK=since")
	}
}

// Kill leaves nobody stopped who has got another mark after it was found.
func TestFamilyKillLeavesNobodyStopped(t *testing.T) {
	const flip = `$ENV{MARK} = $ENV{MARK} eq "ours" ? "other" : "ours"; exec $^X, "-e", $ENV{FLIP}`
	perl, err := exec.LookPath("perl")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skipf("not run: perl is not installed: %v", err)
	}
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		cmd := exec.Command(perl, "-e", flip)
		cmd.Env = []string{"MARK=ours", "FLIP=" + flip}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := osproc.NewFamily(osproc.Identity{}, "MARK=ours").Kill(t.Context(), false); err != nil {
			t.Error(err)
		}
		if st, err := osproc.ReadStat(cmd.Process.Pid); err == nil && st.State == 'T' {
			t.Errorf("pid %d was left stopped", cmd.Process.Pid)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
