package osproc_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// verbVariable has this program do something else than test.
const verbVariable = "UNIXPROC_TEST_VERB"

func TestMain(m *testing.M) {
	verb, rest, _ := strings.Cut(os.Getenv(verbVariable), " ")
	if do := verbs[verb]; do != nil {
		do(rest)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// verbs are what this program does as a child.
var verbs = map[string]func(rest string){
	"exit": func(rest string) {
		code, _ := strconv.ParseUint(rest, 0, 32)
		windows.ExitProcess(uint32(code))
	},
	"arguments": func(string) {
		json.NewEncoder(os.Stdout).Encode(os.Args)
	},
	"handles": handlesVerb,
	"tree":    treeVerb,
	"launch":  launchVerb,
	"outer": func(rest string) {
		io.ReadAll(os.Stdin) // until it is in a job
		launchVerb(rest + " last")
	},
	"event": func(string) {
		name, _ := windows.UTF16PtrFromString(os.Getenv(osproc.StopVariable))
		event, err := windows.CreateEvent(nil, 1, 0, name)
		fmt.Println("ready", err)
		windows.WaitForSingleObject(event, windows.INFINITE)
		windows.ExitProcess(21)
	},
	"interrupt": func(string) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		fmt.Println("ready")
		<-c
		windows.ExitProcess(22)
	},
	"ignore": func(string) {
		signal.Ignore(os.Interrupt)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	},
}

// handlesVerb prints which of the handles in rest are files that it can ask about.
func handlesVerb(rest string) {
	for _, text := range strings.Fields(rest) {
		h, _ := strconv.ParseUint(text, 0, 64)
		kind, err := windows.GetFileType(windows.Handle(h))
		fmt.Println(text, err == nil && kind != windows.FILE_TYPE_UNKNOWN)
	}
}

// treeVerb starts itself again, rest generations deep, prints the pids, and stays.
func treeVerb(rest string) {
	depth, _ := strconv.Atoi(rest)
	fmt.Println(os.Getpid())
	if depth > 0 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), verbVariable+"=tree "+strconv.Itoa(depth-1))
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
	}
	time.Sleep(time.Hour)
}

// launchVerb starts a tree, as a launcher does, has it last if rest says so, and stays.
func launchVerb(rest string) {
	c := child("tree 2", os.Stdout)
	c.Mark = "POD_LAUNCH_ID=" + strings.Fields(rest)[0]
	p, err := osproc.Start(ctx, c)
	if err == nil && strings.HasSuffix(rest, " last") {
		if err = p.Share(); err == nil {
			err = p.Last()
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started")
	time.Sleep(time.Hour)
}

// child is this program, with a verb.
func child(verb string, stdout *os.File) osproc.Command {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return osproc.Command{
		Path:  path,
		Env:   append(os.Environ(), verbVariable+"="+verb),
		Files: []*os.File{nil, stdout, os.Stderr},
	}
}

// A running is a child, and the lines that it prints.
type running struct {
	*osproc.Process
	lines *bufio.Scanner
}

// start starts c, whose stdout it reads.
func start(t *testing.T, c osproc.Command) *running {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	for len(c.Files) < 3 {
		c.Files = append(c.Files, nil)
	}
	c.Files[1] = w
	p, err := osproc.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return &running{p, bufio.NewScanner(r)}
}

// line returns its next line.
func (r *running) line(t *testing.T) string {
	t.Helper()
	if !r.lines.Scan() {
		t.Fatalf("it has nothing more to say: %v", r.lines.Err())
	}
	return strings.TrimSpace(r.lines.Text())
}

// wait returns how it ended, and reaps it.
func (r *running) wait(t *testing.T) osproc.Exit {
	t.Helper()
	exit, err := r.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	return exit
}

// identities returns the next n lines, as Identities of processes. It waits for the line of
// launchVerb as well, if launched.
func (r *running) identities(t *testing.T, n int, launched bool) (ids []osproc.Identity) {
	t.Helper()
	for len(ids) < n || launched {
		line := r.line(t)
		if launched && line == "started" {
			launched = false
			continue
		}
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		id, err := osproc.Identify(pid)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}
