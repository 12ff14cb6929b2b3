package unixproc_test

import (
	"os/exec"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// Kill leaves nobody stopped who has got another mark after it was found.
func TestFamilyKillLeavesNobodyStopped(t *testing.T) {
	const flip = `$ENV{MARK} = $ENV{MARK} eq "ours" ? "other" : "ours"; exec $^X, "-e", $ENV{FLIP}`
	for range 100 {
		cmd := exec.Command("perl", "-e", flip)
		cmd.Env = []string{"MARK=ours", "FLIP=" + flip}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := unixproc.NewFamily(unixproc.Identity{}, "MARK=ours").Kill(t.Context(), false); err != nil {
			t.Error(err)
		}
		if st, err := unixproc.ReadStat(cmd.Process.Pid); err == nil && st.State == 'T' {
			t.Errorf("pid %d was left stopped", cmd.Process.Pid)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
