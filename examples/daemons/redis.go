package main

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var redis = daemon{
	name:     "redis",
	about:    "says on its standard output that it is ready",
	pkg:      "redis-server",
	programs: []string{"redis-server"},
	launch:   launchRedis,
	request:  ping,
	answer:   `^PING: \+PONG$`,
	exit:     "exit status 0",
	faults: []fault{{
		what: "a limit that is no number",
		breaks: func(_ *place, s *launcher.Spec) error {
			s.Args = []string{"--maxmemory", "lots"}
			return nil
		},
		complaint: `FATAL CONFIG FILE ERROR.*maxmemory.*argument must be a memory value`,
	}},
	ready: "The line comes last, when data have been loaded, so a big dataset is waited for (give it " +
		"`Timeout`). Its wording depends on the version (7.0: \"The server is now ready to accept connections\"; " +
		"later: \"Ready to accept connections unix\"), hence the missing first letter. The socket is dialled after " +
		"it, and must be served by the pod itself.",
	stops: "On SIGTERM it saves, if it is configured to, and exits with status 0. A save may take longer than " +
		"`Launcher.Grace`; set that to what the dataset needs.",
	notes: "It logs to its standard output, so `Spec.LogStdout` is set. `--port 0` closes the network. With " +
		"`--supervised systemd` it speaks sd_notify as well, and `readiness.NotifySocket` can be used as for haproxy.",
}

func launchRedis(p *place) (launcher.Launcher, launcher.Spec) {
	socket := filepath.Join(p.run, "sock")
	return launcher.Launcher{
			Command: launcher.Exec(find("redis-server"),
				"--unixsocket", socket, "--port", "0",
				"--save", "", "--appendonly", "no", "--dir", p.data),
			Ready: readiness.Sequence{
				readiness.Pattern{Regexp: regexp.MustCompile(`eady to accept connections`)},
				readiness.Unix{Path: socket},
			},
		}, launcher.Spec{
			Name:      "redis",
			Dir:       p.data,
			LogStdout: true, // where Redis logs
		}
}

// ping sends a PING.
func ping(ctx context.Context, pod *launcher.Pod) (string, error) {
	conn, err := pod.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	fmt.Fprint(conn, "PING\r\n")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("ping redis: %w", err)
	}
	return "PING: " + strings.TrimSpace(answer), nil
}
