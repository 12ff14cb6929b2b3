//go:build unix

package readiness_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// C15: if another user answers, the last Verifier decides, inside any wrapper. Without
// a Verifier the user may answer, as when the pod was launched.
func TestCheckConnOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can start a process of another user")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	target := dialled(filepath.Join(dir, "sock"))
	startChild(t, "serve", target.Endpoint.Address, &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse},
	})
	conn := connect(t, target.Endpoint)
	for what, c := range map[string]struct {
		probe readiness.Probe
		may   bool
	}{
		"Socket":              {readiness.Socket{}, false},
		"Unix":                {readiness.Unix{}, false},
		"Listener":            {readiness.Listener{}, false},
		"in a Sequence":       {readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}, false},
		"the last":            {readiness.Sequence{readiness.Socket{Peer: readiness.AnyPeer}, readiness.Unix{}}, false},
		"Socket for any":      {readiness.Socket{Peer: readiness.AnyPeer}, true},
		"Unix for any":        {readiness.Unix{Peer: readiness.AnyPeer}, true},
		"Listener for any":    {readiness.Listener{Peer: readiness.AnyPeer}, true},
		"the last is for any": {readiness.Sequence{readiness.Socket{}, readiness.Unix{Peer: readiness.AnyPeer}}, true},
		"no Verifier":         {readiness.ReadyLine{}, true},
	} {
		err := readiness.CheckConn(c.probe, conn, target)
		if c.may != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
		if !c.may {
			mustBe(t, err, readiness.ErrForeignPeer)
			mustSay(t, err, target.Endpoint.String(), fmt.Sprintf("of user %d", someoneElse))
		}
	}
}

// Of a process of our own user nobody is asked, nor where it cannot be known who
// answers.
func TestCheckConnAsksNobody(t *testing.T) {
	nobody := readiness.Socket{Peer: func(readiness.Peer, readiness.Target) error { return errors.New("it was asked") }}
	ours := dialled(filepath.Join(shortDir(t), "sock"))
	for _, e := range []readiness.Endpoint{ours.Endpoint, {Network: "tcp", Address: "127.0.0.1:0"}} {
		l, err := net.Listen(e.Network, e.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		target := readiness.Target{Endpoint: readiness.Endpoint{Network: e.Network, Address: l.Addr().String()}}
		if err := readiness.CheckConn(nobody, connect(t, target.Endpoint), target); err != nil {
			t.Errorf("%v: %v", e, err)
		}
	}
}
