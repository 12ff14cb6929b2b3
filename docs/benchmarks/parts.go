//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workers starts one worker for each peer that wanted likes; all of them give
// each other their turns.
func (b *bench) workers(wanted func(peer) bool) ([]*client, func(), error) {
	var all []*client
	end := func() {
		for _, c := range all {
			c.close()
		}
	}
	for _, p := range b.peers {
		if !wanted(p) {
			continue
		}
		c, err := startWorker(p, b.base)
		if err != nil {
			end()
			return nil, nil, err
		}
		all = append(all, c)
	}
	return all, end, nil
}

// pick is the larger number, or the one for the short form.
func (b *bench) pick(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// attempt gives an order. If a peer does not finish within the limit, or fails, the
// bench skips it for the rest of the part. Exception: if podlaunch or the floor
// fails, attempt returns the error.
func (b *bench) attempt(c *client, part string, o order) (answer, bool, error) {
	if c.givenUp {
		return answer{}, false, nil
	}
	a, err := c.do(o)
	if err == nil {
		return a, true, nil
	}
	what := fmt.Sprintf("failed (%v)", err)
	switch {
	case errors.Is(err, errHung):
		what = fmt.Sprintf("did not end within %v", hangs)
	case c.peer.isOurs() || c.peer.name == floor:
		return a, false, err
	}
	c.givenUp = true
	b.report.note(part, fmt.Sprintf("%s %s (%d launches, %d at a time) and was given up.", c.peer.name, what, o.Count, max(1, o.Concurrency)))
	return a, false, nil
}

// detect measures from the pod's write of its line to the launcher's return, and
// the whole launch, for pods that are ready after different times.
func (b *bench) detect() error {
	workers, end, err := b.workers(func(peer) bool { return true })
	if err != nil {
		return err
	}
	defer end()
	cases := []struct {
		name    string
		pod     podOptions
		samples int
	}{
		{"C, 0 ms", podOptions{Program: b.cPod}, b.pick(300, 30)},
		{"C, 5 ms", podOptions{Program: b.cPod, Delay: 5 * time.Millisecond}, b.pick(200, 20)},
		{"C, 50 ms", podOptions{Program: b.cPod, Delay: 50 * time.Millisecond}, b.pick(100, 10)},
		{"C, 130 ms", podOptions{Program: b.cPod, Delay: 130 * time.Millisecond}, b.pick(100, 10)},
		{"Go, 0 ms", podOptions{Program: b.goPod}, b.pick(100, 10)},
	}
	const burst = 10
	for _, k := range cases {
		for done := 0; done < k.samples; done += burst {
			for _, i := range rotated(len(workers), done/burst) {
				c := workers[i]
				count := burst
				if c.peer.slow {
					count = 2
				}
				a, ok, err := b.attempt(c, "detect", order{Op: "launch", Count: count, Pod: k.pod})
				if err != nil {
					return err
				}
				if ok {
					b.report.add("detect", k.name, c.peer.name, a.Samples)
				}
			}
		}
	}
	return nil
}

// rotated is 0 … n-1, beginning somewhere else in each round.
func rotated(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (i + round) % n
	}
	return order
}

var concurrencies = []int{1, 2, 16, 64, 256}

// What tables of the report, and columns, are called.
const (
	tableRate      = "launches per second"
	tableCPU       = "processor time of the launcher per launch, µs"
	holdingNothing = "holding nothing"
)

// throughput measures launches per second, and the launcher's processor time.
func (b *bench) throughput() error {
	workers, end, err := b.workers(func(peer) bool { return true })
	if err != nil {
		return err
	}
	defer end()
	for _, concurrency := range concurrencies {
		for round := range b.pick(7, 2) {
			for _, i := range rotated(len(workers), round) {
				c := workers[i]
				count := max(b.pick(200, 40), 2*concurrency)
				if c.peer.slow {
					count = 4 * concurrency
				}
				a, ok, err := b.attempt(c, "throughput", order{Op: "launch", Count: count, Concurrency: concurrency, Pod: podOptions{Program: b.cPod}})
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				n := float64(count)
				key := strconv.Itoa(concurrency)
				b.report.value(tableRate, key, c.peer.name, n/(float64(a.Elapsed)/1e9))
				b.report.value(tableCPU, key, c.peer.name, float64(a.CPU)/n/1e3)
				if concurrency == 1 {
					b.report.value("allocations per launch", "number", c.peer.name, float64(a.Mallocs)/n)
					b.report.value("allocations per launch", "bytes", c.peer.name, float64(a.Malloc)/n)
				}
			}
		}
	}
	return nil
}

// ends measures how long it takes to end pods, all of them or one after the other, and the
// launcher's processor time. Podlaunch ends with a pod all that has come of it, and looks
// for that among all processes of the machine. The others signal the pod's group.
func (b *bench) ends() error {
	workers, end, err := b.workers(func(p peer) bool { return !p.slow })
	if err != nil {
		return err
	}
	defer end()
	count := b.pick(300, 60)
	for _, concurrency := range []int{1, 16, count} {
		for round := range b.pick(7, 2) {
			for _, i := range rotated(len(workers), round) {
				c := workers[i]
				_, ok, err := b.attempt(c, "ends", order{Op: "launch", Count: count, Concurrency: 16, Keep: true, Pod: podOptions{Program: b.cPod}})
				if err != nil {
					return err
				}
				a, ended, err := b.attempt(c, "ends", order{Op: "kill", Count: count, Concurrency: concurrency})
				if err != nil {
					return err
				}
				if !ok || !ended {
					continue
				}
				key := fmt.Sprintf("%d at a time", concurrency)
				b.report.value("time for each pod that is ended, µs", key, c.peer.name, float64(a.Elapsed)/float64(count)/1e3)
				b.report.value("processor time of the launcher for each pod that is ended, µs", key, c.peer.name, float64(a.CPU)/float64(count)/1e3)
			}
		}
	}
	return nil
}

// noise measures a pod that writes many lines, one write each, before it is
// ready.
func (b *bench) noise() error {
	return b.output("noise", b.pick(5, 2), []podOptions{{Program: b.cPod, Lines: b.pick(100_000, 20_000)}},
		func(p podOptions) string { return fmt.Sprintf("%d lines, one write each", p.Lines) })
}

// flood measures pods that write much before they are ready.
func (b *bench) flood() error {
	var pods []podOptions
	for size := int64(1 << 10); size <= int64(b.pick(1<<30, 1<<26)); size *= 32 {
		pods = append(pods, podOptions{Program: b.cPod, Bytes: size})
	}
	return b.output("flood", b.pick(5, 2), pods, func(p podOptions) string { return sizeText(p.Bytes) })
}

func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func (b *bench) output(part string, rounds int, pods []podOptions, name func(podOptions) string) error {
	workers, end, err := b.workers(func(p peer) bool { return !p.wakes })
	if err != nil {
		return err
	}
	defer end()
	for _, pod := range pods {
		for round := range rounds {
			for _, i := range rotated(len(workers), round) {
				c := workers[i]
				a, ok, err := b.attempt(c, part, order{Op: "launch", Count: 1, Pod: pod})
				if err != nil {
					return err
				}
				if ok {
					b.report.value(part+": time, ms", name(pod), c.peer.name, float64(a.Elapsed)/1e6)
					b.report.value(part+": processor time of the launcher, ms", name(pod), c.peer.name, float64(a.CPU)/1e6)
					b.report.value(part+": resident memory at most, MB", name(pod), c.peer.name, float64(a.State.PeakRSS)/1e6)
				}
			}
			if part == "flood" {
				took, err := b.writeAlone(pod.Bytes)
				if err != nil {
					return err
				}
				b.report.value(part+": time, ms", name(pod), "(nobody reads)", float64(took)/1e6)
			}
		}
	}
	return nil
}

// writeAlone is how long the same writes take into a file that nobody reads.
func (b *bench) writeAlone(bytes int64) (time.Duration, error) {
	f, err := os.CreateTemp(b.base, "alone")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 1<<20)
	began := time.Now()
	for bytes > 0 {
		n, err := f.Write(block[:min(bytes, int64(len(block)))])
		if err != nil {
			return 0, err
		}
		bytes -= int64(n)
	}
	return time.Since(began), nil
}

// descriptorLimit is how many descriptors a worker may have.
func descriptorLimit() (int, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return int(limit.Cur), err
}

// many measures what pods take in the launcher while they are pending and once
// they are ready, a launch among them, and what they cost when nothing happens.
func (b *bench) many() error {
	limit, err := descriptorLimit()
	if err != nil {
		return err
	}
	// The hungriest takes 5 each while a pod is pending, and some are the
	// launcher's own.
	pods := min(b.pods, (limit-500)/5)
	if pods < b.pods {
		b.report.note("many", fmt.Sprintf("%d pods at most, and not %d: the limit on descriptors is %d.", pods, b.pods, limit))
	}
	for _, p := range b.peers {
		if p.slow && p.name != "by-hand" {
			continue
		}
		for n := 10; n <= pods; n = min(10*n, max(pods, n+1)) {
			if err := b.manyOf(p, n); err != nil {
				b.report.note("many", fmt.Sprintf("%s with %d pods: %v", p.name, n, err))
				break
			}
		}
	}
	return nil
}

func (b *bench) manyOf(p peer, n int) error {
	c, err := startWorker(p, b.base)
	if err != nil {
		return err
	}
	defer c.close()
	quick := order{Op: "launch", Count: 20, Pod: podOptions{Program: b.cPod}}
	alone, err := c.do(quick)
	if err != nil {
		return err
	}
	if _, err := c.do(order{Op: "kill"}); err != nil {
		return err
	}
	before, err := c.do(order{Op: "snapshot"})
	if err != nil {
		return err
	}
	if _, err := c.do(order{Op: "pend", Count: n, Pod: podOptions{Program: b.cPod}}); err != nil {
		return err
	}
	key := strconv.Itoa(n)
	if err := b.each(c, "pending", key, n, before.State); err != nil {
		return err
	}
	quick.Keep = true
	among, err := c.do(quick)
	if err != nil {
		return err
	}
	ratio := float64(median(wholes(among.Samples))) / float64(median(wholes(alone.Samples)))
	b.report.value("many: a launch among them, of one alone", key, p.name, ratio)
	opened, err := c.do(order{Op: "open"})
	if err != nil {
		return err
	}
	b.report.value("many: all ready after the gate opened, µs each", key, p.name, float64(opened.Elapsed)/float64(n)/1e3)
	if err := b.each(c, "ready", key, n+quick.Count, before.State); err != nil {
		return err
	}
	// Leftover work gets time to end before idleness counts.
	time.Sleep(time.Second)
	first, err := c.do(order{Op: "snapshot"})
	if err != nil {
		return err
	}
	idle := b.idle
	if n < b.pods/10 || !p.isOurs() {
		idle = min(idle, 2*time.Second)
	}
	time.Sleep(idle)
	last, err := c.do(order{Op: "snapshot"})
	if err != nil {
		return err
	}
	// The snapshot itself takes some: two in a row tell how much.
	again, err := c.do(order{Op: "snapshot"})
	if err != nil {
		return err
	}
	own := again.State.CPU - last.State.CPU
	b.report.value("many: processor time while idle, ms per second", key, p.name, max(0, float64(last.State.CPU-first.State.CPU-own))/1e6/idle.Seconds())
	b.report.value("many: wake-ups while idle, per second", key, p.name, float64(last.State.Switches-first.State.Switches)/idle.Seconds())
	return nil
}

func (b *bench) each(c *client, when, key string, n int, before state) error {
	time.Sleep(300 * time.Millisecond)
	a, err := c.do(order{Op: "snapshot"})
	if err != nil {
		return err
	}
	s, name := a.State, c.peer.name
	per := func(now, then int) float64 { return float64(now-then) / float64(n) }
	b.report.value("many: threads, "+when, key, name, float64(s.Threads))
	b.report.value("many: goroutines each, "+when, key, name, per(s.Goroutines, before.Goroutines))
	b.report.value("many: descriptors each, "+when, key, name, per(s.Descriptors, before.Descriptors))
	b.report.value("many: Go memory each, "+when+", KiB", key, name, float64(s.GoMemory-before.GoMemory)/float64(n)/1024)
	return nil
}

// holding measures launches by a process that holds much memory.
func (b *bench) holding() error {
	free := statusOf("/proc/meminfo", "MemAvailable")
	hold := min(b.hold, free*2/3)
	workers, end, err := b.workers(func(p peer) bool { return !p.slow })
	if err != nil {
		return err
	}
	defer end()
	name := "holding " + sizeText(hold)
	for range b.pick(6, 2) {
		for _, c := range workers {
			for _, bytes := range []int64{0, hold} {
				if _, _, err := b.attempt(c, "hold", order{Op: "hold", Bytes: bytes}); err != nil {
					return err
				}
				a, ok, err := b.attempt(c, "hold", order{Op: "launch", Count: 50, Pod: podOptions{Program: b.cPod}})
				if err != nil {
					return err
				}
				if ok {
					key := holdingNothing
					if bytes > 0 {
						key = name
					}
					b.report.add("hold", key, c.peer.name, a.Samples)
				}
			}
			// Only one of them at a time has it.
			if _, _, err := b.attempt(c, "hold", order{Op: "hold"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// dirs measures launches beside other runtime directories.
func (b *bench) dirs() error {
	for n := 1; n <= b.pick(10_000, 1000); n *= 10 {
		workers, end, err := b.workers(func(p peer) bool { return p.isOurs() || p.name == floor })
		if err != nil {
			return err
		}
		for range b.pick(5, 2) {
			for _, c := range workers {
				if _, err := c.do(order{Op: "populate", Count: n}); err != nil {
					end()
					return err
				}
				a, err := c.do(order{Op: "launch", Count: 40, Pod: podOptions{Program: b.cPod}})
				if err != nil {
					end()
					return err
				}
				b.report.add("dirs", strconv.Itoa(n), c.peer.name, a.Samples)
			}
		}
		end()
	}
	return nil
}

// chance are system calls whose number is the scheduler's business, and says
// nothing of what a launch asks for.
var chance = []string{"futex", "epoll_pwait", "nanosleep", "clock_nanosleep", "sched_yield", "madvise", "mmap", "munmap", "rt_sigreturn",
	"tgkill", "getpid", "restart_syscall", "clone3", "rt_sigprocmask", "sigaltstack", "gettid", "mprotect", "prctl", "clock_gettime", "getrusage"}

// syscalls counts what a launch asks of the kernel, where there is strace(1).
func (b *bench) syscalls() error {
	if _, err := exec.LookPath("strace"); err != nil {
		b.report.note("syscalls", "not counted: there is no strace.")
		return nil
	}
	workers, end, err := b.workers(func(p peer) bool { return !p.slow && p.name != "tail" })
	if err != nil {
		return err
	}
	defer end()
	for _, c := range workers {
		counts, err := countSyscalls(c, b.cPod, b.pick(100, 20))
		if err != nil {
			return err
		}
		b.report.value("system calls per launch", "all but the scheduler's", c.peer.name, asked(counts))
		b.report.value("system calls per launch", "futex", c.peer.name, counts["futex"])
		b.report.value("system calls per launch", "epoll_pwait", c.peer.name, counts["epoll_pwait"])
	}
	return nil
}

// asked is how many of them are no accident.
func asked(counts map[string]float64) (total float64) {
	for name, n := range counts {
		if !slices.Contains(chance, name) {
			total += n
		}
	}
	return total
}

// countSyscalls returns how many system calls of each name the worker makes for
// one launch, those of the child until it becomes the pod included.
func countSyscalls(c *client, pod string, launches int) (map[string]float64, error) {
	launch := func(count int) (map[string]float64, error) {
		counts, err := traced(c, func() error {
			_, err := c.do(order{Op: "launch", Count: count, Keep: true, Pod: podOptions{Program: pod}})
			return err
		})
		if err == nil { // how the pods end does not count
			_, err = c.do(order{Op: "kill"})
		}
		return counts, err
	}
	// The first ones open what all others use.
	if _, err := launch(10); err != nil {
		return nil, err
	}
	// What an order costs beside its launches is taken off.
	few, err := launch(launches / 10)
	if err != nil {
		return nil, err
	}
	most, err := launch(launches + launches/10)
	if err != nil {
		return nil, err
	}
	for name := range most {
		most[name] = (most[name] - few[name]) / float64(launches)
	}
	return most, nil
}

// traced counts the worker's system calls, and those of its children until they
// become pods, while f runs.
func traced(c *client, f func() error) (map[string]float64, error) {
	out := filepath.Join(c.root, "strace")
	cmd := exec.Command("strace", "-f", "-c", "-b", "execve", "-o", out, "-p", strconv.Itoa(c.cmd.Process.Pid))
	said := &firstWrite{said: make(chan struct{})}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-said.said: // it says so when it has attached
	case err := <-ended:
		return nil, fmt.Errorf("strace: %w", err)
	}
	err := f()
	cmd.Process.Signal(syscall.SIGINT)
	<-ended // it ends by that signal, or as if
	if err != nil {
		return nil, err
	}
	return parseCounts(out)
}

// A firstWrite tells of the first write to it.
type firstWrite struct {
	said chan struct{}
	once bool
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if !f.once {
		f.once = true
		close(f.said)
	}
	return len(p), nil
}

// parseCounts reads the table of strace -c.
func parseCounts(path string) (map[string]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]float64)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		n, err := strconv.Atoi(fields[3])
		if name := fields[len(fields)-1]; err == nil && name != "total" {
			counts[name] += float64(n)
		}
	}
	return counts, nil
}

func median[T int64 | float64](v []T) T {
	if len(v) == 0 {
		return 0
	}
	return quantile(v, 0.5)
}

// quantile is the nearest rank.
func quantile[T int64 | float64](v []T, q float64) T {
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func wholes(samples []sample) (v []int64) {
	for _, s := range samples {
		v = append(v, s.Whole)
	}
	return v
}

func machine() string {
	model := "unknown processor"
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s, %s; load when it began: %s", model, runtime.NumCPU(),
		statusOf("/proc/meminfo", "MemTotal")>>30, strings.TrimSpace(string(release)), runtime.Version(), strings.Join(strings.Fields(string(load))[:3], " "))
}
