package readiness_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// So does the one that only Linux has.
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
