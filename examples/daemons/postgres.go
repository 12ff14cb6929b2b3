package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var postgres = daemon{
	name:     "postgres",
	about:    "says on its standard error that it is ready, and refuses to run as root",
	pkg:      "postgresql",
	programs: []string{"postgres"},
	setup:    initdb,
	launch:   launchPostgres,
	request:  query,
	answer:   `^SELECT 6 \* 7: 42$`,
	exit:     "exit status 0",
	faults: []fault{{
		what: "its data directory is missing",
		breaks: func(p *place, _ *launcher.Spec) error {
			return os.RemoveAll(cluster(p))
		},
		complaint: `could not access directory ".*/cluster": No such file or directory`,
	}, {
		what: "a parameter that is no number",
		breaks: func(_ *place, s *launcher.Spec) error {
			s.Args = []string{"-c", "max_connections=lots"}
			return nil
		},
		complaint: `FATAL:  invalid value for parameter "max_connections": "lots"`,
	}},
	ready: "The socket exists before the database is ready: during recovery a client gets the answer \"the database " +
		"system is starting up\". So the probe waits for the line, and then dials the socket to make sure that " +
		"this server answers. A recovery after a crash takes time; raise `Launcher.Timeout` for a big database.",
	stops: "With `KillMixed` the server alone gets the signal, and ends its backends. SIGINT is its fast shutdown, which " +
		"disconnects the clients. SIGTERM is the smart one: it waits until all clients have disconnected, and if one " +
		"keeps its connection open, `Launcher.Grace` ends, and SIGKILL follows (the next start then recovers). With " +
		"the zero `KillMode` the backends get SIGTERM too, which disconnects the clients.",
	notes: "If we are root, setpriv(1) runs it as the user `postgres`. setpriv replaces itself, so the pid stays the " +
		"pod's. That user cannot enter the pod's runtime directory, so cluster and socket are in a separate directory, " +
		"and the probe accepts the pod's process as any user. `LC_ALL` is set because the server speaks the user's " +
		"language, and the line would then be different.",
}

// cluster is where the databases are.
func cluster(p *place) string { return filepath.Join(p.data, "cluster") }

// initdb makes a cluster with one superuser, who needs no password: only one user
// of the system can open its socket.
func initdb(ctx context.Context, p *place) error {
	if os.Geteuid() == 0 {
		if err := giveTo("postgres", p.data); err != nil {
			return err
		}
	}
	return command(ctx, append(asPostgres(), find("initdb"), "--pgdata", cluster(p),
		"--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync"))
}

func launchPostgres(p *place) (launcher.Launcher, launcher.Spec) {
	server := append(asPostgres(), find("postgres"), "-D", cluster(p),
		"-k", p.data, "-p", "5432", "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700")
	return launcher.Launcher{
			Command: launcher.Exec(server[0], server[1:]...),
			Ready: readiness.Sequence{
				readiness.Pattern{Regexp: regexp.MustCompile(`database system is ready to accept connections`)},
				readiness.Unix{Path: filepath.Join(p.data, ".s.PGSQL.5432"), Peer: theProcess},
			},
		}, launcher.Spec{
			Name:       "postgres",
			Dir:        p.data,
			Env:        append(os.Environ(), "LC_ALL=C"), // the words that are waited for
			StopSignal: syscall.SIGINT,
			KillMode:   launcher.KillMixed,
		}
}

// asPostgres returns the prefix that runs a command as the user postgres. It is
// nil if we are not root.
func asPostgres() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
}

// giveTo makes dir the directory of a user.
func giveTo(name, dir string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(owner.Uid)
	gid, gidErr := strconv.Atoi(owner.Gid)
	return errors.Join(uidErr, gidErr, os.Chown(dir, uid, gid))
}

// theProcess accepts the pod's process, no matter which user it runs as.
func theProcess(p readiness.Peer, t readiness.Target) error {
	if p.PID != t.PID {
		return fmt.Errorf("%w: pid %d, which is not the pod's, %d", readiness.ErrForeignPeer, p.PID, t.PID)
	}
	return nil
}

// query speaks as much of the protocol as one question takes: a startup
// message, and a simple query (protocol 3.0; postgresql.org/docs, "Frontend/Backend
// Protocol").
func query(ctx context.Context, pod *launcher.Pod) (string, error) {
	const question = "SELECT 6 * 7"
	conn, err := pod.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	send(conn, 0, "\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00")
	if _, err := receive(conn); err != nil {
		return "", err
	}
	send(conn, 'Q', question+"\x00")
	answer, err := receive(conn)
	if err != nil {
		return "", err
	}
	send(conn, 'X', "")
	return question + ": " + answer, nil
}

// send writes a message; the startup message has no kind. That it fails is seen
// when the answer is read.
func send(w io.Writer, kind byte, body string) {
	message := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
	if kind != 0 {
		message = append([]byte{kind}, message...)
	}
	io.WriteString(w, string(message)+body)
}

// receive reads messages until the server is ready for the next query, and
// returns the first column of the last row.
func receive(r io.Reader) (value string, err error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return "", err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return "", err
		}
		switch head[0] {
		case 'E': // what went wrong
			return "", fmt.Errorf("the server says %q", body)
		case 'D': // a row: the number of columns, the length of each before it
			value = string(body[6:][:binary.BigEndian.Uint32(body[2:])])
		case 'Z': // ready for a query
			return value, nil
		}
	}
}
