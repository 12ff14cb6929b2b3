package main

import (
	"context"
	"regexp"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var httpserver = daemon{
	name:     "http.server",
	about:    "the web server that comes with Python: chooses a port itself, and says which",
	pkg:      "python3",
	programs: []string{"python3"},
	setup:    writePage,
	launch:   launchHTTPServer,
	request:  getRoot,
	answer:   `^GET /: hello from Python$`,
	exit:     "signal: terminated",
	faults: []fault{{
		what: "its port is taken",
		breaks: func(p *place, s *launcher.Spec) error {
			s.Args = []string{p.port}
			return p.takeTCP()
		},
		complaint: `OSError: \[Errno \d+\] Address already in use`,
	}},
	ready: "With port 0 the system chooses a port, which the line then tells. It is written when the socket is open; " +
		"a page is asked for after it, because that is what the server is for.",
	stops: "It does nothing on SIGTERM, and so that ends it: `signal: terminated` is no fault here. On SIGINT it exits " +
		"with status 0.",
	notes: "`-u`, for Python keeps what it writes for later when its output is no terminal, and the line would come " +
		"too late or never. The line goes to the standard output, so `Spec.LogStdout` is set.",
}

func writePage(_ context.Context, p *place) error {
	return p.write("index.html", "hello from Python\n")
}

func launchHTTPServer(p *place) (launcher.Launcher, launcher.Spec) {
	return launcher.Launcher{
			Command: launcher.Exec(find("python3"), "-u", "-m", "http.server", "--directory", p.data, "--bind", "127.0.0.1"),
			Ready: readiness.Sequence{
				readiness.Pattern{Regexp: regexp.MustCompile(`^Serving HTTP on (?P<host>\S+) port (?P<port>\d+) `)},
				readiness.HTTP{URL: "/"},
			},
		}, launcher.Spec{
			Name:      "http.server",
			Args:      []string{"0"}, // the port
			LogStdout: true,
		}
}
