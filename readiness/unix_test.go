//go:build unix

package readiness_test

import (
	"errors"
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

// Who answers is asked, by Wait and by Verify: whoever is not the pod is
// refused unless Peer allows it.
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
