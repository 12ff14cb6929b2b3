package nomad_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/clustertest"
	"github.com/podlaunch/podlaunch/launcher"
)

var soak = flag.Bool("soak", false, "run what takes longer, in full")

// told is how long it may take until somebody hears that a pod is lost.
const told = 30 * time.Second

// A clusterCase is a pod on a cluster to which something is about to happen.
type clusterCase struct {
	*testing.T
	c   *clustertest.Cluster
	l   *launcher.Launcher
	pod *launcher.Pod
	on  *clustertest.Machine

	counted sync.WaitGroup
	over    chan struct{}
	most    int // programs that ran at a time
	want    int // of them; 0 means 1
}

// onCluster launches a pod on c. If not watched, it is released.
func onCluster(t *testing.T, c *clustertest.Cluster, s nomad.Starter, watched bool) *clusterCase {
	t.Helper()
	s.Engine = engine(t, c.URL)
	s.Engine.Token = c.Token
	l := newLauncher(t, s.Engine)
	l.Command, l.Starter, l.Log = worker(ready...), s, nomad.Log{Engine: s.Engine}
	k := &clusterCase{T: t, c: c, l: l, over: make(chan struct{})}
	k.pod = mustLaunch(t, l, launcher.Spec{Name: "web"})
	place, err := nomad.ReadPlacement(k.pod.RuntimeDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Clients {
		if m.Name == place.Node {
			k.on = m
		}
	}
	k.most = len(programs(c)) // on a busy machine all may be over before the next look
	k.counted.Go(func() {
		for {
			k.most = max(k.most, len(programs(c)))
			select {
			case <-k.over:
				return
			case <-time.After(50 * time.Millisecond): // nobody tells of processes
			}
		}
	})
	t.Cleanup(func() {
		close(k.over)
		k.counted.Wait()
		if want := max(k.want, 1); k.most != want {
			t.Errorf("at most %d programs ran at a time, want %d", k.most, want)
		}
	})
	if !watched {
		k.pod.Release()
	}
	return k
}

// programs are the pods that run.
func programs(c *clustertest.Cluster) (all []int) {
	for pid, command := range c.Left() {
		if strings.Contains(command, "podlaunch-fake-pod") && !strings.HasPrefix(command, "/bin/sh") && !strings.Contains(command, "executor") {
			all = append(all, pid)
		}
	}
	return all
}

// loses waits until who watches, or asks, hears that the pod is lost.
func (k *clusterCase) loses(watched bool, reason error) {
	k.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(k.Context(), told)
	defer cancel()
	var err error
	if watched {
		_, err = k.pod.Wait(ctx)
	} else {
		for err = nil; ctx.Err() == nil && !errors.Is(err, reason); time.Sleep(200 * time.Millisecond) { // nobody watches
			for s, e := range k.l.List(ctx) {
				err = errors.Join(e, s.Why)
			}
		}
	}
	if !errors.Is(err, reason) {
		k.Fatalf("after %v: %v, want %v", time.Since(began), err, reason)
	}
	k.Logf("after %.1f s: %v", time.Since(began).Seconds(), err)
}

// same makes sure that the pod is still the same, and stops it.
func (k *clusterCase) same() {
	k.Helper()
	again, err := k.attach()
	if err != nil {
		k.Fatal(err)
	}
	if again.Endpoint() != k.pod.Endpoint() {
		k.Errorf("it is at %v, and was at %v", again.Endpoint(), k.pod.Endpoint())
	}
	ask(k.T, again)
	mustStop(k.T, again)
	k.none()
}

// attach attaches to the pod as soon as it can be said whether it runs.
func (k *clusterCase) attach() (pod *launcher.Pod, err error) {
	for end := time.Now().Add(told); time.Now().Before(end); time.Sleep(200 * time.Millisecond) { // the engine tells nobody
		if pod, err = k.l.Attach(k.Context(), "web"); err == nil || errors.Is(err, fs.ErrNotExist) {
			return pod, err
		}
	}
	return pod, err
}

// none waits until no program runs.
func (k *clusterCase) none() {
	k.Helper()
	for end := time.Now().Add(told); len(programs(k.c)) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("it still runs: %v", k.c.Left())
		}
	}
}

// TestCluster does to a watched pod, and to a released pod, what a real cluster may do: the
// pod never runs twice, and is not lost without a word.
func TestCluster(t *testing.T) {
	c := clustertest.New(t, 3, false)
	for _, watched := range []bool{true, false} {
		if !watched && !*soak {
			continue
		}
		kind := map[bool]string{true: "watched", false: "released"}[watched]
		run := func(name string, f func(k *clusterCase), s ...nomad.Starter) {
			t.Run(name+", "+kind, func(t *testing.T) {
				f(onCluster(t, c, append(s, nomad.Starter{})[0], watched))
			})
		}
		run("killed client", func(k *clusterCase) {
			k.on.Kill()
			k.loses(watched, nomad.ErrLost)
			k.on.Start()
			k.c.AwaitNode(k.on, "ready")
			k.same()
		})
		run("cut network", func(k *clusterCase) {
			k.on.Cut(true)
			k.loses(watched, nomad.ErrLost)
			k.on.Cut(false)
			k.c.AwaitNode(k.on, "ready")
			k.same()
		})
		run("drained node", func(k *clusterCase) {
			k.c.Drain(k.on, true)
			k.loses(watched, nomad.ErrDrained)
			k.none()
			k.c.Drain(k.on, false)
		})
		run("stopped server", func(k *clusterCase) {
			k.c.KillServer()
			if _, err := k.l.Attach(k.Context(), "web"); !errors.Is(err, nomad.ErrUnreachable) {
				k.Errorf("there is no server, and Attach says %v", err)
			}
			k.c.StartServer()
			for _, m := range k.c.Clients {
				k.c.AwaitNode(m, "ready")
			}
			if watched {
				select {
				case <-k.pod.Done():
					_, err := k.pod.Wait(k.Context())
					k.Logf("its watch says %v", err)
				default:
				}
			}
			k.same()
		})
		run("restarted launcher", func(k *clusterCase) {
			l := *k.l
			k.l = &l
			if _, err := k.l.Launch(k.Context(), launcher.Spec{Name: "web"}); !errors.Is(err, launcher.ErrRunning) {
				k.Errorf("it runs, and a launch says %v", err)
			}
			k.same()
		})
		run("purged node", func(k *clusterCase) {
			k.on.Kill()
			k.loses(watched, nomad.ErrLost)
			k.c.Purge(k.on)
			if _, err := k.attach(); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, nomad.ErrLost) {
				k.Errorf("its node was purged, and Attach says %v", err)
			}
			k.on.Start()
			k.c.AwaitNode(k.on, "ready")
			k.none()
		})
		run("cut network, free name", func(k *clusterCase) {
			k.on.Cut(true)
			if watched {
				k.loses(watched, nomad.ErrLost)
			} else {
				k.c.AwaitNode(k.on, "disconnected")
			}
			second, started, err := k.l.Ensure(k.Context(), launcher.Spec{Name: "web"})
			if err != nil || !started {
				k.Fatal(started, err)
			}
			k.on.Cut(false)
			for end := time.Now().Add(told); len(programs(k.c)) > 1 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			}
			ask(k.T, second)
			mustStop(k.T, second)
			k.none()
			k.want = 2 // that is the risk
		}, nomad.Starter{OnLost: nomad.FreeName})
	}
	t.Run("one-name", func(t *testing.T) { oneNameOnCluster(t, c) })
	t.Run("spread", func(t *testing.T) { spreadOnCluster(t, c) })
	t.Run("full cluster", func(t *testing.T) {
		k := onCluster(t, c, nomad.Starter{MemoryMB: 3000}, true)
		k.want = 3
		l := k.l
		var others []*launcher.Pod
		for _, name := range []string{"second", "third"} {
			others = append(others, mustLaunch(t, l, launcher.Spec{Name: name}))
		}
		mustBe(t, mustFail(t, t.Context(), l, launcher.Spec{Name: "fourth"}), launcher.StageStart, nomad.ErrNoRoom)
		for _, pod := range others {
			mustStop(t, pod)
		}
		k.same()
	})
}

// Six launchers on six bases, one name: one pod, each time, on a real cluster.
func oneNameOnCluster(t *testing.T, c *clustertest.Cluster) {
	rounds := 2
	if *soak {
		rounds = 20
	}
	l := newLauncher(t, engine(t, c.URL))
	l.Command = worker(ready...)
	all := rivals(t, 6, l)
	for range rounds {
		pod := race(t, all)
		if n := len(programs(c)); n != 1 {
			t.Errorf("%d programs run", n)
		}
		mustStop(t, pod)
	}
	var left []struct{ Path string }
	if err := c.Call("GET", "/v1/vars?prefix=podlaunch", nil, &left); err != nil || len(left) > 0 {
		t.Errorf("the claims are left: %v, %v", left, err)
	}
}

// E9: pods are spread over equal nodes.
func spreadOnCluster(t *testing.T, c *clustertest.Cluster) {
	const pods, atOnce = 12, 3
	l := newLauncher(t, engine(t, c.URL))
	l.Command = worker(ready...)
	l.Starter = nomad.Starter{Engine: engine(t, c.URL), CPU: 20, MemoryMB: 32}
	all := make([]*launcher.Pod, pods)
	var launched sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for i := range all {
		room <- struct{}{}
		launched.Go(func() {
			defer func() { <-room }()
			var err error
			if all[i], err = l.Launch(t.Context(), launcher.Spec{Name: fmt.Sprint("web", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	launched.Wait()
	on := map[string]int{}
	for _, pod := range all {
		if pod == nil {
			continue
		}
		place, err := nomad.ReadPlacement(pod.RuntimeDir())
		if err != nil {
			t.Error(err)
		}
		on[place.Node]++
		launched.Go(func() { mustStop(t, pod) })
	}
	launched.Wait()
	t.Log(on)
	for _, m := range c.Clients {
		if n := on[m.Name]; n < pods/3-atOnce || n > pods/3+atOnce {
			t.Errorf("%s has %d of %d pods", m.Name, n, pods)
		}
	}
}

// The policy that docs/engines.md asks for is enough, and a token that is revoked ends
// the watching in the engine's words, not the pod. Who asks about a released pod hears the
// same.
func TestClusterToken(t *testing.T) {
	c := clustertest.New(t, 1, true)
	management := c.Token
	for _, watched := range []bool{true, false} {
		token, revoke := c.NewToken(policyOfDocs(t))
		c.Token = token
		k := onCluster(t, c, nomad.Starter{OneName: true}, true)
		mustStop(t, k.pod)
		k = onCluster(t, c, nomad.Starter{OneName: true}, watched)
		c.Token = management
		revoke()
		k.loses(watched, nomad.ErrForbidden)
		if len(programs(c)) != 1 {
			t.Error("the pod was ended")
		}
		l := *k.l
		e := engine(t, c.URL)
		e.Token = management
		l.Starter, l.Log = nomad.Starter{Engine: e, OneName: true}, nomad.Log{Engine: e}
		k.l = &l
		k.same()
	}
}

// policyOfDocs is the policy in docs/engines.md.
func policyOfDocs(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```hcl\n")
	policy, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/engines.md has no policy")
	}
	return policy
}
