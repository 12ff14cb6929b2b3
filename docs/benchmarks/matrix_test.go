//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	rod "github.com/go-rod/rod/lib/launcher"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir"
)

var updateMatrix = flag.Bool("update-matrix", false, "run the faults against every launcher, and write FAULTS.md")

// A rival is a launcher that the faults are tried on. It starts the program c,
// and returns once the pod is ready, within timeout.
type rival struct {
	name, listed string
	words        words
	launch       func(ctx context.Context, c launcher.Command, base string, timeout time.Duration) (where *url.URL, stop func(), err error)
	noContext    bool // there is no way to give a launch up
	noPeer       bool // it dials over TCP, where the system does not tell who answers
}

// words are how a pod talks to a launcher: what it listens with, and the line
// with which it announces where. {addr} is where it can listen on TCP, and {sock}
// a unix socket.
type words struct {
	listen, line, malformed string
	stdout                  bool // where the line is to be
}

var rivals = []rival{
	{
		name:   "podlaunch",
		listed: "this library, with its defaults",
		words:  words{listen: "listen", line: `INSOMNIA-READY\tpod\t{sock}`, malformed: `INSOMNIA-READY\tpod`},
		launch: launchOurs,
	},
	{
		name:      "go-plugin",
		listed:    "hashicorp/go-plugin v1.8.0: `Client.Start`; `Client.Kill`, as if the plugin had not answered to being asked to go, for the fake pod does not speak its RPC",
		words:     words{listen: "listen", line: `1|1|unix|{sock}|netrpc`, malformed: `1|1|unix`, stdout: true},
		launch:    launchPlugin,
		noContext: true,
	},
	{
		name:   "rod",
		listed: "go-rod/rod v0.116.2: `launcher.Launch`, without its guard process (that is for pods which are to die with their launcher), and `Kill`",
		words:  words{listen: `http {addr} 200 {"webSocketDebuggerUrl":"ws://{addr}/x"}`, line: `DevTools listening on ws://{addr}/devtools/browser/x`, malformed: `DevTools listening on ws://%zz/`},
		launch: launchRod,
		noPeer: true,
	},
}

func launchOurs(ctx context.Context, c launcher.Command, base string, timeout time.Duration) (*url.URL, func(), error) {
	l := launcher.Launcher{
		Command: launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) { return c, nil }),
		Dir:     runtimedir.Dir(base),
		Timeout: timeout,
		Grace:   time.Second,
	}
	pod, err := l.Launch(ctx, launcher.Spec{Name: "pod"})
	if err != nil {
		return nil, nil, err
	}
	return &url.URL{Scheme: "unix", Path: pod.Endpoint().Address}, func() { pod.Stop(context.Background()) }, nil
}

func launchPlugin(_ context.Context, c launcher.Command, _ string, timeout time.Duration) (*url.URL, func(), error) {
	cmd := exec.Command(c.Path, c.Args...)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "POD", MagicCookieValue: "pod"},
		Plugins:          plugin.PluginSet{},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC},
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     timeout,
	})
	addr, err := client.Start()
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		// Kill asks the plugin to go, and waits for its answer, before it does
		// this; and the fake pod does not speak that protocol.
		cmd.Process.Kill()
		client.Kill()
	}
	return &url.URL{Scheme: "unix", Path: addr.String()}, stop, nil
}

func launchRod(ctx context.Context, c launcher.Command, base string, timeout time.Duration) (*url.URL, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// A browser takes flags, and so a script takes them for the pod.
	bin := filepath.Join(base, "browser")
	script := "#!/bin/sh\nexec"
	for _, word := range append([]string{c.Path}, c.Args...) {
		script += " '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	if _, err := os.Stat(c.Path); err != nil {
		bin = c.Path
	} else if err := os.WriteFile(bin, []byte(script+"\n"), 0o700); err != nil {
		return nil, nil, err
	}
	l := rod.New().Context(ctx).Leakless(false).UserDataDir(filepath.Join(base, "profile")).Bin(bin)
	where, err := l.Launch()
	if err != nil {
		return nil, nil, err
	}
	at, err := url.Parse(where)
	return at, l.Kill, err
}

// A matrixFault is one way in which a pod, or who launches it, goes wrong.
type matrixFault struct {
	number, what string
	steps        []string // of the pod; LISTEN, ANNOUNCE, FIRST, SECOND, CRLF, MALFORMED and SQUAT are the rival's words
	ready        bool     // it must be ready, or else there must be an error
	late         bool     // the error may come when the time is over, and else must come before
	tells        []string // what the error must tell
	then         func(m *match) string
	cancel       bool // the launch is given up while it waits
	missing      bool // there is no such program
	peer         bool // it is about who answers
	oneStream    bool // the line is written piece by piece
}

// The pods that must fail at a deadline have this much time, and all others that
// much, so that how fast the machine is does not matter.
const (
	shortTime = 2 * time.Second
	longTime  = time.Minute
	soon      = 20 * time.Second // how much later than it could have been something may be
)

var matrix = []matrixFault{
	{number: "A19", what: "the announcement comes in two pieces", steps: []string{"LISTEN", "FIRST", "sleep 200ms", "SECOND", "hang"}, ready: true, oneStream: true},
	{number: "A22", what: "it ends with CR LF", steps: []string{"LISTEN", "CRLF", "hang"}, ready: true, oneStream: true},
	{number: "A26", what: "a line of 32 MiB comes before it", steps: []string{"longline 33554432", "LISTEN", "ANNOUNCE", "hang"}, ready: true, then: (*match).littleMemory},
	{number: "A27", what: "20 MB of lines come before it", steps: []string{"flood 20000000", "LISTEN", "ANNOUNCE", "hang"}, ready: true, then: (*match).littleMemory},
	{number: "A30", what: "it is malformed", steps: []string{"LISTEN", "MALFORMED", "hang"}, oneStream: true},
	{number: "B20", what: "the program is missing", missing: true, tells: []string{"no such file"}},
	{number: "C1", what: "the pod exits 0 before it is ready", steps: []string{"exit 0"}},
	{number: "C2", what: "it says why, and exits 3: both are told", steps: []string{"say no model here", "exit 3"}, tells: []string{"no model here", "3"}},
	{number: "C4", what: "a signal kills it, which is told", steps: []string{"kill 9"}, tells: []string{"kill"}},
	{number: "C5", what: "it announces itself, and exits", steps: []string{"ANNOUNCE", "exit 4"}},
	{number: "C7", what: "it announces itself, and never listens", steps: []string{"ANNOUNCE", "hang"}, late: true},
	{number: "C8", what: "it announces itself, and listens 300 ms later", steps: []string{"ANNOUNCE", "sleep 300ms", "LISTEN", "hang"}, ready: true, then: (*match).answers},
	{number: "C9", what: "it says nothing", steps: []string{"LISTEN", "hang"}, late: true},
	{number: "C14", what: "another process answers in its place", steps: []string{"SQUAT", "hang"}, peer: true},
	{number: "C16", what: "it forks and exits", steps: []string{"setsid LISTEN ; hang", "exit 0"}},
	{number: "C17", what: "it exits, and its child holds its output", steps: []string{"spawn hang", "exit 3"}},
	{number: "C19", what: "it ignores SIGTERM, and is never ready", steps: []string{"ignore 15", "hang"}, late: true},
	{number: "C20", what: "it stops itself", steps: []string{"kill 19"}, late: true},
	{number: "C27", what: "it writes 20 MB once it is ready", steps: []string{"LISTEN", "ANNOUNCE", "flood 20000000", "file {dir}/after", "hang"}, ready: true, then: (*match).goesOn},
	{number: "D1", what: "the launch is cancelled while it waits", steps: []string{"hang"}, cancel: true},
	{number: "D8", what: "the launcher is killed once the pod is ready, and the pod writes on", steps: []string{"LISTEN", "ANNOUNCE", "await {dir}/gate", "say one", "say two", "file {dir}/after", "hang"}, ready: true, then: (*match).outlives},
	{number: "E1", what: "the pod dies once it is ready", steps: []string{"LISTEN", "ANNOUNCE", "await {dir}/gate", "exit 7"}, ready: true, then: (*match).isReaped},
	{number: "E5", what: "it ignores SIGTERM when it is stopped", steps: []string{"ignore 15", "LISTEN", "ANNOUNCE", "hang"}, ready: true},
	{number: "E8", what: "it has a child when it is stopped", steps: []string{"spawn hang", "LISTEN", "ANNOUNCE", "hang"}, ready: true},
}

// applies says why a fault means nothing to a rival; "" if it does.
func (f *matrixFault) applies(r *rival) string {
	switch {
	case f.cancel && r.noContext:
		return "it takes no context"
	case f.peer && r.noPeer:
		return "over TCP nobody can tell"
	}
	return ""
}

// command is the pod that does f to the launcher r.
func (f *matrixFault) command(r *rival, m matchPlan) (launcher.Command, error) {
	if f.missing {
		return launcher.Command{Path: filepath.Join(m.Base, "missing")}, nil
	}
	dir := filepath.Join(m.Base, "pod")
	place := func(s, sock string) string { return strings.NewReplacer("{addr}", m.Addr, "{sock}", sock).Replace(s) }
	line := place(r.words.line, filepath.Join(dir, "sock"))
	announce := "write " + quote(line+`\n`)
	if r.words.stdout && !f.oneStream {
		announce = "out " + line
	}
	squat := strings.Replace(announce, filepath.Join(dir, "sock"), filepath.Join(m.Base, "squat"), 1)
	half := len(line) / 2
	var steps []string
	for _, s := range f.steps {
		steps = append(steps, strings.NewReplacer("LISTEN", place(r.words.listen, ""), "ANNOUNCE", announce, "SQUAT", squat,
			"FIRST", "write "+quote(line[:half]), "SECOND", "write "+quote(line[half:]+`\n`), "CRLF", "write "+quote(line+`\r\n`),
			"MALFORMED", "write "+quote(place(r.words.malformed, "")+`\n`)).Replace(s))
	}
	c, err := launchertest.FakePod(steps...).ResolveCommand(context.Background(), launcher.Request{Spec: launcher.Spec{Name: "pod"}, RuntimeDir: dir})
	if err == nil && r.words.stdout && f.oneStream {
		c.Args = append([]string{"-c", `exec "$0" "$@" 2>&1`, c.Path}, c.Args...)
		c.Path = "/bin/sh"
	}
	return c, err
}

func quote(s string) string { return `"` + s + `"` }

// A matchPlan is the order for the process that launches.
type matchPlan struct{ Rival, Fault, Base, Addr string }

// A matchResult is what came of it.
type matchResult struct {
	Err   string
	Where string
	Took  time.Duration
	Peak  int64 // bytes of memory, of the launcher
}

const matchVariable = "PODLAUNCH_MATRIX"

// The test binary is the fake pod, and the launchers.
func init() {
	launchertest.PlayPod()
	text := os.Getenv(matchVariable)
	if text == "" {
		return
	}
	os.Unsetenv(matchVariable)
	if err := playMatch(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playMatch launches, reports the result, and stops the pod when the test asks for
// it.
func playMatch(text string) error {
	var m matchPlan
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	r := &rivals[slices.IndexFunc(rivals, func(r rival) bool { return r.name == m.Rival })]
	f := &matrix[slices.IndexFunc(matrix, func(f matrixFault) bool { return f.number == m.Fault })]
	c, err := f.command(r, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timeout := longTime
	if f.late {
		timeout = shortTime
	}
	if f.cancel {
		time.AfterFunc(shortTime/4, cancel)
	}
	began := time.Now()
	where, stop, err := r.launch(ctx, c, m.Base, timeout)
	result := matchResult{Took: time.Since(began)}
	var used unix.Rusage
	if usageErr := unix.Getrusage(unix.RUSAGE_SELF, &used); usageErr == nil {
		result.Peak = used.Maxrss << 10
	}
	if err != nil {
		result.Err = err.Error()
	} else {
		result.Where = where.String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		return err
	}
	for {
		var order string
		if _, err := fmt.Scanln(&order); err != nil {
			return nil // there will be none
		}
		if stop != nil {
			stop()
		}
		fmt.Println("stopped")
	}
}

// A match is one fault, tried on one launcher.
type match struct {
	matchPlan
	f       *matrixFault
	worker  *exec.Cmd
	out     *json.Decoder
	in      *os.File
	result  matchResult
	stopped bool
}

// tryFault returns why the launcher r did not survive f; "" if it did.
func tryFault(t *testing.T, r *rival, f *matrixFault) string {
	t.Helper()
	base, err := os.MkdirTemp("", "matrix")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	m := &match{matchPlan: matchPlan{r.name, f.number, base, freeAddress(t)}, f: f}
	if err := errors.Join(os.Mkdir(filepath.Join(base, "pod"), 0o700), unix.Mkfifo(filepath.Join(base, "pod", "gate"), 0o600)); err != nil {
		t.Fatal(err)
	}
	squatter, err := net.Listen("unix", filepath.Join(base, "squat"))
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	defer m.killAll()
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	defer m.worker.Process.Kill()
	return strings.NewReplacer(m.Addr, "ADDRESS", m.Base, "").Replace(m.play())
}

// freeAddress returns an address that has no listener at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the process that launches.
func (m *match) start() error {
	plan, err := json.Marshal(m.matchPlan)
	if err != nil {
		return err
	}
	m.worker = exec.Command("/proc/self/exe")
	m.worker.Env = append(os.Environ(), matchVariable+"="+string(plan))
	m.worker.Dir = m.Base
	orders, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orders.Close()
	m.in = in
	m.worker.Stdin = orders
	out, err := m.worker.StdoutPipe()
	if err != nil {
		return err
	}
	m.out = json.NewDecoder(out)
	return m.worker.Start()
}

// play waits for what comes of the launch, and judges it.
func (m *match) play() string {
	defer m.in.Close()
	got := make(chan error, 1)
	go func() { got <- m.out.Decode(&m.result) }() // ends with the worker at the latest
	most := longTime
	if m.f.late || m.f.cancel {
		most = shortTime + soon
	} else if !m.f.ready {
		most = soon
	}
	select {
	case err := <-got:
		if err != nil {
			m.worker.Wait()
			return fmt.Sprintf("the launching program died: %v", m.worker.ProcessState)
		}
	case <-time.After(most):
		return fmt.Sprintf("it had not returned after %v", most)
	}
	switch {
	case m.f.ready && m.result.Err != "":
		return "error: " + brief(m.result.Err)
	case !m.f.ready && m.result.Err == "":
		return "taken for ready"
	}
	for _, want := range m.f.tells {
		if !strings.Contains(m.result.Err, want) {
			return fmt.Sprintf("the error does not say %q: %s", want, brief(m.result.Err))
		}
	}
	if m.f.then != nil {
		if why := m.f.then(m); why != "" {
			return why
		}
	}
	if m.f.ready && !m.stopped {
		fmt.Fprintln(m.in, "stop")
	}
	return m.nothingLeft()
}

func brief(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", `\|`)
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return s
}

// nothingLeft waits until neither a process of the pod nor a zombie is left.
func (m *match) nothingLeft() string {
	var pods, zombies []int
	if within(soon/2, func() bool {
		pods, zombies = m.pods(), m.zombies()
		return len(pods)+len(zombies) == 0
	}) {
		return ""
	}
	return fmt.Sprintf("left behind: %d processes, %d zombies", len(pods), len(zombies))
}

// within waits for d at most until done: what other programs do there is no
// event for.
func within(d time.Duration, done func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// pods returns the processes of the pod: all that have its directory among
// their arguments, and are alive.
func (m *match) pods() (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if slices.Contains(strings.Split(string(args), "\x00"), filepath.Join(m.Base, "pod")) {
			found = append(found, pid)
		}
	}
	return found
}

// zombies returns the children of the worker that it has not reaped.
func (m *match) zombies() (found []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.worker.Process.Pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			stat, _ := os.ReadFile("/proc/" + word + "/stat")
			if pid, err := strconv.Atoi(word); err == nil && strings.Contains(string(stat), ") Z ") {
				found = append(found, pid)
			}
		}
	}
	return found
}

func (m *match) killAll() {
	for _, pid := range m.pods() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	m.worker.Wait() // it was killed, or has died
}

// littleMemory: the launcher has not kept what the pod wrote.
func (m *match) littleMemory() string {
	if const100 := int64(100 << 20); m.result.Peak > const100 {
		return fmt.Sprintf("it took %d MiB of memory", m.result.Peak>>20)
	}
	return ""
}

// answers: the pod can be talked to at once.
func (m *match) answers() string {
	where, err := url.Parse(m.result.Where)
	if err != nil {
		return err.Error()
	}
	if where.Scheme == "unix" {
		conn, err := net.Dial("unix", where.Path)
		if err != nil {
			return "taken for ready: " + brief(err.Error())
		}
		conn.Close()
		return ""
	}
	resp, err := http.Get("http://" + where.Host)
	if err != nil {
		return "taken for ready: " + brief(err.Error())
	}
	resp.Body.Close()
	return ""
}

// goesOn: the pod comes to the end of its steps.
func (m *match) goesOn() string {
	if !within(soon, func() bool {
		_, err := os.Stat(filepath.Join(m.Base, "pod", "after"))
		return err == nil
	}) {
		return fmt.Sprintf("the pod could not go on; %d processes of it are left", len(m.pods()))
	}
	return ""
}

// wake lets a pod go on that awaits its gate.
func (m *match) wake() error {
	f, err := os.OpenFile(filepath.Join(m.Base, "pod", "gate"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	// It has a reader and a writer now, until the pod has seen that.
	time.AfterFunc(soon, func() { f.Close() })
	return nil
}

// outlives: the pod goes on when its launcher is gone.
func (m *match) outlives() string {
	m.stopped = true
	m.worker.Process.Kill()
	m.worker.Wait()
	if err := m.wake(); err != nil {
		return err.Error()
	}
	why := m.goesOn()
	for _, pid := range m.pods() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return why
}

// isReaped: the pod dies, and what is left of it goes.
func (m *match) isReaped() string {
	m.stopped = true
	if err := m.wake(); err != nil {
		return err.Error()
	}
	return ""
}

// This library survives every fault of the matrix that it is about. What the
// others make of them is in FAULTS.md, from a run of the same matrix.
func TestMatrix(t *testing.T) {
	if err := keepDescriptors(); err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[string]map[string]string)
	for i := range rivals {
		r := &rivals[i]
		if r.name != "podlaunch" && !*updateMatrix {
			continue
		}
		outcomes[r.name] = make(map[string]string)
		for j := range matrix {
			f := &matrix[j]
			t.Run(r.name+"/"+f.number, func(t *testing.T) {
				if why := f.applies(r); why != "" {
					outcomes[r.name][f.number] = "– " + why
					return
				}
				why := tryFault(t, r, f)
				if why != "" && r.name == "podlaunch" {
					t.Errorf("%s: %s", f.what, why)
				} else if why != "" {
					t.Log(why)
				}
				outcomes[r.name][f.number] = strings.TrimSpace("✗ " + why)
				if why == "" {
					outcomes[r.name][f.number] = "✓"
				}
			})
		}
	}
	if *updateMatrix && !t.Failed() {
		if err := os.WriteFile("FAULTS.md", []byte(matrixPage(outcomes)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// matrixPage is FAULTS.md.
func matrixPage(outcomes map[string]map[string]string) string {
	var b strings.Builder
	b.WriteString(`# Faults, tried on other launchers

What some launchers make of the same faults, each in a process of its own, with
the same fake pod, which speaks each one's own protocol. A launcher survives a
fault if it does what the fault asks for (that the pod is ready; or an error, before
its time is over unless only time can tell, that says what was to be told), if the
launching program lives, and if afterwards, or when the pod was stopped in the
launcher's own way, no process of the pod and no zombie is left. A launcher that is
killed has to leave the pod running.

The numbers are those of [the catalogue](../internals/faults.md). A dash: it does not apply.
Written by a run, and by nobody:

    cd docs/benchmarks && go test -run TestMatrix -update-matrix -timeout 30m

Without the flag the test tries them on this library alone, and every one must be
survived.

`)
	b.WriteString("| | fault |")
	for _, r := range rivals {
		fmt.Fprintf(&b, " %s |", r.name)
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(rivals)) + "\n")
	survived, applied := make(map[string]int), make(map[string]int)
	for _, f := range matrix {
		fmt.Fprintf(&b, "| %s | %s |", f.number, f.what)
		for _, r := range rivals {
			o := outcomes[r.name][f.number]
			fmt.Fprintf(&b, " %s |", o)
			if !strings.HasPrefix(o, "–") {
				applied[r.name]++
			}
			if strings.HasPrefix(o, "✓") {
				survived[r.name]++
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("| | **survived, of those that apply** |")
	for _, r := range rivals {
		fmt.Fprintf(&b, " **%d of %d** |", survived[r.name], applied[r.name])
	}
	b.WriteString("\n\n")
	for _, r := range rivals {
		fmt.Fprintf(&b, "- %s: %s\n", r.name, r.listed)
	}
	return b.String()
}
