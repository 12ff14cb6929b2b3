package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var haproxy = daemon{
	name:     "haproxy",
	about:    "sends READY=1 to $NOTIFY_SOCKET when it is ready, as for systemd",
	pkg:      "haproxy",
	programs: []string{"haproxy"},
	setup:    haproxyConf,
	launch:   launchHaproxy,
	request:  getRoot,
	answer:   `^GET /: hello from haproxy$`,
	exit:     "exit status 0|signal: terminated",
	faults: []fault{{
		what: "a keyword is misspelt",
		breaks: func(p *place, _ *launcher.Spec) error {
			return p.write("haproxy.cfg", strings.Replace(haproxyConfig, "bind", "bindd", 1))
		},
		complaint: `parsing \[haproxy\.cfg:\d+\] : unknown keyword 'bindd' in 'frontend' section`,
	}},
	ready: "With `-Ws` one process watches over the workers and sends `READY=1` on `$NOTIFY_SOCKET` once they serve; the " +
		"launcher is at the other end. Then the probe dials the socket, which becomes the endpoint.",
	stops: "SIGTERM ends it at once, with its open connections. To let these finish, send SIGUSR1 to the process and " +
		"wait for `Pod.Done`. It exits with status 0 either way, and leaves its socket, which the next haproxy " +
		"replaces. It says that it is ready a few system calls before it handles SIGTERM; a SIGTERM in between ends " +
		"it by `signal: terminated`, which does no harm.",
	notes: "Debian builds it with sd_notify; `haproxy -vv | grep SYSTEMD` shows that. Others that speak it, some with " +
		"an option: mosquitto, unbound (`use-systemd: yes`), PostgreSQL, redis (`--supervised systemd`).",
}

const haproxyConfig = `
global
	maxconn 100
defaults
	mode http
	timeout connect 5s
	timeout client  5s
	timeout server  5s
frontend hello
	bind unix@SOCKET
	http-request return status 200 content-type text/plain string "hello from haproxy"
`

func haproxyConf(_ context.Context, p *place) error {
	return p.write("haproxy.cfg", strings.Replace(haproxyConfig, "SOCKET", filepath.Join(p.run, "sock"), 1))
}

func launchHaproxy(p *place) (launcher.Launcher, launcher.Spec) {
	return launcher.Launcher{
			Command: launcher.Exec(find("haproxy"), "-Ws", "-f", "haproxy.cfg"),
			Ready: readiness.Sequence{
				readiness.NotifySocket{},
				readiness.Unix{Path: "sock"}, // in the pod's runtime directory
			},
		}, launcher.Spec{
			Name: "haproxy",
			Dir:  p.data, // where its configuration is
		}
}
