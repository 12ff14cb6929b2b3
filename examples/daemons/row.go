package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// A row is what it takes to find out what one daemon really does: how it is
// launched, what it is asked, and how it is launched so that it cannot work.
type row struct {
	name     string
	pkg      string   // in which Debian has it
	programs []string // one must be installed; see find

	// setup puts in place what has to be there before the start. Nil means that
	// nothing has.
	setup func(ctx context.Context, p *place) error

	// args are the program's arguments. The text of the directory and of the
	// port come from p.
	args func(p *place) []string
	env  []string // added to our own

	// as is the user whom the daemon needs if we are root, and to whom p.data
	// then belongs. Empty means that it runs as we do.
	as string

	logStdout bool // whether the ready line is on the standard output

	// ready is the combination of probes that is right.
	ready func(p *place) readiness.Probe

	// launch is how to launch it, of a row that has a recipe; it stands for args,
	// env, as, logStdout and ready.
	launch func(p *place) (launcher.Launcher, launcher.Spec)

	// ask asks the running daemon something, and returns the answer.
	ask func(ctx context.Context, pod *launcher.Pod) (string, error)

	// says matches the line that people wait for. Nil means that of the first
	// Pattern in ready.
	says *regexp.Regexp

	// badFlag is what it does not know. Empty means --no-such-flag.
	badFlag string

	// badConfig spoils what setup has made. Nil means that it needs none.
	badConfig func(p *place) error

	// take takes the address that the daemon is about to use. Nil means the port,
	// for TCP.
	take func(p *place) error

	// fixed makes a daemon that chooses its address use the port, so that it can
	// be taken. Nil means that it does so anyhow.
	fixed func(p *place, args []string) ([]string, error)

	// foreground is what keeps it in the foreground, for people; background takes
	// it away from the arguments, or from the configuration. Nil means that the
	// daemon does not leave by itself.
	foreground string
	background func(p *place, args []string) ([]string, error)

	note string // for people: what else to know
}

// re compiles an expression of the table.
var re = regexp.MustCompile

// tcp is the address of the place's port.
func (p *place) tcp() string { return net.JoinHostPort("127.0.0.1", p.port) }

// in returns the path of a file in the daemon's directory.
func (p *place) in(name string) string { return filepath.Join(p.data, name) }

// without returns the arguments less some of them: how to take a flag away.
func without(flags ...string) func(*place, []string) ([]string, error) {
	return func(_ *place, args []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return slices.Contains(flags, arg) }), nil
	}
}

// more returns the arguments with some added.
func more(flags ...string) func(*place, []string) ([]string, error) {
	return func(_ *place, args []string) ([]string, error) { return append(slices.Clone(args), flags...), nil }
}

// spoiled leaves the arguments, and changes the first old in a file.
func spoiled(name, old, with string) func(*place, []string) ([]string, error) {
	return func(p *place, args []string) ([]string, error) { return args, replaceIn(p, name, old, with) }
}

// An edit changes the arguments of a program. Nil changes nothing.
type edit func(args []string) ([]string, error)

// plan returns how the row is launched in p, with its arguments edited.
func (r row) plan(p *place, change edit) (launcher.Launcher, launcher.Spec) {
	if r.launch != nil {
		l, spec := r.launch(p)
		l.Dir = p.runtimeDirs
		l.Command = edited(l.Command, change)
		return l, spec
	}
	args := append([]string{find(r.programs...)}, r.args(p)...)
	command := edited(launcher.Exec(args[0], args[1:]...), change)
	if r.as != "" && os.Geteuid() == 0 {
		command = edited(command, asUser(r.as))
	}
	return launcher.Launcher{Command: command, Ready: r.ready(p), Dir: p.runtimeDirs}, launcher.Spec{
		Name: r.name, Dir: p.data, LogStdout: r.logStdout,
		Env: append(append(os.Environ(), "LC_ALL=C", "HOME="+p.data), r.env...),
	}
}

// edited is what inner resolves, with its path and its arguments changed.
func edited(inner launcher.CommandResolver, change edit) launcher.CommandResolver {
	if change == nil {
		return inner
	}
	return launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		c, err := inner.ResolveCommand(ctx, req)
		if err != nil {
			return c, err
		}
		changed, err := change(append([]string{c.Path}, c.Args...))
		if err != nil {
			return c, err
		}
		req.Spec.Args = nil // they are in c
		d, err := launcher.Exec(changed[0], changed[1:]...).ResolveCommand(ctx, req)
		d.Env = c.Env
		return d, err
	})
}

// asUser runs a command as another user.
func asUser(name string) edit {
	return func(args []string) ([]string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, err
		}
		return append([]string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups", "--"}, args...), nil
	}
}

// prefixed puts a command in front of another one.
func prefixed(command ...string) edit {
	return func(args []string) ([]string, error) { return append(slices.Clone(command), args...), nil }
}

// flagged adds a flag that the program does not know: before all others, where
// it is read first, or else at the end of a recipe's.
func (r row) flagged(args []string) ([]string, error) {
	flag := r.badFlag
	if flag == "" {
		flag = "--no-such-flag"
	}
	if r.launch != nil {
		return append(slices.Clone(args), flag), nil
	}
	return slices.Insert(slices.Clone(args), 1, flag), nil
}

// file returns a setup that writes a file in which DATA, RUN and PORT
// stand for those of the place.
func file(name, text string) func(context.Context, *place) error {
	return func(_ context.Context, p *place) error { return p.write(name, p.fill(text)) }
}

func (p *place) fill(text string) string {
	return strings.NewReplacer("DATA", p.data, "RUN", p.run, "PORT", p.port).Replace(text)
}

// change returns what spoils a file: it replaces the first old in it.
func change(name, old, with string) func(*place) error {
	return func(p *place) error { return replaceIn(p, name, old, with) }
}

// certified makes a certificate and its key in cert.pem, before what then does.
func certified(then func(context.Context, *place) error) func(context.Context, *place) error {
	return func(ctx context.Context, p *place) error {
		err := command(ctx, []string{"openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost",
			"-keyout", p.in("cert.pem"), "-out", p.in("public.pem")})
		if err != nil {
			return err
		}
		public, err := os.ReadFile(p.in("public.pem"))
		if err != nil {
			return err
		}
		return errors.Join(appendTo(p.in("cert.pem"), string(public)), then(ctx, p))
	}
}
