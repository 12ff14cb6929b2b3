package readiness_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// NotifySocket, which only Linux has, passes the kit too.
func TestKitNotifySocket(t *testing.T) {
	for name, probe := range map[string]readiness.Probe{
		"alone":           readiness.NotifySocket{},
		"behind another":  readiness.Sequence{noted{}, readiness.NotifySocket{}},
		"beside another":  readiness.All{noted{}, readiness.NotifySocket{}},
		"anybody's":       readiness.NotifySocket{Peer: readiness.AnyPeer},
		"with a Listener": readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "alone" {
				t.Skip("skipped with -short: the same rules for the probe within another")
			}
			t.Parallel()
			readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
				c := readinesstest.Case{
					Probe:  probe,
					Target: readiness.Target{PID: os.Getpid(), RuntimeDir: shortDir(t)},
					Ready:  func(s *readiness.Setup) { notify(t, s, "STATUS=up\nREADY=1\n") },
					Fail:   func(s *readiness.Setup) { notify(t, s, "STATUS=no disk\nERRNO=5\n") },
				}
				if name == "with a Listener" {
					c.Want = readiness.Endpoint{Network: "unix", Address: c.Target.RuntimeDir + "/sock"}
				}
				return c
			})
		})
	}
}

// PIDFile, which only Linux has, passes the kit too.
func TestKitPIDFile(t *testing.T) {
	t.Parallel()
	readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
		dir := t.TempDir()
		put := func(text string) {
			err := os.WriteFile(dir+"/new", []byte(text), 0o600)
			if err = errors.Join(err, os.Rename(dir+"/new", dir+"/pid")); err != nil {
				t.Fatal(err)
			}
		}
		return readinesstest.Case{
			Probe:  readiness.PIDFile{Path: "pid"},
			Target: readiness.Target{RuntimeDir: dir, PID: ended(t), Kin: &kin{members: []int{4711}}},
			Ready:  func(*readiness.Setup) { put("4711\n") },
			Fail:   func(*readiness.Setup) { put("4712\n") },
		}
	})
}

// NotifySocket adopts only with MainPID, and only who is proven to be of the pod.
func TestNotifySocketAdopts(t *testing.T) {
	for _, c := range []struct {
		probe readiness.NotifySocket
		said  string
		fails bool
		want  int // who is adopted
	}{
		{readiness.NotifySocket{MainPID: true}, "MAINPID=4711\nREADY=1", false, 4711},
		{readiness.NotifySocket{MainPID: true}, "READY=1\nMAINPID=4711", false, 4711},
		{readiness.NotifySocket{MainPID: true, Public: true}, "READY=1\nMAINPID=4711", false, 4711},
		{readiness.NotifySocket{}, "MAINPID=4711\nREADY=1", false, 0},
		{readiness.NotifySocket{MainPID: true}, "READY=1", false, 0},
		{readiness.NotifySocket{MainPID: true}, "MAINPID=0\nREADY=1", false, 0},
		{readiness.NotifySocket{MainPID: true}, "MAINPID=x\nREADY=1", false, 0},
		{readiness.NotifySocket{MainPID: true}, "MAINPID=4712\nREADY=1", true, 0},
		{readiness.NotifySocket{MainPID: true}, "MAINPID=1\nREADY=1", true, 0},
	} {
		s := &readiness.Setup{Name: "pod", RuntimeDir: shortDir(t)}
		p, err := readiness.Prepare(t.Context(), c.probe, s)
		if err != nil {
			t.Fatal(err)
		}
		notify(t, s, c.said)
		k := &kin{members: []int{4711}}
		_, err = p.Wait(t.Context(), readiness.Target{RuntimeDir: s.RuntimeDir, PID: os.Getpid(), Kin: k})
		if c.fails != errors.Is(err, readiness.ErrUnproven) || !c.fails && err != nil {
			t.Errorf("%q: %v", c.said, err)
		}
		if c.fails {
			mustSay(t, err, fmt.Sprintf("MAINPID=, which pid %d has said, names pid", os.Getpid()))
		}
		if (c.want != 0) != (len(k.adopted) == 1) {
			t.Errorf("%q: adopted %q", c.said, k.adopted)
		}
		s.Close()
		s.CloseFiles()
	}
}

// notify is what sd_notify(3) does.
func notify(t *testing.T, s *readiness.Setup, what string) {
	for _, e := range s.Env {
		if path, ok := strings.CutPrefix(e, "NOTIFY_SOCKET="); ok {
			conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(what)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no notify socket in %q", s.Env)
}
