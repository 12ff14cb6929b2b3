package readiness_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// playEnv makes the test binary play a command: "exit N" does that, "sleep" waits for its
// end, "tree" starts a process that sleeps, prints its id and waits, and "once FILE" exits
// with 1 the first time. It prints POD_NAME first.
const playEnv = "READINESS_TEST_PLAY"

func TestMain(m *testing.M) {
	if role := os.Getenv(playEnv); role != "" {
		os.Exit(play(role))
	}
	conformance.Main(m)
}

func play(role string) int {
	word, rest, _ := strings.Cut(role, " ")
	fmt.Println("pod", os.Getenv("POD_NAME"))
	switch word {
	case "exit":
		var code int
		fmt.Sscan(rest, &code)
		return code
	case "sleep":
		time.Sleep(time.Minute) // the job ends it
	case "tree":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), playEnv+"=sleep")
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		if err := os.WriteFile(rest, fmt.Append(nil, child.Process.Pid), 0o600); err != nil {
			return 1
		}
		if os.Getenv("STAY") != "" {
			time.Sleep(time.Minute)
		}
	case "once":
		if _, err := os.Stat(rest); err != nil {
			os.WriteFile(rest, nil, 0o600)
			fmt.Println("not yet")
			return 1
		}
	}
	return 0
}

// Exec runs a command until it exits with 0, and tells it of the pod.
func TestWindowsExec(t *testing.T) {
	target := target(t, nil)
	target.WorkDir = t.TempDir()
	p := readiness.Exec{Path: os.Args[0], Env: []string{playEnv + "=once " + filepath.Join(target.WorkDir, "flag")}}
	if _, err := p.Wait(t.Context(), target); err != nil {
		t.Error(err)
	}
	p = readiness.Exec{Path: os.Args[0], Env: []string{playEnv + "=exit 3"},
		Schedule: readiness.Schedule{Final: func(error) bool { return true }}}
	_, err := p.Wait(t.Context(), target)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("the error is %v", err)
	}
	mustSay(t, err, "pod pod")
}

// What the command has started ends with it, and with the attempt.
func TestWindowsExecLeavesNobody(t *testing.T) {
	for _, stay := range []string{"", "yes"} {
		target := target(t, nil)
		target.WorkDir = t.TempDir()
		note := filepath.Join(target.WorkDir, "pid")
		p := readiness.Exec{Path: os.Args[0], Env: []string{playEnv + "=tree " + note, "STAY=" + stay},
			Schedule: readiness.Schedule{Attempt: 3 * time.Second, Final: func(error) bool { return true }}}
		if _, err := p.Wait(t.Context(), target); (err != nil) != (stay != "") {
			t.Errorf("with STAY=%s the error is %v", stay, err)
		}
		text, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		var pid uint32
		fmt.Sscan(string(text), &pid)
		process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, pid)
		if err != nil {
			continue // it is gone
		}
		if event, err := windows.WaitForSingleObject(process, 5000); event != windows.WAIT_OBJECT_0 {
			t.Errorf("the process %d runs on: %v", pid, err)
		}
		windows.CloseHandle(process)
	}
}

// A command is found as package os/exec finds it: by PATHEXT, and not in the current
// directory.
func TestWindowsExecFinds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ready check.cmd"), []byte("@exit /b %1\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := target(t, nil)
	target.WorkDir = dir
	t.Setenv("PATH", dir)
	if _, err := (readiness.Exec{Path: "ready check", Args: []string{"0"}}).Wait(t.Context(), target); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", os.Getenv("SystemRoot"))
	t.Chdir(dir)
	_, err := readiness.Exec{Path: "ready check"}.Wait(t.Context(), target)
	mustBe(t, err, exec.ErrDot)
	_, err = readiness.Exec{Path: "nowhere"}.Wait(t.Context(), target)
	mustBe(t, err, exec.ErrNotFound)
}

// listenLater listens on a port of the loopback once probes were refused there.
func listenLater(t *testing.T, serve func(l net.Listener)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	time.AfterFunc(50*time.Millisecond, func() { // the probe sees nothing of it before
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		serve(l)
	})
	return addr
}

// A port is waited for while it refuses.
func TestWindowsTCP(t *testing.T) {
	addr := listenLater(t, func(net.Listener) {})
	e, err := readiness.TCP{Address: addr}.Wait(t.Context(), target(t, nil))
	if err != nil || e.String() != "tcp:"+addr {
		t.Errorf("got %v, %v", e, err)
	}
	_, err = readiness.TCP{Address: addr}.Prepare(t.Context(), new(readiness.Setup))
	mustBe(t, err, readiness.ErrForeignPeer)
	_, err = readiness.TCP{Address: addr, NoConnect: true}.Prepare(t.Context(), new(readiness.Setup))
	mustBe(t, err, errors.ErrUnsupported)
}

// So is a server.
func TestWindowsHTTP(t *testing.T) {
	addr := listenLater(t, func(l net.Listener) {
		server := &http.Server{Handler: http.NotFoundHandler()}
		t.Cleanup(func() { server.Close() })
		go server.Serve(l)
	})
	if _, err := (readiness.HTTP{URL: "http://" + addr + "/", Status: http.StatusNotFound}).Wait(t.Context(), target(t, nil)); err != nil {
		t.Error(err)
	}
}

// The ready line takes a path of Windows, and an address.
func TestWindowsReadyLine(t *testing.T) {
	for said, want := range map[string]string{
		`C:\pods\web\sock`:             `unix:C:\pods\web\sock`,
		`\\host\share\sock`:            `unix:\\host\share\sock`,
		"sock":                         `unix:D:\srv\pod\sock`,
		`\run\sock`:                    `unix:D:\run\sock`,
		"/run/sock":                    "unix:D:/run/sock",
		"tcp:127.0.0.1:7070":           "tcp:127.0.0.1:7070",
		"tcp::7070":                    "tcp:127.0.0.1:7070",
		"tcp:[::1]:7070":               "tcp:[::1]:7070",
		"D:sock":                       "",
		"tcp:7070":                     "",
		"tcp:127.0.0.1:0":              "",
		"tcp:C:\\sock":                 "",
		"tcp:web/1:80":                 "",
		`C:\pods\web\a sock with tab	`: "unix:C:\\pods\\web\\a sock with tab\\t",
	} {
		line := "INSOMNIA-READY\tpod\t" + said
		target := target(t, logOf(line))
		target.WorkDir = `D:\srv\pod`
		e, _, err := await(t, readiness.ReadyLine{}, target)
		var w strings.Builder
		announced := readiness.Announce(&w, "pod", said)
		if want == "" {
			mustBe(t, err, readiness.ErrMalformedReadyLine)
			if announced == nil {
				t.Errorf("%q was announced", said)
			}
			continue
		}
		if err != nil || strings.ReplaceAll(e.String(), `\\`, `\`) != strings.ReplaceAll(want, `\\`, `\`) {
			t.Errorf("%q: got %v, %v, want %s", said, e, err, want)
		}
		if announced != nil || w.String() != line+"\n" {
			t.Errorf("%q: %v, %q", said, announced, w.String())
		}
	}
}

// A file is waited for also while the pod lets nobody else read it, and the probe does not
// keep the pod from replacing it.
func TestWindowsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ready")
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.CREATE_NEW, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(30*time.Millisecond, func() { // so that it is tried before
		windows.Write(alone, []byte("port 80\n"))
		windows.CloseHandle(alone)
	})
	p := readiness.File{Path: "ready", Match: regexp.MustCompile(`port (?P<port>\d+)\n`)}
	e, err := p.Wait(t.Context(), readiness.Target{RuntimeDir: dir})
	if err != nil || e.String() != "tcp:127.0.0.1:80" {
		t.Errorf("got %v, %v", e, err)
	}
	_, err = readiness.File{Path: "C:ready"}.Prepare(t.Context(), &readiness.Setup{Name: "pod", RuntimeDir: dir})
	mustSay(t, err, "drive C:")
}

// What needs a unix socket, or a descriptor that is inherited, is not supported, and says
// why before the pod starts or as soon as it is dialled.
func TestWindowsUnsupported(t *testing.T) {
	setup := &readiness.Setup{Name: "pod", RuntimeDir: t.TempDir()}
	for says, p := range map[string]readiness.Probe{
		"datagram":              readiness.NotifySocket{},
		"inherits no":           readiness.NotifyFD{},
		"readiness.Listener: a": readiness.Listener{},
	} {
		_, err := readiness.Prepare(t.Context(), p, setup)
		mustBe(t, err, errors.ErrUnsupported)
		mustSay(t, err, says)
	}
	target := target(t, nil)
	target.Endpoint = readiness.Endpoint{Network: "unix", Address: `C:\sock`}
	for _, p := range []readiness.Probe{readiness.Socket{}, readiness.Unix{}} {
		_, took, err := await(t, p, target)
		mustBe(t, err, errors.ErrUnsupported)
		mustSay(t, err, "announce tcp:127.0.0.1:PORT")
		if took != 0 {
			t.Errorf("it took %v", took)
		}
	}
	mustBe(t, readiness.Socket{}.Verify(t.Context(), target), errors.ErrUnsupported)
}
