package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// rivals are launchers with bases of their own, of one name on one cluster.
func rivals(t *testing.T, n int, l *launcher.Launcher) (all []*launcher.Launcher) {
	for range n {
		one := *l
		one.Dir = runtimedir.Dir(t.TempDir())
		s := l.Starter.(nomad.Starter)
		s.OneName = true
		one.Starter = s
		all = append(all, &one)
	}
	return all
}

// race has all launch one name, and makes sure that one does. It returns the pod.
func race(t *testing.T, all []*launcher.Launcher) *launcher.Pod {
	t.Helper()
	pods := make([]*launcher.Pod, len(all))
	errs := make([]error, len(all))
	var over sync.WaitGroup
	for i, l := range all {
		over.Go(func() { pods[i], errs[i] = l.Launch(t.Context(), launcher.Spec{Name: "web"}) })
	}
	over.Wait()
	var won *launcher.Pod
	for i, pod := range pods {
		switch {
		case pod != nil && won != nil:
			t.Errorf("two launchers have a pod of the name, at %v and %v", won.Endpoint(), pod.Endpoint())
			pod.Stop(context.Background())
		case pod != nil:
			won = pod
		case !errors.Is(errs[i], nomad.ErrTaken):
			t.Errorf("a launcher that had no luck says %v", errs[i])
		}
	}
	if won == nil {
		t.Fatal("no launcher has a pod")
	}
	return won
}

// Six launchers on six bases, one name, twenty rounds: one pod, twenty times.
func TestOneName(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	all := rivals(t, 6, l)
	for range 20 {
		pod := race(t, all)
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		nothingLeft(t, e)
		if v := e.Variables(); len(v) > 0 {
			t.Fatalf("the claims are left: %v", v)
		}
	}
}

// A launch that fails gives the name back.
func TestOneNameFails(t *testing.T) {
	for name, break_ := range map[string]func(*fakeengine.Engine){
		"refused":     func(e *fakeengine.Engine) { e.Refuse = "no" },
		"no room":     func(e *fakeengine.Engine) { e.NoRoom = true },
		"not started": func(e *fakeengine.Engine) { e.Broken = "no such program" },
		"exits":       func(e *fakeengine.Engine) { e.Run = func(*fakeengine.Task) int { return 3 } },
	} {
		t.Run(name, func(t *testing.T) {
			e := fakeengine.New(t)
			break_(e)
			failed(t, t.Context(), rivals(t, 1, newLauncher(t, engine(t, e.URL())))[0], e, launcher.Spec{})
			if v := e.Variables(); len(v) > 0 {
				t.Errorf("the claims are left: %v", v)
			}
		})
	}
}

// A claim of a launcher that died before it had a job is good for its lease, and is then
// taken over. A claim whose job has ended is taken over at once. A variable that is no claim is left
// alone.
func TestStaleClaim(t *testing.T) {
	const short = 300 * time.Millisecond
	const path = "podlaunch/names/web"
	id := uuid.New()
	for name, c := range map[string]struct {
		items  map[string]string
		ended  bool
		waits  bool
		fails  string
		taken  bool
		living bool
	}{
		"no job":      {items: map[string]string{"Launch": id.String(), "Host": "far"}, waits: true},
		"confirmed":   {items: map[string]string{"Launch": id.String(), "Confirmed": "true"}},
		"has ended":   {items: map[string]string{"Launch": id.String()}, ended: true},
		"runs":        {items: map[string]string{"Launch": id.String(), "Host": "far"}, living: true, fails: "on the node here", taken: true},
		"not a claim": {items: map[string]string{"password": "secret"}, fails: "no claim of ours"},
	} {
		t.Run(name, func(t *testing.T) {
			lease := time.Hour // who waited for it would not come back
			if c.waits {
				lease = short
			}
			defer nomad.SetLease(lease)()
			e := fakeengine.New(t)
			e.SetVariable(path, c.items)
			if c.ended || c.living {
				task := e.Add(nomad.JobID("web", id))
				if c.ended {
					task.Exit(0)
				}
			}
			e.Change(func() { e.Run = announces(server(t)) })
			l := rivals(t, 1, newLauncher(t, engine(t, e.URL())))[0]
			l.Ready = onlyLine
			began := time.Now()
			pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
			if c.fails != "" {
				if err == nil || errors.Is(err, nomad.ErrTaken) != c.taken {
					t.Fatal(err)
				}
				mustSay(t, err, c.fails)
				if fmt.Sprint(e.Variables()[path]) != fmt.Sprint(c.items) {
					t.Errorf("the variable is %v", e.Variables()[path])
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); c.waits && took < short {
				t.Errorf("it took %v", took)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A launch that was so slow that its claim was taken over ends its job, and fails.
func TestTakenOver(t *testing.T) {
	e := fakeengine.New(t)
	e.Pending = true
	e.Run = announces(server(t))
	l := rivals(t, 1, newLauncher(t, engine(t, e.URL())))[0]
	go func() {
		e.Await(func() bool { return len(e.Tasks()) == 1 })
		e.SetVariable("podlaunch/names/web", map[string]string{"Launch": uuid.NewString(), "Host": "far"})
		e.Start()
	}()
	err := failed(t, t.Context(), l, e, launcher.Spec{})
	mustBe(t, err, launcher.StageStart, nomad.ErrTaken)
	mustSay(t, err, "on far has taken it over")
	if v := e.Variables()["podlaunch/names/web"]; v["Host"] != "far" {
		t.Errorf("the claim of the other is %v", v)
	}
}

// A name that no variable can have is refused before anything is touched.
func TestNameOfVariable(t *testing.T) {
	e := fakeengine.New(t)
	l := rivals(t, 1, newLauncher(t, engine(t, e.URL())))[0]
	err := failed(t, t.Context(), l, e, launcher.Spec{Name: "web.1"})
	mustSay(t, err, "nomad.Starter.OneName", `"web.1"`, "take letters")
}
