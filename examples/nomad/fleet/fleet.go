package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/launcher"
)

// A fleet is launched by one call of run.
type fleet struct {
	launcher launcher.Launcher
	where    string // for people
	name     string
	size     int
	atOnce   int // launches
	out      io.Writer
	terminal bool

	// launched is called with each launch once it is over, by the goroutine that
	// has made it. Nil: nobody wants to know.
	launched func(*launch)

	mu                   sync.Mutex
	began                time.Time
	waiting, busy, ready int
	broken               int
	width                int             // of what the terminal shows
	told                 map[string]bool // reasons of failures
}

// A launch is one pod's: when what happened, from the beginning of the fleet's.
// A time is 0 if it did not come to that.
type launch struct {
	name  string
	pod   *launcher.Pod
	node  string
	said  string // what the pod answered
	err   error
	times times
}

// times are when something was over.
type times struct {
	Began     time.Duration // the call of Launch
	Resolved  time.Duration // command, directory, name and log
	Started   time.Duration // the process runs
	FirstLine time.Duration // the pod has said something, as heard here
	Ready     time.Duration // Launch has returned the pod
	Dialled   time.Duration // it was asked, and has answered
	Failed    time.Duration
}

// run launches all pods, no more than so many at once, asks each, and stops them
// when all of that is over. One goroutine belongs to each launch under way; run
// joins them.
func (f *fleet) run(ctx context.Context) []*launch {
	f.began, f.waiting = time.Now(), f.size
	launches := make([]*launch, f.size)
	places := make(chan struct{}, f.atOnce)
	var all sync.WaitGroup
	for i := range launches {
		l := &launch{name: fmt.Sprintf("%s-%d", f.name, i+1)}
		launches[i] = l
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			f.show(nil, func() { f.waiting--; f.busy++ })
			f.launch(ctx, l)
			f.show(l, func() {
				f.busy--
				if l.err == nil {
					f.ready++
				} else {
					f.broken++
				}
			})
			if f.launched != nil {
				f.launched(l)
			}
		})
	}
	all.Wait()
	if f.terminal {
		fmt.Fprintln(f.out)
	}
	f.stop(launches, places)
	return launches
}

// launch launches one pod and asks it something.
func (f *fleet) launch(ctx context.Context, l *launch) {
	l.times.Began = f.now()
	one := f.launcher
	one.Observer = &launcher.Observer{Step: func(_ context.Context, s launcher.StepInfo) {
		if s.Stage == launcher.StageStart && s.Name == "process" {
			l.times.Resolved = s.Began.Sub(f.began)
			if s.Err == nil {
				l.times.Started = f.now()
			}
		}
	}}
	var once sync.Once
	var first time.Duration
	spec := launcher.Spec{Name: l.name, Progress: func(string) { once.Do(func() { first = f.now() }) }}
	l.pod, l.err = one.Launch(ctx, spec)
	l.times.FirstLine = first
	if l.err != nil {
		l.times.Failed = f.now()
		return
	}
	l.times.Ready = f.now()
	l.node = node(l.pod)
	if l.said, l.err = ask(ctx, l.pod); l.err != nil {
		l.times.Failed = f.now()
		return
	}
	l.times.Dialled = f.now()
}

func (f *fleet) now() time.Duration { return time.Since(f.began) }

// node says where a pod is.
func node(pod *launcher.Pod) string {
	if pod.PID() != 0 {
		host, _ := os.Hostname()
		return cmp.Or(host, "here")
	}
	place, err := nomad.ReadPlacement(pod.RuntimeDir())
	if err != nil {
		return "unknown"
	}
	return place.Node
}

// ask asks a pod who it is.
func ask(ctx context.Context, pod *launcher.Pod) (string, error) {
	conn, err := pod.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintln(conn, "who are you?"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	answer = strings.TrimSpace(answer)
	if err == nil && !strings.HasPrefix(answer, "I am "+pod.Name()+",") {
		err = fmt.Errorf("it was asked who it is, and says %q", answer)
	}
	return answer, err
}

// stop ends the pods that run, and notes which have ended by themselves. It does
// so also when the fleet's context is done.
func (f *fleet) stop(launches []*launch, places chan struct{}) {
	var all sync.WaitGroup
	for _, l := range launches {
		if l.pod == nil {
			continue
		}
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			select {
			case <-l.pod.Done():
				exit, err := l.pod.Wait(context.Background())
				if err == nil {
					err = fmt.Errorf("it has ended by itself: %v", exit)
				}
				l.err = errors.Join(l.err, err)
				return
			default:
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			l.err = errors.Join(l.err, l.pod.Stop(ctx))
		})
	}
	all.Wait()
}

// show changes the counts, and shows them: a line that is written over on a
// terminal, else a line for each launch that is over.
func (f *fleet) show(over *launch, change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	switch {
	case f.terminal:
		text := fmt.Sprintf("%6.1f s  %d ready, %d starting, %d waiting, %d failed", f.now().Seconds(), f.ready, f.busy, f.waiting, f.broken)
		fmt.Fprintf(f.out, "\r%-*s", f.width, text)
		f.width = len(text)
	case over == nil:
	case over.err != nil:
		if why := grouped(over); !f.told[why] { // the end lists those that fail for the same reason
			if f.told == nil {
				f.told = make(map[string]bool)
			}
			f.told[why] = true
			fmt.Fprintf(f.out, "%8.3f s  %s failed: %s\n", f.now().Seconds(), over.name, reason(over.err))
		}
	default:
		fmt.Fprintf(f.out, "%8.3f s  %s is ready on %s at %s\n", f.now().Seconds(), over.name, over.node, over.pod.Endpoint().Address)
	}
}

// table shows who is where, and what became of them. Those that failed for the same
// reason have one line.
func (f *fleet) table(launches []*launch) {
	var failures []string // the reasons, in order
	of := make(map[string][]*launch)
	good := 0
	w := tabwriter.NewWriter(f.out, 0, 0, 2, ' ', 0)
	for _, l := range launches {
		if l.err != nil {
			why := grouped(l)
			if of[why] == nil {
				failures = append(failures, why)
			}
			of[why] = append(of[why], l)
			continue
		}
		if good++; good == 1 {
			fmt.Fprintf(w, "POD\tNODE\tADDRESS\tREADY AFTER\t\n")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f ms\t%s\n", l.name, cmp.Or(l.node, "-"), l.pod.Endpoint().Address, milliseconds(l.times.Ready-l.times.Began), l.said)
	}
	w.Flush()
	for _, why := range failures {
		all := of[why]
		who := all[0].name
		if len(all) > 1 {
			who = fmt.Sprintf("%d pods, %s to %s,", len(all), all[0].name, all[len(all)-1].name)
		}
		fmt.Fprintf(f.out, "%s failed: %s\n", who, reason(all[0].err))
	}
	fmt.Fprintf(f.out, "%d of %d pods were ready, answered and were stopped (%s), in %.1f s\n", good, len(launches), f.where, f.now().Seconds())
}

// own is what differs between pods that fail for the same reason: ids and numbers.
var own = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+`)

// grouped is the reason of a failure without what is the one pod's own.
func grouped(l *launch) string {
	return own.ReplaceAllString(strings.ReplaceAll(reason(l.err), l.name, "NAME"), "N")
}
