// Command daemons launches programs that were not written to be pods, each in its
// own way, asks each something, and stops it. A table holds what it knows about
// them; docs/recipes.md is generated from it.
//
//	go run ./examples/daemons                     lists them
//	go run ./examples/daemons redis nginx         launches these
//	go run ./examples/daemons -broken redis       launches it as it cannot work
//	go run ./examples/daemons -table FILE         finds out what daemons really do
//	go run ./examples/daemons -surprises FILE     confirms what guides get wrong
//
// The exit status is 0 if all went well, 1 if not, and 2 for wrong arguments. It
// is 3 if all went well except that a program is not installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
)

const (
	failed = iota + 1
	misused
	notInstalled
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Stdout, os.Stderr, os.Args[1:])
	stop()
	os.Exit(status)
}

// run is the program; it returns the exit status.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) int {
	flags := flag.NewFlagSet("daemons", flag.ContinueOnError)
	flags.SetOutput(stderr)
	broken := flags.Bool("broken", false, "launch each as it cannot work, and show what the launch says")
	table := flags.String("table", "", "launch the daemons of the big table in every way, or those that are named, and write to this `file` what they do")
	surprising := flags.String("surprises", "", "confirm what guides get wrong, and write to this `file` what was seen")
	if err := flags.Parse(args); err != nil {
		return misused
	}
	if *surprising != "" {
		return confirm(ctx, stdout, stderr, *surprising, flags.Args())
	}
	if *table != "" {
		return survey(ctx, stdout, stderr, *table, flags.Args())
	}
	if flags.NArg() == 0 {
		list(stdout)
		return 0
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return misused
	}
	status := 0
	for _, d := range chosen {
		err := d.show(ctx, stdout, *broken)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			fmt.Fprintf(stderr, "%s is not installed; Debian has it in: apt-get install %s (%v)\n", d.name, d.pkg, err)
			status = max(status, notInstalled)
		case err != nil:
			fmt.Fprintf(stderr, "%s: %v\n", d.name, err)
			return failed
		}
	}
	return status
}

// list shows the table.
func list(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range daemons {
		where := find(d.programs...)
		if _, err := exec.LookPath(where); err != nil {
			where = "not installed: apt-get install " + d.pkg
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", d.name, d.about, where)
	}
	table.Flush()
}

// choose returns the rows of the table that are called as wanted.
func choose(wanted []string) (chosen []daemon, err error) {
	for _, name := range wanted {
		d, ok := lookup(name)
		if !ok {
			return nil, fmt.Errorf("no daemon is called %q; there are: %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}

// show launches d and stops it again, or else launches it in each way in which
// it cannot work, and prints what happens.
func (d daemon) show(ctx context.Context, w io.Writer, broken bool) error {
	if !broken {
		return d.in(func(p *place) error { return d.work(ctx, w, p) })
	}
	for _, f := range d.faults {
		if err := d.in(func(p *place) error { return d.fail(ctx, w, p, f) }); err != nil {
			return err
		}
	}
	return nil
}

// in calls do with a place for d, and sees to it that nothing is left there.
func (d daemon) in(do func(*place) error) error {
	p, err := newPlace(d.name)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.remove())
}

// work launches d, asks it something, and stops it.
func (d daemon) work(ctx context.Context, w io.Writer, p *place) error {
	fmt.Fprintf(w, "%s: %s\n", d.name, d.about)
	t := &steps{w, time.Now()}
	l, spec, err := d.prepare(ctx, p, t)
	if err != nil {
		return err
	}
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		return err
	}
	defer pod.Stop(context.WithoutCancel(ctx)) // it is stopped below, unless that fails
	t.step("ready", fmt.Sprintf("%s, pid %d", pod.Endpoint(), pod.PID()))

	answer, err := d.request(ctx, pod)
	if err != nil {
		return err
	}
	t.step("asked", answer)

	exit, err := d.stop(ctx, pod)
	if err != nil {
		return err
	}
	t.step("stopped", exit.String())
	return nil
}

// fail launches d with a fault, and prints the error.
func (d daemon) fail(ctx context.Context, w io.Writer, p *place, f fault) error {
	fmt.Fprintf(w, "%s, broken: %s\n", d.name, f.what)
	t := &steps{w, time.Now()}
	l, spec, err := d.prepare(ctx, p, t)
	if err != nil {
		return err
	}
	if err := f.breaks(p, &spec); err != nil {
		return err
	}
	pod, err := l.Launch(ctx, spec)
	switch {
	case err == nil:
		return errors.Join(errors.New("it was launched, and should not have been"), pod.Stop(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return err
	}
	t.step("failed", err.Error())
	return nil
}

// prepare sets d up in p, and returns how to launch it there.
func (d daemon) prepare(ctx context.Context, p *place, t *steps) (l launcher.Launcher, spec launcher.Spec, err error) {
	if d.setup != nil {
		if err := d.setup(ctx, p); err != nil {
			return l, spec, err
		}
		t.step("set up", "in "+p.data)
	}
	l, spec = d.launch(p)
	l.Dir = p.runtimeDirs
	spec.Progress = func(line string) { t.note("it says", line) }
	return l, spec, nil
}

// stop ends the daemon in the way that suits it.
func (d daemon) stop(ctx context.Context, pod *launcher.Pod) (launcher.Exit, error) {
	if err := pod.Stop(ctx); err != nil {
		return launcher.Exit{}, err
	}
	return pod.Wait(ctx)
}

// steps prints what happens, each step with the time since the one before.
type steps struct {
	w    io.Writer
	last time.Time
}

func (s *steps) step(name, detail string) {
	now := time.Now()
	fmt.Fprintf(s.w, "  %-8s  %7.2f ms  %s\n", name, float64(now.Sub(s.last))/float64(time.Millisecond), detail)
	s.last = now
}

// note prints a line without a time. A launch calls it before it returns, and
// never again: steps needs no lock.
func (s *steps) note(name, detail string) {
	fmt.Fprintf(s.w, "  %-8s              %s\n", name, detail)
}
