package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// A kin is a launcher that knows which processes belong to the pod.
type kin struct {
	members []int

	mu      sync.Mutex
	adopted []string // "PID from"
}

func (k *kin) Prove(_ context.Context, pid int) error {
	for _, m := range k.members {
		if m == pid {
			return nil
		}
	}
	return readiness.ErrUnproven
}

func (k *kin) Adopt(ctx context.Context, pid int, from string) error {
	if err := k.Prove(ctx, pid); err != nil {
		return fmt.Errorf("%s names pid %d: %w", from, pid, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.adopted = append(k.adopted, fmt.Sprint(pid, " ", from))
	return nil
}

// ended returns the pid of a process that has ended and is not reaped.
func ended(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if strings.Contains(string(stat), ") Z ") {
			return cmd.Process.Pid
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("it does not end: %s, %v", stat, err)
		}
	}
}

// W31: PIDFile has the process adopted that the first line names, and hands it on.
func TestPIDFileAdopts(t *testing.T) {
	started := ended(t)
	for _, text := range []string{"4711\n", "4711", " 4711 \nsecond line\n", "\t4711", "4711\x00", "4711\n\x00"} {
		dir := t.TempDir()
		put(t, dir+"/pid", text)
		k := &kin{members: []int{4711}}
		var next readiness.Target
		p := readiness.Sequence{readiness.PIDFile{Path: "pid"}, readiness.ProbeFunc(func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
			next = target
			return target.Endpoint, nil
		})}
		_, took, err := await(t, p, readiness.Target{RuntimeDir: dir, PID: started, Kin: k, Facts: new(readiness.Facts)})
		if err != nil || took == 0 || took > 50*time.Millisecond || next.PID != 4711 {
			t.Errorf("%q: pid %d after %v, %v", text, next.PID, took, err)
		}
		if want := fmt.Sprintf(`4711 the pid file %q`, dir+"/pid"); len(k.adopted) != 1 || k.adopted[0] != want {
			t.Errorf("%q: adopted %q", text, k.adopted)
		}
	}
}

// PIDFile is content with the process that was started, and asks nobody.
func TestPIDFileOfTheStarted(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/pid", fmt.Sprintln(os.Getpid()))
	_, took, err := await(t, readiness.PIDFile{Path: "{dir}/pid"}, readiness.Target{RuntimeDir: dir, PID: os.Getpid()})
	if err != nil || took != 0 {
		t.Errorf("%v after %v", err, took)
	}
}

// PIDFile waits for the end of the process that was started, and says so.
func TestPIDFileWaitsForTheStarted(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/pid", "4711\n")
	_, _, err := await(t, readiness.PIDFile{Path: "pid"}, readiness.Target{RuntimeDir: dir, PID: os.Getpid(), Kin: &kin{members: []int{4711}}})
	pending(t, err, errOver)
	mustSay(t, err, fmt.Sprintf("the process that was started, pid %d, has not ended", os.Getpid()), "names pid 4711")
}

// What the file holds, or does not, is tried again or is an error.
func TestPIDFileThatIsNone(t *testing.T) {
	for _, c := range []struct {
		text  string // "": there is no file
		path  string
		says  string
		final bool
	}{
		{"", "pid", "no such file", false},
		{"\n", "pid", "it holds no pid", false},
		{"  ", "pid", "it holds no pid", false},
		{"\n4711\n", "pid", "it holds no pid", false},
		{"\x00\x00\x00", "pid", "it holds no pid", false},
		{"47\x0011\n", "pid", "is no pid", true},
		{"none\n", "pid", `is no pid: "none"`, true},
		{"0\n", "pid", "is no pid", true},
		{"-1\n", "pid", "is no pid", true},
		{"+1\n", "pid", "is no pid", true},
		{"4711 4712\n", "pid", "is no pid", true},
		{"2147483648\n", "pid", "is no pid", true},
		{strings.Repeat("1", 100<<10), "pid", "is no pid", true},
		{"1\n", "pid", "names pid 1: it is not proven to be of the pod", true},
		{"4711\n", "pid", "names pid 4711: it is not proven to be of the pod", true},
		{"1\n", ".", "not a regular file", true},
		{"1\n", "pid/below", "not a directory", true},
		{"1\n", "", "readiness.PIDFile.Path: it is empty", true},
		{"1\n", "{pid}", "is what tells the pid", true},
	} {
		dir := t.TempDir()
		if c.text != "" {
			put(t, dir+"/pid", c.text)
		}
		_, took, err := await(t, readiness.PIDFile{Path: c.path}, readiness.Target{RuntimeDir: dir, PID: 4712, Kin: new(kin)})
		if err == nil || c.final != (took < patience) {
			t.Errorf("%.10q at %q: after %v: %v", c.text, c.path, took, err)
			continue
		}
		mustSay(t, err, c.says)
	}
}

// A file that is there before the start does not count until it has changed.
func TestPIDFileThatIsOld(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/pid", fmt.Sprintln(os.Getpid()))
	p := preparedIn(t, readiness.All{readiness.PIDFile{Path: "pid"}}, dir)
	target := readiness.Target{RuntimeDir: dir, PID: ended(t), Kin: &kin{members: []int{4711, 4712}}}
	_, _, err := await(t, p, target)
	pending(t, err, errOver)
	mustSay(t, err, "it is the one that was there before the pod was started")
	if err := os.Remove(dir + "/pid"); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/pid", "4712 \n")
	if _, _, err := await(t, p, target); err != nil {
		t.Error(err)
	}
}

// Prepare removes the file of an earlier run that names nobody, and no other one.
func TestPIDFileThatNamesNobody(t *testing.T) {
	const nobody = 1<<22 + 1 // beyond what the kernel gives
	for _, c := range []struct {
		text string
		gone bool
	}{
		{fmt.Sprintln(nobody), true},
		{fmt.Sprint(nobody), true},
		{fmt.Sprintf("  %d \n\n", nobody), true},
		{fmt.Sprintln(ended(t)), true}, // a zombie
		{fmt.Sprintln(os.Getpid()), false},
		{"1\n", false},
		{"", false},
		{"\n", false},
		{"none\n", false},
		{"-1\n", false},
		{"0\n", false},
		{fmt.Sprintf("%d\x00", nobody), true},
		{fmt.Sprintf("%d\n/usr/bin/postgres\n", nobody), false},
		{fmt.Sprintf("%d %d\n", nobody, nobody), false},
		{strings.Repeat(" ", 40) + fmt.Sprintln(nobody), false},
	} {
		dir := t.TempDir()
		put(t, dir+"/pid", c.text)
		preparedIn(t, readiness.All{readiness.PIDFile{Path: "pid"}}, dir)
		if _, err := os.Lstat(dir + "/pid"); os.IsNotExist(err) != c.gone {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	// A link and what it leads to stay, and the error says what to do.
	dir := t.TempDir()
	put(t, dir+"/real", fmt.Sprintln(nobody))
	if err := os.Symlink("real", dir+"/pid"); err != nil {
		t.Fatal(err)
	}
	p := preparedIn(t, readiness.All{readiness.PIDFile{Path: "pid"}}, dir)
	_, _, err := await(t, p, readiness.Target{RuntimeDir: dir, PID: ended(t), Kin: new(kin)})
	mustSay(t, err, "it is the one that was there before the pod was started", fmt.Sprintf("it names pid %d, and no such process runs: remove it", nobody))
	for _, name := range []string{"pid", "real"} {
		if _, err := os.Lstat(dir + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

// A launcher that cannot adopt is an error, at once.
func TestPIDFileWithoutKin(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/pid", "4711\n")
	_, took, err := await(t, readiness.PIDFile{Path: "pid"}, readiness.Target{RuntimeDir: dir, PID: 4712})
	if !errors.Is(err, errors.ErrUnsupported) || took == patience {
		t.Errorf("after %v: %v", took, err)
	}
}

// Adopts finds the probe that has a process adopted, wherever it is.
func TestAdopts(t *testing.T) {
	pid := readiness.PIDFile{Path: "pid"}
	for _, c := range []struct {
		p    readiness.Probe
		want bool
	}{
		{pid, true},
		{readiness.Sequence{readiness.ReadyLine{}, readiness.All{readiness.Timeout{Probe: pid, Limit: 1}}}, true},
		{readiness.Any{readiness.Socket{}, readiness.NotifySocket{MainPID: true}}, true},
		{readiness.NotifySocket{}, false},
		{readiness.Sequence{readiness.ReadyLine{}, readiness.File{Path: "pid"}}, false},
	} {
		if got := readiness.Adopts(c.p); got != c.want {
			t.Errorf("%v: %v", c.p, got)
		}
	}
}
