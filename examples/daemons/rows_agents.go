package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// agentRows are the daemons of one user, on a socket of theirs.
var agentRows = []row{
	{
		name: "ssh-agent", pkg: "openssh-client", programs: []string{"ssh-agent"},
		args:  func(p *place) []string { return []string{"-D", "-a", filepath.Join(p.run, "sock")} },
		ready: func(*place) readiness.Probe { return readiness.Unix{} },
		says:  re(`SSH_AUTH_SOCK=`),
		ask:   talk("\x00\x00\x00\x01\x0b", `(?s)^\x00\x00\x00\x05\x0c`), badFlag: "-Z", take: takeSock,
		foreground: "`-D`, or `-d`", background: without("-D"),
		note: "Exit status 2 after SIGTERM is its good end.",
	},
	{
		name: "gpg-agent", pkg: "gpg-agent", programs: []string{"gpg-agent"},
		args: func(p *place) []string { return []string{"--homedir", p.data, "--supervised"} },
		ready: func(*place) readiness.Probe {
			return readiness.Sequence{
				readiness.Listener{Name: "std"},
				readiness.Talk{Expect: re(`^OK `)},
			}
		},
		ask: talk("GETINFO version\n", `D [\d.]+`), take: takeSock,
		foreground: "`--supervised`, with a socket", background: func(_ *place, args []string) ([]string, error) {
			return append(args[:len(args)-1:len(args)-1], "--daemon", "--no-detach"), nil
		},
		note: "It forks with `--daemon --no-detach`, too. With `--supervised` the launcher binds the socket, and starts nothing if that is taken.",
	},
	{
		name: "dbus-daemon", pkg: "dbus-daemon", programs: []string{"dbus-daemon"},
		args: func(p *place) []string {
			return []string{"--session", "--nofork", "--print-address=3", "--address=unix:path=" + filepath.Join(p.run, "sock")}
		},
		ready: func(*place) readiness.Probe {
			return readiness.Sequence{
				readiness.NotifyFD{Match: re(`^(?P<network>unix):path=(?P<address>[^,]+)`)},
				readiness.Socket{},
			}
		},
		ask: talk("\x00AUTH\r\n", `REJECTED EXTERNAL`), take: takeSock,
		note:       "With `--fork` the address comes before the process exits, so the pod is ready, and gone a moment later.",
		foreground: "`--nofork`", background: func(_ *place, args []string) ([]string, error) {
			return append([]string{args[0], args[1], "--fork"}, args[3:]...), nil
		},
	},
	{
		name: "xvfb", pkg: "xvfb", programs: []string{"Xvfb"},
		args:  func(*place) []string { return []string{"-displayfd", "3", "-nolisten", "tcp"} },
		ready: func(*place) readiness.Probe { return readiness.NotifyFD{Match: re(`^(?P<value>\d+)$`), Value: display} },
		ask: func(ctx context.Context, pod *launcher.Pod) (string, error) {
			number, _ := display.Of(pod.Facts())
			conn, err := new(net.Dialer).DialContext(ctx, "unix", "/tmp/.X11-unix/X"+number)
			if err != nil {
				return "", err
			}
			defer conn.Close()
			return converse(conn, "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", re(`X\.Org Foundation`))
		},
		fixed: func(p *place, args []string) ([]string, error) { return []string{args[0], ":1" + p.port[:3]}, nil },
		take: func(p *place) error {
			lock := "/tmp/.X1" + p.port[:3] + "-lock"
			p.closers = append(p.closers, removal(lock))
			return os.WriteFile(lock, fmt.Appendf(nil, "%10d\n", os.Getpid()), 0o444)
		},
	},
}

// display is the number of an X display.
var display = readiness.NewFact[string]("the display")

// A removal removes a file when it is closed.
type removal string

func (r removal) Close() error { return os.Remove(string(r)) }
