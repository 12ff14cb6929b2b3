package osproc_test

import (
	"fmt"
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

// A process that executes one program after the other always has the mark. In the middle of
// execve(2) its environment cannot be seen (findings/environ-is-empty-during-exec.sh). Where
// /proc hides the processes of others (hidepid), a user does not see his own then either.
// The kernel takes the longer over an environment the more variables there are, and while it does
// that the environment looks like one without any.
func TestFamilyInExec(t *testing.T) {
	const again = `exec $^X, "-e", $ENV{AGAIN}`
	perl := lookPerl(t)
	_, hides := os.Stat("/proc/1/stat")
	looks := 300
	if testing.Short() {
		looks = 100
	}
	for _, variables := range []int{0, 20_000} {
		cmd := exec.Command(perl, "-e", again)
		for i := range variables {
			cmd.Env = append(cmd.Env, fmt.Sprintf("V%d=", i))
		}
		cmd.Env = append(cmd.Env, "MARK=exec", "AGAIN="+again)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		defer end()
		hidden := 0
		for range looks {
			f := osproc.NewFamily(osproc.Identity{}, "MARK=exec")
			if left, err := f.Left(t.Context(), false); err != nil || len(left) != 1 || left[0].PID != cmd.Process.Pid {
				if hidden++; hides != nil && err == nil && len(left) == 0 && hidden < 20 {
					continue
				}
				t.Fatalf("with %d more variables: %v, %v, want pid %d", variables, left, err, cmd.Process.Pid)
			}
		}
		end() // who has ended makes each look unsure
	}
}

// A process has the mark if its main thread has ended, and also while another one executes a
// program, for which the main one has to end first.
func TestFamilyWithoutMainThread(t *testing.T) {
	for role, start := range map[string]func(*testing.T, ...func(*exec.Cmd)) child{"headless": startHeadless, "reexec": startReexec} {
		mark := fmt.Sprintf("%s of %d", role, os.Getpid())
		pid := start(t, func(c *exec.Cmd) { c.Env = append(c.Env, "MARK="+mark) }).Process.Pid
		for range 100 {
			f := osproc.NewFamily(osproc.Identity{}, "MARK="+mark)
			if left, err := f.Left(t.Context(), false); err != nil || len(left) != 1 || left[0].PID != pid {
				t.Fatalf("%v, %v, want the %s, pid %d", left, err, mark, pid)
			}
			for range 20 {
				if !osproc.HasVariable(pid, "MARK", mark) {
					t.Fatalf("pid %d does not show that it is the %s", pid, mark)
				}
			}
		}
	}
}

// Where /proc keeps a user from the processes of others, these are nobody's, and his own are
// found.
func TestFamilyWithHidepid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount /proc with hidepid")
	}
	lookPerl(t)
	for _, option := range []string{"noaccess", "invisible"} {
		osproc.WithHidepid(t, option, "TestFamilyInExec")
	}
}

// lookPerl returns where perl is. In CI it has to be there.
func lookPerl(t *testing.T) string {
	t.Helper()
	perl, err := exec.LookPath("perl")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skipf("not run: perl is not installed: %v", err)
	}
	return perl
}

// Kill leaves nobody stopped who has got another mark after it was found.
func TestFamilyKillLeavesNobodyStopped(t *testing.T) {
	const flip = `$ENV{MARK} = $ENV{MARK} eq "ours" ? "other" : "ours"; exec $^X, "-e", $ENV{FLIP}`
	perl := lookPerl(t)
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
