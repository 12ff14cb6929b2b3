//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A worker is a process of its own that launches with one peer, so that
// threads, memory and processor time are that peer's alone. It takes orders on
// its standard input and answers on its standard output, one line of JSON each.

// An order says what to do.
type order struct {
	Op    string // launch, pend, open, kill, snapshot, hold, populate; kill cancels what waits at the gate
	Count int
	Pod   podOptions

	Concurrency int   // of launch: 0 is one at a time; of kill: 0 is endsAtOnce
	Keep        bool  // launch leaves the pods running
	Bytes       int64 // of hold
}

// podOptions are what a pod is to do before it is ready.
type podOptions struct {
	Program       string // path
	Delay         time.Duration
	Lines         int
	Bytes         int64
	behindTheGate bool
}

// An answer is what came of an order. Times are in nanoseconds.
type answer struct {
	Error   string   `json:",omitempty"`
	Samples []sample `json:",omitempty"`
	Elapsed int64    // all launches together, or all ends
	CPU     int64    // of the worker in that time
	Mallocs uint64   // of the worker in that time
	Malloc  uint64   // bytes
	State   state
}

// A sample is one launch.
type sample struct {
	Detect int64 // from the pod's write of its line to the launcher's return
	Whole  int64 // from the call to the return
}

// A state is what the worker takes at one moment.
type state struct {
	Threads, Goroutines, Descriptors int
	RSS, PeakRSS                     int64 // bytes
	GoMemory                         int64 // bytes of heap and stacks in use after a collection
	CPU                              int64 // nanoseconds
	Switches                         int64 // of all threads, voluntary
}

const maxPods = 1 << 15

type worker struct {
	peer  peer
	base  string // of the pods' directories, for the present batch
	root  string
	slots *[maxPods][2]int64
	gate  string

	used    int // slots
	batch   int
	mu      sync.Mutex
	ends    []func() error
	cancels []func() error // of the launches that wait at the gate
	pending sync.WaitGroup
	failed  error
	samples []sample
	held    []byte
}

// work is the worker's main function.
func work(peerName, root string) error {
	w := &worker{root: root}
	i := slices.IndexFunc(peers(), func(p peer) bool { return p.name == peerName })
	if i < 0 {
		return fmt.Errorf("no peer is called %q", peerName)
	}
	w.peer = peers()[i]
	if err := w.prepare(); err != nil {
		return err
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return errors.Join(w.killAll(), killBelow(w.root), ignore(err, io.EOF))
		}
		a, err := w.do(o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func (w *worker) prepare() error {
	f, err := os.Create(filepath.Join(w.root, "slots"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(unsafe.Sizeof(*w.slots))); err != nil {
		return err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(unsafe.Sizeof(*w.slots)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	w.slots = (*[maxPods][2]int64)(unsafe.Pointer(&data[0]))
	w.gate = filepath.Join(w.root, "gate")
	if err := unix.Mkfifo(w.gate, 0o600); err != nil {
		return err
	}
	return w.nextBatch()
}

// nextBatch begins a base directory of its own; no pod may be running.
func (w *worker) nextBatch() error {
	if w.base != "" {
		if err := os.RemoveAll(w.base); err != nil {
			return err
		}
	}
	w.batch++
	w.used = 0
	w.base = filepath.Join(w.root, strconv.Itoa(w.batch))
	return os.Mkdir(w.base, 0o700)
}

func (w *worker) do(o order) (a answer, err error) {
	switch o.Op {
	case "launch":
		return w.launchMany(o)
	case "pend":
		o.Pod.behindTheGate = true
		return answer{State: snapshot()}, w.pend(o)
	case "open":
		return w.open()
	case "kill":
		w.ends = append(w.ends, w.cancels...)
		w.cancels = nil
		cpu, began := processorTime(), now()
		if err := w.endLast(len(w.ends), cmp.Or(o.Concurrency, endsAtOnce)); err != nil {
			return a, err
		}
		a.Elapsed, a.CPU = now()-began, processorTime()-cpu
		return a, w.nextBatch()
	case "snapshot":
		return answer{State: snapshot()}, nil
	case "hold":
		w.held = nil
		debug.FreeOSMemory()
		w.held = make([]byte, o.Bytes)
		for i := int64(0); i < o.Bytes; i += 4096 {
			w.held[i] = 1
		}
		return a, nil
	case "populate":
		return a, w.populate(o.Count)
	}
	return a, fmt.Errorf("no order is called %q", o.Op)
}

// launchMany launches, waits until all pods are ready, and kills them.
func (w *worker) launchMany(o order) (a answer, err error) {
	runtime.GC()
	resetPeak()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := processorTime(), now()
	next := make(chan int, o.Count)
	for i := range o.Count {
		next <- w.used + i
	}
	close(next)
	w.used += o.Count
	samples := make([]sample, o.Count)
	first := w.used - o.Count
	var group sync.WaitGroup
	for range max(1, o.Concurrency) {
		group.Go(func() {
			for i := range next {
				samples[i-first] = w.launch(context.Background(), i, o.Pod)
			}
		})
	}
	group.Wait()
	a.Elapsed, a.CPU = now()-began, processorTime()-cpu
	runtime.ReadMemStats(&after)
	a.Mallocs, a.Malloc = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	a.Samples = samples
	a.State.PeakRSS = status("VmHWM")
	if w.failed != nil || o.Keep {
		return a, w.failed
	}
	return a, errors.Join(w.endLast(o.Count, endsAtOnce), w.tidy())
}

// tidy begins another batch if nothing runs.
func (w *worker) tidy() error {
	if len(w.ends) > 0 {
		return nil
	}
	return w.nextBatch()
}

// launch launches one pod. That it was cancelled is no failure.
func (w *worker) launch(ctx context.Context, i int, pod podOptions) sample {
	j := w.job(i, pod)
	j.ctx = ctx
	began := now()
	end, err := w.peer.start(j)
	returned := now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if w.failed == nil && ctx.Err() == nil { // the others are about the same
			w.failed = fmt.Errorf("launch %s: %w", j.name, err)
		}
		return sample{}
	}
	w.ends = append(w.ends, end)
	return sample{Detect: returned - w.slots[i][1], Whole: returned - began}
}

func (w *worker) job(i int, pod podOptions) job {
	j := job{pod: pod.Program, base: w.base, name: "pod" + strconv.Itoa(i)}
	gate := "-"
	if pod.behindTheGate {
		gate = w.gate
	}
	w.slots[i] = [2]int64{}
	j.args = []string{
		j.name, j.sock(), filepath.Join(w.root, "slots"), strconv.Itoa(i), w.peer.style,
		strconv.FormatInt(pod.Delay.Microseconds(), 10), gate, strconv.Itoa(pod.Lines), strconv.FormatInt(pod.Bytes, 10),
	}
	return j
}

// pend begins launches of pods that wait at the gate, and returns when all of
// them do.
func (w *worker) pend(o order) error {
	first := w.used
	w.used += o.Count
	limit := make(chan struct{}, 64) // so that the machine is not swamped
	for i := first; i < w.used; i++ {
		limit <- struct{}{}
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan struct{})
		w.cancels = append(w.cancels, func() error {
			cancel()
			<-over
			return nil
		})
		w.pending.Go(func() {
			defer close(over)
			s := w.launch(ctx, i, o.Pod)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.samples = append(w.samples, s)
		})
		go func() {
			for w.started(i) == 0 && !w.hasFailed() {
				time.Sleep(time.Millisecond)
			}
			<-limit
		}()
	}
	for range cap(limit) {
		limit <- struct{}{}
	}
	return w.failed
}

func (w *worker) hasFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed != nil
}

// started reads what another process writes.
func (w *worker) started(i int) int64 { return *(*int64)(unsafe.Pointer(&w.slots[i][0])) }

// open lets all pods through the gate, and waits until they are ready.
func (w *worker) open() (answer, error) {
	began, cpu := now(), processorTime()
	gate, err := os.OpenFile(w.gate, os.O_RDWR, 0)
	if err != nil {
		return answer{}, err
	}
	defer gate.Close()
	w.pending.Wait()
	a := answer{Elapsed: now() - began, CPU: processorTime() - cpu, Samples: w.samples}
	w.samples, w.cancels = nil, nil
	return a, w.failed
}

// endsAtOnce is how many pods are ended at a time where nothing else is said.
const endsAtOnce = 16

func (w *worker) killAll() error { return w.endLast(len(w.ends), endsAtOnce) }

// endLast ends the pods that were launched last, so many at a time.
func (w *worker) endLast(count, atOnce int) error {
	ends := w.ends[len(w.ends)-count:]
	w.ends = w.ends[:len(w.ends)-count]
	errs := make(chan error, count)
	limit := make(chan struct{}, atOnce)
	for _, end := range ends {
		limit <- struct{}{}
		go func() {
			errs <- end()
			<-limit
		}()
	}
	var err error
	for range ends {
		err = errors.Join(err, <-errs)
	}
	return err
}

// populate makes runtime directories, with what a launch leaves beside them.
func (w *worker) populate(count int) error {
	for i := range count {
		name := "other" + strconv.Itoa(i)
		if err := os.MkdirAll(filepath.Join(w.base, name), 0o700); err != nil {
			return err
		}
		for _, file := range []string{"." + name + ".launch", "." + name + ".pod", name + "/stderr.log"} {
			if err := os.WriteFile(filepath.Join(w.base, file), nil, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshot looks at this process. It collects garbage first, so that what is
// counted is in use.
func snapshot() state {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := state{
		Goroutines: runtime.NumGoroutine(),
		GoMemory:   int64(m.HeapAlloc + m.StackInuse),
		RSS:        status("VmRSS"),
		PeakRSS:    status("VmHWM"),
		CPU:        processorTime(),
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	s.Threads = len(tasks)
	for _, task := range tasks {
		s.Switches += statusOf("/proc/self/task/"+task.Name()+"/status", "voluntary_ctxt_switches")
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	s.Descriptors = len(fds) - 1 // that of the listing
	return s
}

// status reads a number from /proc/self/status; kB are bytes.
func status(field string) int64 { return statusOf("/proc/self/status", field) }

func statusOf(path, field string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
			n, _ := strconv.ParseInt(number, 10, 64)
			if unit == "kB" {
				n *= 1024
			}
			return n
		}
	}
	return 0
}

// resetPeak makes VmHWM start again (proc_pid_clear_refs(5)).
func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

func processorTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

func ignore(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}
