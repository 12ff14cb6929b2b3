package launcher_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// examplePods returns a launcher whose pods are this program, and the Spec of one of
// them. All that they keep is in one directory, which remove removes.
func examplePods() (l *launcher.Launcher, spec launcher.Spec, remove func()) {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	l = &launcher.Launcher{
		Command: launcher.Self{Args: []string{podRole}},
		Dir:     runtimedir.Dir(base),
		Timeout: time.Minute,
	}
	spec = launcher.Spec{Name: "alice", Args: []string{"alice", filepath.Join(base, "alice", "sock")}}
	return l, spec, func() { os.RemoveAll(base) }
}

// Ensure launches the pod, or returns it if it runs. Any number of goroutines and
// programs may call it at once.
func ExampleLauncher_Ensure() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	first, launched, err := l.Ensure(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("launched:", launched)
	second, launched, err := l.Ensure(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("launched:", launched)
	fmt.Println("the same pod:", first.PID() == second.PID())
	if err := second.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	<-first.Done() // both of them see its end
	// Output:
	// launched: true
	// launched: false
	// the same pod: true
}

// Attach finds a pod that another program launched, or this one before it was restarted.
func ExampleLauncher_Attach() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	launched, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	launched.Release() // this program does not watch the pod any more

	pod, err := l.Attach(ctx, "alice")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pod.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	conn.Close()
	fmt.Printf("%q %v\n", greeting, err)
	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = l.Attach(ctx, "alice")
	fmt.Println("no such pod:", errors.Is(err, os.ErrNotExist))
	// Output:
	// "hello, this is alice\n" <nil>
	// no such pod: true
}

// List yields the pods of one base directory, with what the launcher knows of each.
func ExampleLauncher_List() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	list := func() {
		for status, err := range l.List(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(status.Name, status.State, status.PID == pod.PID())
		}
	}
	list()
	if err := pod.Kill(ctx); err != nil {
		log.Fatal(err)
	}
	list()
	if err := l.Remove(ctx, "alice"); err != nil { // its directory, its log and its record
		log.Fatal(err)
	}
	list()
	// Output:
	// alice ready true
	// alice gone true
}

// Stop ends the pod that has a name, whether this program launched it or another did.
func ExampleLauncher_Stop() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Stop(ctx, "alice"))
	fmt.Println(pod.Wait(ctx)) // as the program sees it that launched the pod
	// Output:
	// <nil>
	// signal: terminated <nil>
}

// Follow reads the pod's log from its beginning, and waits for more until the pod ends.
func ExamplePod_Follow() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	follow, err := pod.Follow(ctx, true) // with what the pod has written so far
	if err != nil {
		log.Fatal(err)
	}
	defer follow.Close()
	lines := bufio.NewScanner(follow)
	lines.Scan()
	fmt.Println(lines.Text())
	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	for lines.Scan() { // the ready line, and then the end
	}
	fmt.Println("the pod has ended:", lines.Err())
	// Output:
	// loading the model
	// the pod has ended: <nil>
}

// Signal sends a signal to the first process of the pod alone.
func ExamplePod_Signal() {
	l, spec, remove := examplePods()
	defer remove()
	ctx := context.Background()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	follow, err := pod.Follow(ctx, false) // with what the pod writes from now on
	if err != nil {
		log.Fatal(err)
	}
	defer follow.Close()
	if err := pod.Signal(ctx, syscall.SIGHUP); err != nil {
		log.Fatal(err)
	}
	line, err := bufio.NewReader(follow).ReadString('\n')
	fmt.Printf("%q %v\n", line, err)
	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	err = pod.Signal(ctx, syscall.SIGHUP)
	fmt.Println("it has ended:", errors.Is(err, os.ErrProcessDone))
	// Output:
	// "reading the model again\n" <nil>
	// it has ended: true
}

// An Observer sees each step of a launch as it ends, and how long it took.
func ExampleObserver() {
	l, spec, remove := examplePods()
	defer remove()
	took := make(map[launcher.Stage]time.Duration)
	l.Observer = &launcher.Observer{
		Step: func(_ context.Context, step launcher.StepInfo) { took[step.Stage] += step.Took },
		End: func(_ context.Context, end launcher.EndInfo) {
			fmt.Println("launched:", end.Err == nil)
			fmt.Println("it waited until the pod was ready:", took[launcher.StageReady] > 0)
		},
	}
	pod, err := l.Launch(context.Background(), spec)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pod.Stop(context.Background()))
	// Output:
	// launched: true
	// it waited until the pod was ready: true
	// <nil>
}

// niceStarter starts pods on this machine, with a lower priority.
type niceStarter struct{ launcher.Local }

func (s niceStarter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	req.Command.Args = append([]string{"-n", "5", req.Command.Path}, req.Command.Args...)
	req.Command.Path = "/usr/bin/nice"
	return s.Local.Start(ctx, req)
}

// A Starter that changes how processes are started may embed [launcher.Local], which
// still finds them again.
func ExampleStarter() {
	l, spec, remove := examplePods()
	defer remove()
	l.Starter = niceStarter{}
	ctx := context.Background()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, pod.PID())
	own, _ := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
	fmt.Println(own-priority, err) // the system call returns 20 less the niceness
	fmt.Println(pod.Stop(ctx))
	// Output:
	// 5 <nil>
	// <nil>
}
