package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// An observation is what the runs of one row have shown. All of it was seen;
// nothing is taken from a manual.
type observation struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	Version string `json:"version"` // of the package

	ReadyLine string  `json:"readyLine"` // the stream of the line that people wait for
	Output    string  `json:"output"`    // the streams that the daemon wrote to before it was ready
	Notify    *notify `json:"notify"`    // nil: the daemon sent no notification
	Answer    string  `json:"answer"`    // to what it was asked

	Flag      string `json:"flag"`      // how it ends with a flag that it does not know
	FlagSays  string `json:"flagSays"`  // what the launch's error gives as the cause
	Config    string `json:"config"`    // how it ends with a bad configuration
	ConfigSay string `json:"configSay"` // likewise

	Taken       string `json:"taken"`       // how it ends when its address is taken
	TakenSays   string `json:"takenSays"`   // likewise
	TakenLaunch string `json:"takenLaunch"` // how a launch with the right probes ends then

	Term string `json:"term"` // how it ends after SIGTERM

	Background string   `json:"background"` // how it ends without what keeps it in the foreground
	BackSays   string   `json:"backSays"`   // likewise
	Leaves     []string `json:"leaves"`     // files that were not there before
}

// short is how long a daemon may take to fail.
const short = 10 * time.Second

// observe launches the row in every way, and returns what was seen. Each launch
// has a place of its own, in which nobody is left.
func (r row) observe(ctx context.Context) (*observation, error) {
	o := &observation{Name: r.name, Package: r.pkg}
	var err error
	if o.Version, err = version(ctx, find(r.programs...)); err != nil {
		return nil, err
	}
	for _, run := range []struct {
		what string
		do   func(context.Context, *place, *observation) error
	}{
		{"as it should be", r.works},
		{"under strace", r.traced},
		{"with a bad flag", r.withBadFlag},
		{"with a bad configuration", r.withBadConfig},
		{"with its address taken", r.withAddressTaken},
		{"alone, with its address taken", r.aloneWithAddressTaken},
		{"without what keeps it in the foreground", r.inBackground},
	} {
		if err := r.place(ctx, func(p *place) error { return run.do(ctx, p, o) }); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.name, run.what, err)
		}
	}
	return o, nil
}

// place calls do with a place in which all is set up, and sees to it that
// nobody is left there.
func (r row) place(ctx context.Context, do func(*place) error) error {
	p, err := newPlace(r.name)
	if err != nil {
		return err
	}
	err = r.prepare(ctx, p)
	if err == nil {
		err = do(p)
	}
	return errors.Join(err, p.waitLeft(ctx), p.remove())
}

func (r row) prepare(ctx context.Context, p *place) error {
	if r.setup != nil {
		if err := r.setup(ctx, p); err != nil {
			return err
		}
	}
	return r.give(p)
}

// works launches the daemon, asks it something, and stops it.
func (r row) works(ctx context.Context, p *place, o *observation) error {
	before, err := p.files()
	if err != nil {
		return err
	}
	l, spec := r.plan(p, nil)
	spec.KillMode = launcher.KillMixed // SIGTERM is for the first process
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		return err
	}
	defer pod.Stop(context.WithoutCancel(ctx)) // it is stopped below, unless that fails
	if o.Answer, err = r.ask(ctx, pod); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	o.Term = exit.String()
	if o.Leaves, err = p.leaves(before); err != nil {
		return err
	}
	killed := slices.DeleteFunc(pod.Report().Processes, func(p launcher.ReportedProcess) bool { return !p.Killed })
	if len(killed) > 0 {
		o.Term += fmt.Sprintf(", and SIGKILL for %d", len(killed))
	}
	return nil
}

// leaves returns what is there now, and was not before.
func (p *place) leaves(before []string) ([]string, error) {
	after, err := p.files()
	return added(before, after), err
}

// traced launches the daemon under strace(1), and stops it: which streams it
// writes to, and when it notifies, is seen in its system calls.
func (r row) traced(ctx context.Context, p *place, o *observation) error {
	sink, notified, err := p.notifySink()
	if err != nil {
		return err
	}
	l, spec := r.plan(p, nil)
	// -D makes strace the child, so that the pod's process is the daemon.
	l.Command = edited(l.Command, prefixed("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-yy", "-s", "600", "-o", p.trace(),
		"-e", "signal=none", "-e", "trace=bind,listen,sendmsg,sendto,write,writev"))
	spec.KillMode = launcher.KillMixed
	if !notifies(l.Ready) {
		spec.Env = append(environ(spec), "NOTIFY_SOCKET="+sink)
	}
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		return err
	}
	select {
	case <-notified: // it may come later than what the probes wait for
	case <-time.After(2 * time.Second):
	}
	first, err := threads(pod.PID())
	if err != nil {
		return err
	}
	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	if second := exit.String(); !strings.HasPrefix(o.Term, second) {
		o.Term += " or " + second // what it depends on is not known here
	}
	if err := p.waitLeft(ctx); err != nil { // strace writes the end of its file last
		return err
	}
	calls, err := readTrace(p.trace())
	if err != nil {
		return err
	}
	says := r.says
	if says == nil {
		says = firstPattern(l.Ready)
	}
	o.ReadyLine, o.Output = calls.streams(says, spec.LogStdout)
	o.Notify = calls.notify(first, []string{":" + p.port + "]", p.run})
	return nil
}

// withBadFlag launches the daemon with a flag that it does not know.
func (r row) withBadFlag(ctx context.Context, p *place, o *observation) (err error) {
	l, spec := r.plan(p, r.flagged)
	o.Flag, o.FlagSays, err = p.try(ctx, l, spec)
	return err
}

// withBadConfig launches the daemon with a configuration that it cannot read.
func (r row) withBadConfig(ctx context.Context, p *place, o *observation) (err error) {
	if r.badConfig == nil {
		return nil
	}
	if err := errors.Join(r.badConfig(p), r.give(p)); err != nil {
		return err
	}
	l, spec := r.plan(p, nil)
	o.Config, o.ConfigSay, err = p.try(ctx, l, spec)
	return err
}

// withAddressTaken launches the daemon where somebody has its address.
func (r row) withAddressTaken(ctx context.Context, p *place, o *observation) error {
	if err := r.takeAddress(p); err != nil {
		return err
	}
	l, spec := r.plan(p, r.onPort(p))
	how, says, err := p.try(ctx, l, spec)
	o.TakenLaunch = strings.TrimSuffix(how+": "+says, ": ")
	return err
}

// aloneWithAddressTaken does the same, and leaves it to the daemon to notice.
func (r row) aloneWithAddressTaken(ctx context.Context, p *place, o *observation) (err error) {
	if err := r.takeAddress(p); err != nil {
		return err
	}
	l, spec := r.plan(p, r.onPort(p))
	l.Ready = alone{l.Ready}
	o.Taken, o.TakenSays, err = p.try(ctx, l, spec)
	return err
}

// inBackground launches the daemon without what keeps it in the foreground.
func (r row) inBackground(ctx context.Context, p *place, o *observation) (err error) {
	if r.background == nil {
		return nil
	}
	l, spec := r.plan(p, func(args []string) ([]string, error) {
		args, err := r.background(p, args)
		return args, errors.Join(err, r.give(p))
	})
	if o.Background, o.BackSays, err = p.try(ctx, l, spec); err != nil {
		return err
	}
	// The daemon may have got away from the launch, and that is worth a word.
	var left *leftError
	if err := p.waitLeft(ctx); !errors.As(err, &left) {
		return err
	}
	o.Background += ", and a child stays"
	process, err := os.FindProcess(left.pid)
	if err != nil {
		return err
	}
	return process.Kill()
}

func (r row) takeAddress(p *place) error {
	take := p.takeTCP
	if r.take != nil {
		take = func() error { return r.take(p) }
	}
	return errors.Join(take(), r.give(p))
}

func (r row) onPort(p *place) edit {
	if r.fixed == nil {
		return nil
	}
	return func(args []string) ([]string, error) { return r.fixed(p, args) }
}

// An alone calls nothing ready: the launch shows what the daemon does by itself.
// The daemon still gets the sockets and the descriptors that it needs for probe.
type alone struct{ probe readiness.Probe }

// Prepare implements readiness.Preparer.
func (a alone) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	for leaf := range readiness.Leaves(a.probe) {
		switch leaf.(type) {
		case readiness.NotifySocket, readiness.NotifyFD, readiness.Listener:
			if _, err := readiness.Prepare(ctx, leaf, s); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// Wait implements readiness.Probe.
func (alone) Wait(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
	<-ctx.Done()
	return readiness.Endpoint{}, context.Cause(ctx)
}

// try launches what is expected to fail, and returns how it ended, and what the
// error gives as the cause.
func (p *place) try(ctx context.Context, l launcher.Launcher, spec launcher.Spec) (how, says string, err error) {
	l.Timeout = short
	pod, err := l.Launch(ctx, spec)
	if err == nil {
		how = "is ready"
		select {
		case <-pod.Done():
			how = "is ready, and gone"
		case <-time.After(time.Second): // a daemon goes to the background at once
		}
		return how, "", pod.Stop(ctx)
	}
	var failure *launcher.Error
	switch {
	case !errors.As(err, &failure) || ctx.Err() != nil || errors.Is(err, exec.ErrNotFound):
		return "", "", err
	case failure.Exit != nil:
		how = failure.Exit.String()
	case errors.Is(err, launcher.ErrTimeout):
		how = "goes on"
	case failure.PID == 0:
		how = "is not started"
	default:
		how = "is ended"
	}
	switch says = failure.Cause; {
	case errors.Is(err, readiness.ErrForeignPeer):
		says = readiness.ErrForeignPeer.Error()
	case says == "" && failure.Exit == nil && !errors.Is(err, launcher.ErrTimeout):
		says = failure.Err.Error()
	}
	return how, p.scrub(says), nil
}

// scrub takes out of a line what differs from run to run.
func (p *place) scrub(line string) string {
	line = strings.NewReplacer(p.base, "DIR", p.port, "PORT").Replace(line)
	for _, r := range [][2]string{
		{`\x1b\[[\d;]*m`, ``},
		{`\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?(Z| ?[+-]\d\d:?\d\d)?`, `DATE`},
		{`\w{3} \d\d \d\d:\d\d:\d\d([.,]\d+)?`, `DATE`},
		{`\b\d\d:\d\d:\d\d([.,]\d+)?`, `TIME`},
		{`\bpid[ =]\d+`, `pid PID`},
		{`\d+#\d+:`, `PID#0:`},
		{`\[\d+\]`, `[PID]`},
		{`\(\d+\)`, `(PID)`},
		{`\[\d+:\d+:[\d/.]+:`, `[PID:DATE:`},
		{`^\d+:`, `PID:`},
	} {
		line = regexp.MustCompile(r[0]).ReplaceAllString(line, r[1])
	}
	return line
}

var sixLetters = regexp.MustCompile(`\.[A-Za-z0-9]{6}\b`)

// unrandom takes out of a name what mkdtemp(3) has put at its end. A word is
// none: .config.
func unrandom(name string) string {
	return sixLetters.ReplaceAllStringFunc(name, func(end string) string {
		if strings.ToLower(end) == end && !strings.ContainsAny(end, "0123456789") {
			return end
		}
		return ".XXXXXX"
	})
}

// files returns the files of the place, without those of the launch.
func (p *place) files() (found []string, err error) {
	for _, dir := range []string{p.data, p.run} {
		err = errors.Join(err, filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it has gone in the meantime
			}
			name, _ := filepath.Rel(dir, path) // path is below dir
			if path == dir || dir == p.run && (strings.HasSuffix(name, ".log") || name == "notify") {
				return err
			}
			name = unrandom(name)
			if f != nil && f.Type()&fs.ModeSocket != 0 {
				name += "="
			}
			found = append(found, name)
			return err
		}))
	}
	return found, err
}

// added returns what is new in after, a directory with all that is in it as one.
func added(before, after []string) (names []string) {
	for _, name := range after {
		top, _, _ := strings.Cut(name, "/")
		inside := top != name
		if inside {
			top += "/"
		}
		if slices.Contains(before, name) || slices.Contains(names, top) {
			continue
		}
		if i := slices.Index(names, strings.TrimSuffix(top, "/")); inside && i >= 0 {
			names[i] = top
			continue
		}
		names = append(names, top)
	}
	return names
}

// noPackage is the version of a program that no Debian package has.
const noPackage = "of no package"

// version returns the upstream version of the Debian package that a program is
// of.
func version(ctx context.Context, program string) (string, error) {
	program, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", err
	}
	owner, err := exec.CommandContext(ctx, "dpkg-query", "--search", program).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return noPackage, nil
	}
	if err != nil {
		return "", fmt.Errorf("package of %s: %w", program, err)
	}
	pkg, _, _ := strings.Cut(string(owner), ":")
	out, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${source:Upstream-Version}", pkg).Output()
	if err != nil {
		return "", fmt.Errorf("version of package %s: %w", pkg, err)
	}
	v, _, _ := strings.Cut(string(out), "+")
	return strings.TrimSuffix(v, "~dfsg"), nil
}

func notifies(p readiness.Probe) bool {
	for leaf := range readiness.Leaves(p) {
		if _, ok := leaf.(readiness.NotifySocket); ok {
			return true
		}
	}
	return false
}

// firstPattern returns the expression of the first Pattern in p, or nil.
func firstPattern(p readiness.Probe) *regexp.Regexp {
	for leaf := range readiness.Leaves(p) {
		if pattern, ok := leaf.(readiness.Pattern); ok {
			return pattern.Regexp
		}
	}
	return nil
}
