// Command fleet launches a number of pods at once, says how far they are, and
// shows who is where, and when what happened.
//
//	go run ./fleet -n 20                 on this machine
//	go run ./fleet -n 20 -on nomad       on the cluster that $NOMAD_ADDR names
//
// One flag is all that differs: it is the same Launcher, with other strategies.
// The pods are this program again; on a cluster it has to be at the same path on
// every node, or -program says where.
//
// It stops what it has launched, also when it is interrupted, or when nobody reads what
// it says any more. The pods' directories are below -dir, by default in the user's cache,
// where the next run finds what a killed one has left:
//
//	go run ./fleet -stop -on nomad       stops it
//
// The exit status is 0 if all pods were ready, answered and stopped, 1 if not,
// and 2 if fleet was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	failed = iota + 1
	misused
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == workerRole {
		os.Exit(work(os.Args[2]))
	}
	// SIGPIPE would end this program, and leave its pods.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	status := run(ctx, os.Stdout, os.Stderr, os.Args[1:])
	stop()
	os.Exit(status)
}

// run is the program; it returns the exit status.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) int {
	f := fleet{out: stdout}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	on := flags.String("on", "local", "where the pods run: local or nomad")
	flags.IntVar(&f.size, "n", 20, "how many pods")
	flags.IntVar(&f.atOnce, "at-once", 8, "how many launches may be under way at once")
	flags.StringVar(&f.name, "name", "web", "the pods are called after it, web-1 and so on")
	timeout := flags.Duration("timeout", launcher.DefaultTimeout, "how long one launch may take")
	dir := flags.String("dir", "", "where the pods' directories are; empty: in the user's cache")
	stop := flags.Bool("stop", false, "launch nothing; stop what an earlier run has left")
	program := flags.String("program", "", "the path of this program where the pods run; empty: that of this one")
	timeline := flags.String("timeline", "", "write PATH.svg and PATH.json, which show when what happened")
	if err := flags.Parse(args); err != nil {
		return misused
	}
	if flags.NArg() > 0 || f.size < 1 || f.atOnce < 1 {
		fmt.Fprintln(stderr, "fleet: it takes no arguments, and -n and -at-once are at least 1")
		return misused
	}
	base, err := baseDir(*dir)
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return failed
	}
	f.launcher = launcher.Launcher{
		Command: worker(*program),
		Dir:     runtimedir.Dir(base),
		Ready:   readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
		Timeout: *timeout,
	}
	if err := f.place(*on); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return misused
	}
	if *stop {
		return f.stopLeft(ctx, stderr)
	}
	f.terminal = isTerminal(stdout)
	launches := f.run(ctx)
	f.table(launches)
	status := f.remains(stderr, base, launches)
	if *timeline != "" {
		if err := writeTimeline(*timeline, f.where, launches); err != nil {
			fmt.Fprintln(stderr, "fleet:", err)
			status = failed
		}
	}
	return status
}

// remains returns the exit status, and says where to find what could not be stopped.
func (f *fleet) remains(stderr io.Writer, base string, launches []*launch) (status int) {
	for _, l := range launches {
		var e *launcher.Error
		switch {
		case errors.Is(l.err, launcher.ErrRunning), errors.As(l.err, &e) && e.Leftover != nil:
			fmt.Fprintf(stderr, "fleet: pods are left; stop them with: fleet -stop -on %s -dir %s\n", f.where, base)
			return failed
		case l.err != nil:
			status = failed
		}
	}
	return status
}

// stopLeft stops what there is in the base. It returns the exit status.
func (f *fleet) stopLeft(ctx context.Context, stderr io.Writer) (status int) {
	for s, err := range f.launcher.List(ctx) {
		if err == nil && s.State == launcher.StateGone {
			continue
		}
		if err == nil {
			var pod *launcher.Pod
			if pod, err = f.launcher.Attach(ctx, s.Name); err == nil {
				err = pod.Stop(ctx)
			}
		}
		if err != nil {
			fmt.Fprintf(stderr, "fleet: %s: %v\n", s.Name, err)
			status = failed
			continue
		}
		fmt.Fprintf(f.out, "%s is stopped\n", s.Name)
	}
	return status
}

// place sets what differs between the places where pods run.
func (f *fleet) place(on string) error {
	f.where = on
	switch on {
	case "local":
	case "nomad":
		f.launcher.Starter = nomad.Starter{CPU: 20, MemoryMB: 32}
		f.launcher.Log = nomad.Log{}
		f.launcher.Ready = readiness.Any{f.launcher.Ready, nomad.Address{}} // whichever is faster
	default:
		return fmt.Errorf("-on is %q, and must be local or nomad", on)
	}
	return nil
}

// baseDir is dir, or else one in the user's cache: always the same, so that what a run
// has left can be found again.
func baseDir(dir string) (string, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: say with -dir where the pods' directories are to be", err)
		}
		dir = filepath.Join(cache, "podlaunch-fleet")
	}
	return filepath.Abs(dir)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// worker resolves to this program as a pod, at path where the pod runs; empty
// means where it is here.
func worker(path string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		path := path
		if path == "" {
			var err error
			if path, err = os.Executable(); err != nil {
				return launcher.Command{}, err
			}
		}
		return launcher.Command{Path: path, Args: []string{workerRole, req.Spec.Name}, Env: slices.Clone(req.Spec.Env)}, nil
	})
}

// reason is why something failed, without what the table says anyway.
func reason(err error) string {
	var e *launcher.Error
	if errors.As(err, &e) && e.Err != nil {
		text := fmt.Sprintf("%s: %v", e.Stage, e.Err)
		if e.Exit != nil {
			text += fmt.Sprintf(" (%v)", e.Exit)
		}
		if e.Leftover != nil {
			text += fmt.Sprintf("; NOT CLEARED: %v", e.Leftover)
		}
		return text
	}
	return err.Error()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
