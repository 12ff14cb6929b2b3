package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// A readyKind is a row of the table of what --ready may be.
type readyKind struct {
	word  string
	value string // what comes after "="; "[…]" if it may be left out; empty if nothing may
	usage string // for the help

	// turn says when it begins.
	turn  func(value string) turn
	probe func(c *cli, value string) (readiness.Probe, error)
}

// readyKinds is that table, in the order of the help.
var readyKinds = []readyKind{
	{"tcp", "ADDR", "it accepts connections on host:port, or on :port, any loopback", between, tcpProbe},
	{"http", "URL", "that URL is answered with a 2xx status; /PATH asks where another --ready has found it", lateIfRelative, httpProbe},
	{"socket", "[PATH]", "it accepts connections on this unix socket, in its directory unless the path is absolute; sock if there is no PATH", between, socketProbe},
	{"log", "REGEXP", "it writes a line that matches, on its standard error or output; groups called address, or host and port, tell where it answers", between, logProbe},
	{"file", "PATH", "it makes or changes this file, in its directory unless the path is absolute", between, fileProbe},
	{"pidfile", "PATH", "it goes to the background, and names in this file the process that goes on, which is the pod from then on if it comes of it; in its directory unless the path is absolute", early, pidFileProbe},
	{"forking", "PATH", "as pidfile, for a program that names itself in this file before it goes to the background, as uwsgi does: the process that is started has to end", early, forkingProbe},
	{"exec", "CMD", "the shell command CMD exits with 0; it has $POD_NAME, $POD_PID, $POD_RUNTIME_DIR and $POD_ADDRESS", late, execProbe},
	{"notify", "", "it says READY=1 on $NOTIFY_SOCKET, as for systemd's Type=notify", between, notifyProbe},
	{"fd", "[N]", "it writes a newline on descriptor N, as for s6; 3 if there is no N", between, fdProbe},
	{"line", "", "it writes the line INSOMNIA-READY, its name and its socket, with tabs between, and that socket answers", between, lineProbe},
	{"up", "[TIME]", "it still runs after TIME, 1s if there is none; nothing is asked of it", between, upProbe},
}

// A turn is when a kind begins: in order, and each when all of those before hold.
type turn int

const (
	first  turn = iota // the others may need to know which process the pod is
	second             // all of these at once
	third              // these may need to know where the pod answers
	turns
)

func early(string) turn   { return first }
func between(string) turn { return second }
func late(string) turn    { return third }

// lateIfRelative is late for a URL that has no host of its own.
func lateIfRelative(text string) turn {
	if u, err := url.Parse(text); err == nil && u.Host == "" {
		return third
	}
	return second
}

// readyProbe is the probe for the values of --ready, which must all hold. Each part
// tells w when it holds.
func readyProbe(c *cli, wanted []string, w *waiting) (readiness.Probe, error) {
	var parts [turns]readiness.All
	for _, want := range wanted {
		kind, value, err := readyKindOf(want)
		if err != nil {
			return nil, err
		}
		p, err := kind.probe(c, value)
		if err != nil {
			return nil, fmt.Errorf("--ready %s: %w", shown(want), err)
		}
		at := kind.turn(value)
		parts[at] = append(parts[at], w.track(want, p))
	}
	var all readiness.Sequence
	for _, part := range parts {
		if len(part) > 0 {
			all = append(all, alone(part))
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

// alone returns the only probe in all, or all of them: so an error does not speak of several.
func alone(all readiness.All) readiness.Probe {
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// readyKindOf finds the row for want, and what comes after "=".
func readyKindOf(want string) (readyKind, string, error) {
	word, value, given := strings.Cut(want, "=")
	for _, k := range readyKinds {
		if k.word != word {
			continue
		}
		switch optional := strings.HasPrefix(k.value, "["); {
		case given && k.value == "":
			return k, "", fmt.Errorf("--ready %s: there is nothing to say after %s", shown(want), word)
		case value == "" && k.value != "" && !optional, given && value == "":
			return k, "", fmt.Errorf("--ready %s: it needs a value: %s=%s", shown(want), word, strings.Trim(k.value, "[]"))
		}
		return k, value, nil
	}
	return readyKind{}, "", fmt.Errorf("--ready is %q: it can be %s (podctl help ready)", want, readyForms(", "))
}

// readyForms are the forms of --ready.
func readyForms(separator string) string {
	forms := make([]string, len(readyKinds))
	for i, k := range readyKinds {
		forms[i] = k.form()
	}
	return strings.Join(forms, separator)
}

func (k readyKind) form() string {
	switch {
	case k.value == "":
		return k.word
	case strings.HasPrefix(k.value, "["):
		return k.word + "[=" + k.value[1:]
	}
	return k.word + "=" + k.value
}

func lineProbe(c *cli, _ string) (readiness.Probe, error) {
	return readiness.Sequence{c.readyLine(), readiness.Socket{}}, nil
}

func socketProbe(_ *cli, path string) (readiness.Probe, error) {
	return readiness.Unix{Path: inDirectory(path)}, nil
}

func fileProbe(_ *cli, path string) (readiness.Probe, error) {
	return readiness.File{Path: inDirectory(path)}, nil
}

func pidFileProbe(_ *cli, path string) (readiness.Probe, error) {
	return readiness.PIDFile{Path: inDirectory(path)}, nil
}

func forkingProbe(_ *cli, path string) (readiness.Probe, error) {
	return readiness.PIDFile{Path: inDirectory(path), Forks: true}, nil
}

// inDirectory is path as a probe has it: one in the pod's directory is relative.
func inDirectory(path string) string {
	if path == "{sock}" {
		return "sock"
	}
	return strings.TrimPrefix(path, "{dir}/")
}

func tcpProbe(_ *cli, address string) (readiness.Probe, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.New("it is not host:port, as in 127.0.0.1:6379")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("the port is %q: it can be 1 to 65535", port)
	}
	return readiness.TCP{Address: net.JoinHostPort(host, port)}, nil
}

func httpProbe(_ *cli, text string) (readiness.Probe, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || u.Scheme == "" && !strings.HasPrefix(text, "/") {
		return nil, errors.New("it is neither a URL, as in http://127.0.0.1:8080/, nor a path, as in /healthz")
	}
	return readiness.HTTP{URL: text}, nil
}

func logProbe(_ *cli, expression string) (readiness.Probe, error) {
	re, err := regexp.Compile(expression)
	return readiness.Pattern{Regexp: re}, err
}

// execProbe has a shell run the command, as a person would have typed it.
func execProbe(_ *cli, command string) (readiness.Probe, error) {
	shell, err := exec.LookPath("sh")
	return readiness.Exec{Path: shell, Args: []string{"-c", command}}, err
}

func notifyProbe(*cli, string) (readiness.Probe, error) { return readiness.NotifySocket{}, nil }

func fdProbe(_ *cli, number string) (readiness.Probe, error) {
	if number == "" {
		return readiness.NotifyFD{FD: 3}, nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("the descriptor is %q: it can be a number from 3 on", number)
	}
	return readiness.NotifyFD{FD: fd}, nil
}

// usualUp is how long a program has to run to be up.
const usualUp = time.Second

// upProbe holds when the time is over: the launcher sees to it that the program
// runs.
func upProbe(_ *cli, text string) (readiness.Probe, error) {
	d := usualUp
	if text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil || d <= 0 {
			return nil, fmt.Errorf("the time is %q: it can be 500ms, 3s, 1m and so on", text)
		}
	}
	return readiness.Poll{
		What:     fmt.Sprintf("it to run for %v", d),
		Check:    func(context.Context, readiness.Target) (readiness.Endpoint, error) { return readiness.Endpoint{}, nil },
		Schedule: readiness.Schedule{Stable: d, First: d, Max: d, NoJitter: true},
	}, nil
}
