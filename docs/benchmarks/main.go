//go:build linux

// Command benchmarks measures this library beside its peers, all in one run,
// and writes tables, raw samples and pictures. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	short  bool
	base   string
	pods   int
	hold   int64
	idle   time.Duration
	peers  []peer
	cPod   string
	goPod  string
	report *report
}

// parts are what can be measured, in order.
var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"detect", (*bench).detect},
	{"throughput", (*bench).throughput},
	{"ends", (*bench).ends},
	{"noise", (*bench).noise},
	{"flood", (*bench).flood},
	{"many", (*bench).many},
	{"hold", (*bench).holding},
	{"dirs", (*bench).dirs},
	{"syscalls", (*bench).syscalls},
}

func run() error {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	b := &bench{}
	worker := flag.String("worker", "", "be the worker of this peer (for the program's own use)")
	only := flag.String("only", "", "parts to run, separated by commas, of "+strings.Join(names, ", ")+" (default all)")
	with := flag.String("with", "", "peers to measure, separated by commas; the floor, "+floor+", is always there (default all)")
	beside := flag.String("beside", "", "another build of this program, an absolute path, whose podlaunch is measured, too")
	out := flag.String("out", "results", "the directory for tables, samples and pictures")
	hold := flag.Int64("hold", 8, "how many GB the launcher holds in the part hold")
	flag.BoolVar(&b.short, "short", false, "fewer samples and smaller sizes: a minute or two")
	flag.StringVar(&b.base, "base", defaultBase(), "where the runtime directories are made")
	flag.IntVar(&b.pods, "pods", 10_000, "how many pods the part many has at most")
	again := flag.Bool("again", false, "measure nothing, and write the report of -out anew from its samples")
	flag.DurationVar(&b.idle, "idle", time.Minute, "how long idle pods are looked at")
	flag.Parse()
	if *worker != "" {
		return work(*worker, b.base)
	}
	if *again {
		r, err := readReport(*out)
		if err != nil {
			return err
		}
		return r.write(*out)
	}
	if err := keepDescriptors(); err != nil {
		return err
	}
	if err := raiseLimit(); err != nil {
		return err
	}
	b.hold = *hold << 30
	if b.short {
		b.pods, b.idle, b.hold = min(b.pods, 300), min(b.idle, 3*time.Second), min(b.hold, 1<<30)
	}
	for _, p := range peers() {
		if *with == "" || p.name == floor || slices.Contains(strings.Split(*with, ","), p.name) {
			b.peers = append(b.peers, p)
		}
	}
	if *beside != "" {
		b.peers = append(b.peers, other(*beside))
	}
	dir, err := os.MkdirTemp("", "benchmarks")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.cPod, b.goPod, err = build(dir); err != nil {
		return err
	}
	settle()
	b.report = newReport(b)
	for _, p := range parts {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s %s …\n", time.Now().Format(time.TimeOnly), p.name)
		if err := p.run(b); err != nil {
			// What was measured before is worth having.
			return errors.Join(fmt.Errorf("%s: %w", p.name, err), b.report.write(*out))
		}
	}
	return b.report.write(*out)
}

// defaultBase is where runtime directories usually are: in memory.
func defaultBase() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if fi, err := os.Stat(dir); dir != "" && err == nil && fi.IsDir() {
			return dir
		}
	}
	return os.TempDir()
}

// keepDescriptors keeps what this program has inherited from its parent beside
// the standard descriptors from its workers: one launcher closes such things in
// its pods, and others hand them on.
func keepDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// raiseLimit raises the limit on descriptors up to what the system allows. The
// workers inherit it.
func raiseLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	const enough = 1 << 17
	if more := (unix.Rlimit{Cur: enough, Max: max(limit.Max, enough)}); unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
		return nil
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}
