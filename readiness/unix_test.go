//go:build unix

package readiness_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// A socket at an expected path is dialled without a line, wherever the path is
// taken from, and is the endpoint.
func TestUnixAnswers(t *testing.T) {
	dir := shortDir(t)
	listen(t, filepath.Join(dir, "sock"))
	listen(t, filepath.Join(dir, "other"))
	target := readiness.Target{Name: "pod", RuntimeDir: dir, PID: os.Getpid(), Endpoint: address("/run/old")}
	for path, want := range map[string]string{"": "sock", "other": "other", dir + "/other": "other"} {
		e, took, err := await(t, preparedIn(t, readiness.Unix{Path: path}, dir), target)
		if err != nil || took != 0 || e != address(filepath.Join(dir, want)) {
			t.Errorf("%q: got %v, %v after %v", path, e, err, took)
		}
	}
}

// Unix tries again as Socket does, and tells the path, the attempts and the
// last error.
func TestUnixPending(t *testing.T) {
	dir := shortDir(t)
	_, took, err := await(t, readiness.Unix{}, readiness.Target{RuntimeDir: dir})
	if e := pending(t, err, errOver); took != patience || e.Waiting != "an answer on unix:"+dir+"/sock" || e.Attempts < int(patience/longestDelay) {
		t.Errorf("after %v: %v", took, err)
	}
	mustBe(t, err, syscall.ENOENT)
}

// Wait and Verify ask which process answers. They refuse a process that is not the pod,
// unless Peer allows it.
func TestUnixPeer(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "sock")
	listen(t, path)
	stranger := readiness.Target{Name: "pod", RuntimeDir: dir} // its pid is not known
	_, took, err := await(t, readiness.Unix{}, stranger)
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, "set readiness.Unix.Peer to readiness.SameUser")
	if took != 0 {
		t.Errorf("it took %v", took)
	}
	if _, _, err := await(t, readiness.Unix{Peer: readiness.SameUser}, stranger); err != nil {
		t.Error(err)
	}
	stranger.Endpoint = address(path)
	mustBe(t, readiness.Verify(t.Context(), readiness.Unix{}, stranger), readiness.ErrForeignPeer)
	if err := readiness.Verify(t.Context(), readiness.Unix{Peer: readiness.SameUser}, stranger); err != nil {
		t.Error(err)
	}
}

// A path at which there can be no socket is refused, by Wait and before the
// launch.
func TestUnixRefused(t *testing.T) {
	for _, c := range []struct{ path, dir, says string }{
		{"/" + strings.Repeat("p", 199), "/run", "200 bytes"},
		{"/a\x00b", "/run", "NUL"},
		{"", "", "no runtime directory"},
	} {
		u := readiness.Unix{Path: c.path}
		_, took, err := await(t, u, readiness.Target{RuntimeDir: c.dir})
		mustSay(t, err, "readiness.Unix.Path", c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		_, err = readiness.Prepare(t.Context(), u, &readiness.Setup{RuntimeDir: c.dir})
		mustSay(t, err, "readiness.Unix.Path", c.says)
	}
}

// W17: Prepare removes a socket that no process serves. These stay: a socket that a
// process serves, a file that is no socket, a file behind a link and, outside of the
// runtime directory, another user's socket.
func TestUnixClears(t *testing.T) {
	dir, elsewhere, foreign := shortDir(t), shortDir(t), false
	stale := func(path string) string {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		return path
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(dir, "served"))
	listen(t, filepath.Join(elsewhere, "served"))
	if err := os.Chown(stale(elsewhere+"/foreign"), os.Geteuid()+1, -1); err == nil {
		foreign = true
	} else if os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if err := os.Symlink(stale(elsewhere+"/z"), elsewhere+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, at string
		stays    bool
	}{
		{"x.sock", stale(dir + "/x.sock"), false},
		{dir + "/y.sock", stale(dir + "/y.sock"), false},
		{"served", dir + "/served", true},
		{"file", dir + "/file", true},
		{"link/x", stale(elsewhere + "/x"), true},
		{elsewhere + "/link", elsewhere + "/z", true},
		{elsewhere + "/link", elsewhere + "/link", true},
		{elsewhere + "/served", elsewhere + "/served", true},
		{elsewhere + "/foreign", elsewhere + "/foreign", foreign},
		{elsewhere + "/x", elsewhere + "/x", false},
		{"../" + filepath.Base(elsewhere) + "/y", stale(elsewhere + "/y"), false},
	} {
		if _, err := readiness.Prepare(t.Context(), readiness.Unix{Path: c.path}, &readiness.Setup{RuntimeDir: dir}); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		if _, err := os.Lstat(c.at); (err == nil) != c.stays {
			t.Errorf("%s: that it stays is not %v: %v", c.path, c.stays, err)
		}
	}
}
