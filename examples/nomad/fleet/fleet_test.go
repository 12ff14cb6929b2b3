package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podlaunch/podlaunch/launcher"
)

// fleetRole is the first argument of the test when it is the program.
const fleetRole = "fleet"

// This program plays its pods in the tests as well.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == workerRole {
		os.Exit(work(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == fleetRole {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		main()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for the pods
	goleak.VerifyTestMain(m)
}

// fleetOf runs the program and returns what it has said.
func fleetOf(t *testing.T, status int, args ...string) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var out bytes.Buffer
	if got := run(t.Context(), &out, &out, args); got != status {
		t.Errorf("fleet %q: exit status %d, want %d:\n%s", args, got, status, &out)
	}
	return out.String()
}

func mustSay(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%q is not in:\n%s", part, said)
		}
	}
}

func TestLocal(t *testing.T) {
	n := "200"
	if testing.Short() {
		n = "20"
	}
	path := filepath.Join(t.TempDir(), "fleet")
	said := fleetOf(t, 0, "-n", n, "-at-once", "16", "-timeout", "1m", "-timeline", path)
	mustSay(t, said, "web-1 ", n+" of "+n+" pods were ready, answered and were stopped (local)")
	mustBeTimeline(t, path, "local")
}

// mustBeTimeline makes sure that the files are what they should be, and that
// each launch went through its phases in order.
func mustBeTimeline(t *testing.T, path, where string) {
	t.Helper()
	data, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var timeline struct {
		On       string
		Launches []struct {
			Name, Node, Address string
			BeganMS             float64 `json:"began_ms"`
			ResolvedMS          float64 `json:"resolved_ms"`
			StartedMS           float64 `json:"started_ms"`
			ReadyMS             float64 `json:"ready_ms"`
			DialledMS           float64 `json:"dialled_ms"`
		}
	}
	if err := json.Unmarshal(data, &timeline); err != nil {
		t.Fatal(err)
	}
	if timeline.On != where || len(timeline.Launches) == 0 {
		t.Errorf("on %q, %d launches", timeline.On, len(timeline.Launches))
	}
	for _, l := range timeline.Launches {
		if l.Node == "" || l.Address == "" || l.BeganMS < 0 || l.BeganMS > l.ResolvedMS || l.ResolvedMS > l.StartedMS || l.StartedMS > l.ReadyMS || l.ReadyMS > l.DialledMS {
			t.Errorf("a launch is %+v", l)
		}
	}
	picture, err := os.ReadFile(path + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	mustBeXML(t, picture)
	if n := bytes.Count(picture, []byte("<title>")); n != len(timeline.Launches) {
		t.Errorf("the picture has %d rows for %d launches", n, len(timeline.Launches))
	}
}

func mustBeXML(t *testing.T, data []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
}

// A pod that cannot be launched is a row with the reason, and the others are
// none the worse.
func TestFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet")
	said := fleetOf(t, failed, "-n", "3", "-program", "/no/such/program", "-timeline", path)
	mustSay(t, said, "3 pods, web-1 to web-3, failed: start:", "no such file", "0 of 3 pods")
	if n := strings.Count(said, "no such file"); n != 2 { // as soon as it was known, and in the end
		t.Errorf("the reason is told %d times:\n%s", n, said)
	}
	picture, err := os.ReadFile(path + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	mustBeXML(t, picture)
	mustSay(t, string(picture), "3 launches (local), 0 good", failedColour)
}

// E8: a run that is killed leaves pods, and the next one finds them, and can stop them.
// An interrupted run, or a run whose output nobody reads any more, leaves none.
func TestFoundAgain(t *testing.T) {
	dir := t.TempDir()
	fleet := func(head bool, args ...string) (*exec.Cmd, *bufio.Reader) {
		cmd := exec.Command(os.Args[0], append([]string{fleetRole}, args...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil { // a pod is ready
			t.Fatal(err)
		}
		if head {
			out.Close()
		}
		return cmd, lines
	}
	run := []string{"-n", "6", "-at-once", "1", "-dir", dir}
	cmd, _ := fleet(false, run...)
	cmd.Process.Kill()
	cmd.Wait()
	said := fleetOf(t, failed, run...)
	mustSay(t, said, "pods are left; stop them with: fleet -stop -on local -dir "+dir)
	said = fleetOf(t, 0, "-stop", "-dir", dir)
	mustSay(t, said, "web-1 is stopped")
	for _, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGPIPE} {
		cmd, lines := fleet(how == syscall.SIGPIPE, run...)
		if how == syscall.SIGINT {
			cmd.Process.Signal(how)
			io.Copy(io.Discard, lines)
		}
		cmd.Wait()
		if said := fleetOf(t, 0, "-stop", "-dir", dir); said != "" {
			t.Errorf("%v: it has left pods:\n%s", how, said)
		}
	}
}

func TestMisused(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"more"}, {"-on", "mars"}, {"-nonsense"}} {
		fleetOf(t, misused, args...)
	}
}

// What a picture cannot take is escaped, and nothing in it depends on there
// having been anything.
func TestPicture(t *testing.T) {
	picture := timelineSVG("<local> & co", []*launch{
		{name: `<script>"`, err: errors.New("a < b"), times: times{Began: 1, Failed: time.Millisecond}},
		{name: strings.Repeat("long", 40), times: times{Began: 0, Resolved: 1, Started: 2, FirstLine: 3, Ready: 4, Dialled: 5}},
	})
	mustBeXML(t, picture)
	if bytes.Contains(picture, []byte("<script>")) {
		t.Error("a name is not escaped")
	}
}

func TestTicks(t *testing.T) {
	for _, end := range []time.Duration{time.Millisecond, 3 * time.Millisecond, 999 * time.Millisecond, time.Second, 17 * time.Second, 3 * time.Hour} {
		step := tick(end)
		if n := int(end / step); n < 4 || n > 10 {
			t.Errorf("for %v there is a mark every %v, %d of them", end, step, n)
		}
	}
}

// On a terminal there is one line, which is written over.
func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	f := fleet{out: &out, terminal: true, began: time.Now(), waiting: 2}
	f.show(nil, func() { f.waiting--; f.busy++ })
	f.show(&launch{name: "web-1", err: launcher.ErrTimeout}, func() { f.busy--; f.broken++ })
	if said := out.String(); strings.Count(said, "\r") != 2 || strings.Contains(said, "\n") || !strings.HasSuffix(said, "0 ready, 0 starting, 1 waiting, 1 failed") {
		t.Errorf("it said %q", said)
	}
}
