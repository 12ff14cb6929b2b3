package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// A surprise is what guides get wrong about a daemon.
type surprise struct {
	of   string // the row
	what string // the daemon does

	// see runs the daemon, and returns what was seen; an error if it was
	// something else.
	see func(ctx context.Context, r row) (string, error)
}

// A confirmation is a surprise that a run has shown.
type confirmation struct {
	Of      string `json:"of"`
	Version string `json:"version"`
	What    string `json:"what"`
	Seen    string `json:"seen"`
}

// surprises is the list. What stands there first was known from elsewhere, and
// had to be confirmed; the rest came out of the runs.
var surprises = []surprise{
	{"squid", "sends READY=1 between bind and listen", seeNotify("between bind and listen", "")},
	{"squid", "sends READY=1 from a child, with `--foreground` in place of `-N`", squidsChild},
	{"named", "says that it is running with its TCP port taken", namedRuns},
	{"mosquitto", "goes on with one address of two, where it has no `listener`", mosquittosOther},
	{"tor", "is READY with its port closed, with `DisableNetwork 1`", torClosed},
	{"haproxy", "sends RELOADING=1 first, at its first start", seeNotify("", "RELOADING")},
	{"php-fpm", "sends READY=1 every ten seconds", phpAgain},
	{"ssh-agent", "ends well with status 2", seeTerm("exit status 2")},
	{"gpg-agent", "forks with `--daemon --no-detach`", seeBackground("exit status 0")},
	{"s6-notifyoncheck", "needs its supervisor", s6Alone},
	{"knotd", "splits its log over both streams: errors are on the standard error", knotsErrors},
	{"nats", "ends with status 0 for a flag that it does not know", seeFlag("exit status 0")},
	{"transmission", "ends with status 0 for a flag that it does not know", seeFlag("exit status 0")},
	{"rsync", "listens with a configuration that it cannot read", seeConfig("goes on")},
	{"vsftpd", "complains on its standard input, also where that is the null device", vsftpdsWords},
	{"redis", "takes over a socket on which somebody else listens", readyThoughSock},
	{"haproxy", "takes over a socket on which somebody else listens", readyThoughSock},
	{"dbus-daemon", "takes over a socket on which somebody else listens", readyThoughSock},
	{"privoxy", "ends with the number of the signal as its status", seeTerm("exit status 15")},
	{"uwsgi", "takes SIGTERM for an order to reload, without `--die-on-term`", uwsgiReloads},
}

// confirm runs the surprises of the rows that are called as wanted, or all, and
// writes what was seen to the file at path.
func confirm(ctx context.Context, stdout, stderr io.Writer, path string, wanted []string) int {
	all, err := confirmed(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(stderr, err)
		return failed
	}
	status := 0
	for _, s := range surprises {
		r := row{name: s.of, programs: []string{s.of}} // of a program that is no daemon
		if i := slices.Index(rowNames(), s.of); i >= 0 {
			r = rows[i]
		}
		if len(wanted) > 0 && !slices.Contains(wanted, s.of) || !r.installed() {
			continue
		}
		seen, err := s.see(ctx, r)
		if err != nil {
			fmt.Fprintf(stderr, "%s %s: %v\n", s.of, s.what, err)
			status = failed
			continue
		}
		v, err := version(ctx, find(r.programs...))
		if err != nil {
			fmt.Fprintln(stderr, err)
			return failed
		}
		fmt.Fprintf(stdout, "%s %s: %s\n", s.of, s.what, seen)
		all = slices.DeleteFunc(all, func(c confirmation) bool { return c.Of == s.of && c.What == s.what })
		all = append(all, confirmation{s.of, v, s.what, seen})
	}
	if err := writeJSON(path, all); err != nil {
		fmt.Fprintln(stderr, err)
		return failed
	}
	return status
}

// confirmed returns what the file at path has.
func confirmed(path string) (all []confirmation, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

// saw returns got if it is what was expected, and else an error.
func saw(got, want string) (string, error) {
	if got != want {
		return "", fmt.Errorf("it was %q, and not %q", got, want)
	}
	return got, nil
}

// seen makes one run of a row, and returns what it observes.
func (r row) seen(ctx context.Context, run func(context.Context, *place, *observation) error) (*observation, error) {
	var o observation
	return &o, r.place(ctx, func(p *place) error { return run(ctx, p, &o) })
}

func seeNotify(when, first string) func(context.Context, row) (string, error) {
	return func(ctx context.Context, r row) (string, error) {
		o, err := r.seen(ctx, r.traced)
		switch {
		case err != nil:
			return "", err
		case o.Notify == nil:
			return "", errors.New("it sent nothing")
		case when != "" && o.Notify.When != when, first != "" && o.Notify.Sent[0] != first:
			return "", fmt.Errorf("it sent %+v", *o.Notify)
		}
		return fmt.Sprintf("it sent %s; READY=1 %s, by %s", strings.Join(o.Notify.Sent, ", then "), o.Notify.When, o.Notify.Who), nil
	}
}

func seeTerm(want string) func(context.Context, row) (string, error) {
	return func(ctx context.Context, r row) (string, error) {
		o, err := r.seen(ctx, r.works)
		if err != nil {
			return "", err
		}
		return saw(o.Term, want)
	}
}

func seeBackground(want string) func(context.Context, row) (string, error) {
	return func(ctx context.Context, r row) (string, error) {
		o, err := r.seen(ctx, r.inBackground)
		if err != nil {
			return "", err
		}
		return saw(o.Background, want)
	}
}

func seeFlag(want string) func(context.Context, row) (string, error) {
	return func(ctx context.Context, r row) (string, error) {
		o, err := r.seen(ctx, r.withBadFlag)
		if err != nil {
			return "", err
		}
		_, err = saw(o.Flag, want)
		return strings.TrimSuffix(o.Flag+": "+o.FlagSays, ": "), err
	}
}

func seeConfig(want string) func(context.Context, row) (string, error) {
	return func(ctx context.Context, r row) (string, error) {
		r.ready = func(p *place) readiness.Probe { return alone{readiness.TCP{Address: p.tcp()}} }
		o, err := r.seen(ctx, r.withBadConfig)
		if err != nil {
			return "", err
		}
		return saw(o.Config, want)
	}
}

// launched launches r in a place that before has changed, lets do look at it,
// and stops it.
func (r row) launched(ctx context.Context, before func(*place) error, do func(p *place, pod *launcher.Pod) error) error {
	return r.place(ctx, func(p *place) error {
		if err := errors.Join(before(p), r.give(p)); err != nil {
			return err
		}
		l, spec := r.plan(p, nil)
		spec.KillMode = launcher.KillMixed
		pod, err := l.Launch(ctx, spec)
		if err != nil {
			return err
		}
		return errors.Join(do(p, pod), pod.Stop(ctx))
	})
}

func squidsChild(ctx context.Context, r row) (string, error) {
	args := r.args
	r.args = func(p *place) []string { return append([]string{"--foreground"}, args(p)[1:]...) }
	o, err := r.seen(ctx, r.traced)
	if err != nil || o.Notify == nil {
		return "", errors.Join(err, errors.New("it sent nothing"))
	}
	_, err = saw(o.Notify.Who, "a child")
	return fmt.Sprintf("READY=1 %s, by %s", o.Notify.When, o.Notify.Who), err
}

func namedRuns(ctx context.Context, r row) (seen string, err error) {
	r.ready = func(*place) readiness.Probe {
		return readiness.Sequence{readiness.NotifySocket{}, readiness.Pattern{Regexp: re(` running$`)}}
	}
	return "READY=1 and the line came while we had its TCP port", r.launched(ctx, (*place).takeTCP,
		func(*place, *launcher.Pod) error { return nil })
}

func mosquittosOther(ctx context.Context, r row) (seen string, err error) {
	r.args = func(p *place) []string { return []string{"-p", p.port} } // and so it listens on 127.0.0.1 and ::1
	r.ready = func(*place) readiness.Probe { return readiness.NotifySocket{Public: true} }
	return "READY=1 came while we had its port of 127.0.0.1; it answered on ::1 alone", r.launched(ctx, (*place).takeTCP,
		func(p *place, _ *launcher.Pod) error {
			conn, err := net.Dial("tcp", net.JoinHostPort("::1", p.port))
			if err != nil {
				return err
			}
			return conn.Close()
		})
}

func torClosed(ctx context.Context, r row) (seen string, err error) {
	r.ready = func(*place) readiness.Probe { return readiness.NotifySocket{} }
	return "READY=1 came, and nobody answered on its SocksPort", r.launched(ctx,
		change("torrc", "DisableNetwork 0", "DisableNetwork 1"),
		func(p *place, _ *launcher.Pod) error {
			if conn, err := net.Dial("tcp", p.tcp()); err == nil {
				return errors.Join(errors.New("somebody answers on its port"), conn.Close())
			}
			return nil
		})
}

// phpAgain counts what comes on a socket of ours.
func phpAgain(ctx context.Context, r row) (seen string, err error) {
	const long = 25 * time.Second
	ready := 0
	r.ready = func(p *place) readiness.Probe { return readiness.TCP{Address: p.tcp()} }
	err = r.place(ctx, func(p *place) error {
		sink, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + p.base})
		if err != nil {
			return err
		}
		defer sink.Close()
		l, spec := r.plan(p, nil)
		spec.Env = append(spec.Env, "NOTIFY_SOCKET=@"+p.base)
		pod, err := l.Launch(ctx, spec)
		if err != nil {
			return err
		}
		if err := sink.SetReadDeadline(time.Now().Add(long)); err != nil {
			return err
		}
		for buffer := make([]byte, 8192); ; {
			n, err := sink.Read(buffer)
			if err != nil {
				return pod.Stop(ctx) // the time is over
			}
			if _, is := namesOf(string(buffer[:n])); is {
				ready++
			}
		}
	})
	if err == nil && ready != 3 {
		err = fmt.Errorf("it came %d times", ready)
	}
	return fmt.Sprintf("READY=1 came %d times in %v", ready, long), err
}

func s6Alone(ctx context.Context, r row) (seen string, err error) {
	r.args = func(*place) []string { return []string{"-3", "3", "-c", "true", "sleep", "1000"} }
	r.ready = func(*place) readiness.Probe { return readiness.NotifyFD{} }
	err = r.place(ctx, func(p *place) (err error) {
		l, spec := r.plan(p, nil)
		var how string
		how, seen, err = p.try(ctx, l, spec)
		seen = strings.TrimSuffix(how+": "+seen, ": ")
		return err
	})
	if strings.HasPrefix(seen, "is ready") {
		err = errors.New(seen)
	}
	return seen, err
}

func knotsErrors(ctx context.Context, r row) (string, error) {
	setup := r.setup
	r.setup = func(ctx context.Context, p *place) error { return errors.Join(setup(ctx, p), os.Remove(p.in("zone"))) }
	o, err := r.seen(ctx, r.traced)
	if err != nil {
		return "", err
	}
	_, err = saw(o.Output, "stdout and stderr")
	return "with a zone that is missing it wrote to " + o.Output + "; the ready line was on " + o.ReadyLine, err
}

// vsftpdsWords gives vsftpd a file as its standard input, and a flag that it does
// not know.
func vsftpdsWords(ctx context.Context, r row) (seen string, err error) {
	err = r.place(ctx, func(p *place) error {
		l, spec := r.plan(p, r.flagged)
		stdin, err := os.OpenFile(p.in("stdin"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer stdin.Close()
		spec.Stdin = stdin
		how, _, err := p.try(ctx, l, spec)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(stdin.Name())
		if err == nil && len(text) == 0 {
			err = errors.New("nothing is there")
		}
		seen = how + ", and there stands: " + strings.TrimSpace(string(text))
		return err
	})
	return seen, err
}

// readyThoughSock says that a daemon is ready at a socket that we listen on.
func readyThoughSock(ctx context.Context, r row) (string, error) {
	o, err := r.seen(ctx, r.withAddressTaken)
	if err != nil {
		return "", err
	}
	return saw(o.TakenLaunch, "is ready")
}

func uwsgiReloads(ctx context.Context, r row) (string, error) {
	args := r.args
	r.args = func(p *place) []string { return args(p)[1:] }
	o, err := r.seen(ctx, r.works)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(o.Term, "signal: killed") {
		err = errors.New(o.Term)
	}
	return "after SIGTERM, and after the grace SIGKILL: " + o.Term, err
}
