//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// put writes a file.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// File finds a file of any type that is there, by a relative or absolute path. With an
// expression it finds the file by its content, and the groups give the endpoint.
func TestFileFound(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "ready\nport 80\n")
	put(t, dir+"/large", strings.Repeat("x", 64<<10)+"too late")
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	old := readiness.Endpoint{Network: "tcp", Address: "old:1"}
	for _, c := range []struct {
		path, match string
		want        string
	}{
		{"file", "", "tcp:old:1"},
		{dir + "/file", "", "tcp:old:1"},
		{"fifo", "", "tcp:old:1"},
		{".", "", "tcp:old:1"},
		{"file", "^ready", "tcp:old:1"},
		{"file", `port (?P<port>\d+)\n$`, "tcp:127.0.0.1:80"},
		{"large", "^x+$", "tcp:old:1"},
	} {
		p := readiness.File{Path: c.path}
		if c.match != "" {
			p.Match = regexp.MustCompile(c.match)
		}
		e, took, err := await(t, p, readiness.Target{RuntimeDir: dir, Endpoint: old})
		if err != nil || e.String() != c.want || took != 0 {
			t.Errorf("%v: got %v, %v after %v", p, e, err, took)
		}
	}
}

// What is missing, or does not match yet, is looked at again, until it is right;
// the end tells the path and what was wrong.
func TestFileAgain(t *testing.T) {
	dir := t.TempDir()
	p := readiness.File{Path: "file", Match: regexp.MustCompile("ready\n$")}
	look := func(says string) {
		t.Helper()
		_, took, err := await(t, p, readiness.Target{RuntimeDir: dir})
		if e := pending(t, err, errOver); took != patience || e.Attempts < int(patience/longestDelay) || e.Waiting != p.String() {
			t.Errorf("after %v: %v", took, err)
		}
		mustSay(t, err, dir+"/file", says)
	}
	look("no such file")
	put(t, dir+"/file", "rea")
	look(`not ready: "rea"`)
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(time.Second, func() { put(t, dir+"/file", "ready\n") })
		if _, err := p.Wait(t.Context(), readiness.Target{RuntimeDir: dir}); err != nil {
			t.Error(err)
		}
	})
}

// The file of an earlier run does not count, until it has changed in any way.
func TestFileOld(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	for name, change := range map[string]func(t *testing.T, path string){
		"written again": func(t *testing.T, path string) { put(t, path, "new") },
		"replaced": func(t *testing.T, path string) {
			put(t, path+".tmp", "old")
			if err := errors.Join(os.Chtimes(path+".tmp", past, past), os.Rename(path+".tmp", path)); err != nil {
				t.Fatal(err)
			}
		},
		"longer": func(t *testing.T, path string) {
			put(t, path, "older")
			if err := os.Chtimes(path, past, past); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			put(t, path, "old")
			if err := os.Chtimes(path, past, past); err != nil {
				t.Fatal(err)
			}
			p := preparedIn(t, readiness.All{readiness.File{Path: "file"}}, dir)
			_, _, err := await(t, p, readiness.Target{RuntimeDir: dir})
			pending(t, err, errOver)
			mustSay(t, err, path, "was there before the pod was started")
			change(t, path)
			if _, _, err := await(t, p, readiness.Target{RuntimeDir: dir}); err != nil {
				t.Error(err)
			}
		})
	}
	dir := t.TempDir() // and what comes where nothing was counts
	p := preparedIn(t, readiness.File{Path: "file"}, dir)
	put(t, dir+"/file", "")
	if _, _, err := await(t, p, readiness.Target{RuntimeDir: dir}); err != nil {
		t.Error(err)
	}
}

// What will not get better is final, and what makes no sense is refused, by Wait
// and, where it can be known, before the launch.
func TestFileRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/file", "port 0")
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile
	for _, c := range []struct {
		p       readiness.File
		says    string
		prepare bool // refused before the launch too
	}{
		{readiness.File{}, "readiness.File.Path: it is empty", true},
		{readiness.File{Path: "file/below"}, "not a directory", true},
		{readiness.File{Path: "a\x00b"}, "invalid argument", true},
		{readiness.File{Path: "file", Match: match(`(?P<prot>\d+)`)}, `readiness.File.Match: "(?P<prot>\\d+)" has a group called "prot"`, true},
		{readiness.File{Path: "file", Schedule: readiness.Schedule{Attempt: -1}}, "readiness.File.Attempt", true},
		{readiness.File{Path: "file", Match: match(`(?P<port>\d+)`)}, "readiness.File.Match: tcp::0 is no endpoint: the port 0", false},
		{readiness.File{Path: "fifo", Match: match("x")}, "not a regular file", false},
		{readiness.File{Path: ".", Match: match("x")}, "not a regular file", false},
	} {
		_, took, err := await(t, c.p, readiness.Target{RuntimeDir: dir})
		mustSay(t, err, c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		if _, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{RuntimeDir: dir}); c.prepare {
			mustSay(t, err, c.says)
		} else if err != nil {
			t.Error(err)
		}
	}
	_, _, err := await(t, readiness.File{Path: "file"}, readiness.Target{})
	mustSay(t, err, "readiness.File.Path", "no runtime directory")
}

// A file that an ordinary user may not read, or reach, is final.
func TestFileNoPermission(t *testing.T) {
	if !ordinary(t) {
		return
	}
	dir := shortDir(t)
	put(t, dir+"/closed", "x")
	if err := errors.Join(os.Chmod(dir+"/closed", 0), os.Mkdir(dir+"/d", 0)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"closed", "d/file"} {
		p := readiness.File{Path: path, Match: regexp.MustCompile("x")}
		_, took, err := await(t, p, readiness.Target{RuntimeDir: dir})
		mustBe(t, err, fs.ErrPermission)
		if took != 0 {
			t.Errorf("it took %v", took)
		}
	}
	_, err := readiness.Prepare(t.Context(), readiness.File{Path: "d/file"}, &readiness.Setup{RuntimeDir: dir})
	mustBe(t, err, fs.ErrPermission)
	mustSay(t, err, "readiness.File.Path")
}

// W27: a file whose name holds the pod's pid, as nats-server's list of ports; one of
// an earlier run that had the same pid does not count.
func TestFileOfThePid(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, is string }{
		{"nats-server_{pid}.ports", "nats-server_4711.ports"},
		{"{dir}/{name}.{pid}", "pod.4711"},
		{"[a]*?{pid}", "[a]*?4711"},
		{"{name}", "pod"},
	} {
		file := filepath.Join(dir, c.is)
		if err := os.WriteFile(file, []byte("port 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := preparedIn(t, readiness.File{Path: c.path, Match: regexp.MustCompile(`port (?P<port>\d+)\n`)}, dir)
		to := target(t, nil)
		to.RuntimeDir, to.PID = dir, 4711
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOver)
		_, err := p.Wait(ctx, to)
		pending(t, err, errOver)
		mustSay(t, err, file, "before the pod was started")
		if err := os.WriteFile(file, []byte("port 23\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := p.Wait(t.Context(), to); err != nil || e.Address != "127.0.0.1:23" {
			t.Errorf("%s: %v, %v", c.path, e, err)
		}
		os.Remove(file)
		if to.PID = 0; strings.Contains(c.path, "{pid}") {
			_, err := p.Wait(t.Context(), to)
			mustSay(t, err, "readiness.File.Path", "pid is not known")
		}
	}
}
