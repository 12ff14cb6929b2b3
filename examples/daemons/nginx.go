package main

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var nginx = daemon{
	name:     "nginx",
	about:    "says nothing when it is ready, and goes to the background unless told not to",
	pkg:      "nginx",
	programs: []string{"nginx"},
	setup:    nginxConf,
	launch:   launchNginx,
	request:  getRoot,
	answer:   `^GET /: hello from nginx$`,
	exit:     "exit status 0",
	faults: []fault{{
		what: "a directive is misspelt",
		breaks: func(p *place, _ *launcher.Spec) error {
			return p.write("nginx.conf", strings.Replace(nginxConfig, "listen", "lissten", 1))
		},
		complaint: `\[emerg\] .*unknown directive "lissten" in .*/nginx\.conf:\d+`,
	}},
	ready: "It writes no line when it is ready, so the probe dials its socket until it answers, and checks that the " +
		"pod has opened it. The first process opens it before it starts the workers; a connection waits in the queue " +
		"until one of them takes it.",
	stops: "SIGTERM is its fast shutdown, which drops the connections; SIGQUIT, for the first process alone " +
		"(`KillMixed`), lets requests come to their end. Either way it removes its socket, and exits with status 0. " +
		"After SIGKILL the socket stays; the next launch removes it (`readiness.Unix`).",
	notes: "`daemon off` keeps it in the foreground: without it the process that was launched exits at once, " +
		"and the launch fails (see dnsmasq). `-e stderr` is for its output before it has read its configuration. The " +
		"`*_temp_path` directives keep it out of directories of the system, which only root may write.",
}

const nginxConfig = `
daemon off;
error_log stderr notice;
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path       proxy;
	fastcgi_temp_path     fastcgi;
	uwsgi_temp_path       uwsgi;
	scgi_temp_path        scgi;
	server {
		listen unix:SOCKET;
		location / { return 200 "hello from nginx\n"; }
	}
}
`

func nginxConf(_ context.Context, p *place) error {
	return p.write("nginx.conf", strings.Replace(nginxConfig, "SOCKET", filepath.Join(p.run, "sock"), 1))
}

func launchNginx(p *place) (launcher.Launcher, launcher.Spec) {
	return launcher.Launcher{
			Command: launcher.Exec(find("nginx"), "-e", "stderr", "-p", p.data, "-c", "nginx.conf"),
			Ready:   readiness.Unix{Path: "sock"}, // in the pod's runtime directory
		}, launcher.Spec{
			Name:       "nginx",
			Dir:        p.data,
			StopSignal: syscall.SIGQUIT,
			KillMode:   launcher.KillMixed,
		}
}
