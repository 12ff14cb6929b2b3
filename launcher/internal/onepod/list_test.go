//go:build linux

package onepod_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// A listed is what List yields once.
type listed struct {
	launcher.Status
	err error
}

// listAll returns all that List yields.
func listAll(ctx context.Context, l *launcher.Launcher) (all []listed) {
	for s, err := range l.List(ctx) {
		all = append(all, listed{s, err})
	}
	return all
}

// mustListOne fails the test unless List yields one thing, and returns that.
func (r *rig) mustListOne(ctx context.Context) listed {
	r.T.Helper()
	all := listAll(ctx, &r.L)
	if len(all) != 1 {
		r.T.Fatalf("List yields %+v", all)
	}
	return all[0]
}

// mustBeUnknown fails the test unless List yields an error about alice, and nothing
// else: whether it runs cannot be told. The error says each of words.
func (r *rig) mustBeUnknown(words ...string) error {
	r.T.Helper()
	got := r.mustListOne(r.T.Context())
	if got.Name != "alice" || got.State != "" || got.err == nil {
		r.T.Fatalf("List yields %+v", got)
	}
	podrig.MustSay(r.T, got.err, append(words, "cannot be told")...)
	return got.err
}

// The record of another pid namespace proves nothing: the pod may run.
func TestListOfAnotherNamespace(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	for _, ready := range []bool{true, false} {
		r.EditRecord(func(m map[string]any) { m["pidNamespace"], m["ready"] = "pid:[1]", ready })
		err := r.mustBeUnknown("another pid namespace", r.Beside("alice", ".json"))
		podrig.MustBe(t, err, unixproc.ErrElsewhere)
	}
	// Of another boot it is gone, wherever it ran.
	r.EditRecord(func(m map[string]any) { m["boot"], m["ready"] = "another", true })
	if got := r.mustListOne(t.Context()); got.State != launcher.StateGone || got.Why == nil || got.err != nil {
		t.Errorf("List yields %+v", got)
	}
	podrig.Ping(t, pod)
}

// A pod whose record was deleted may run, as long as its lock is held. While somebody
// is launching it there may be no record either.
func TestListWithoutRecord(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := os.Remove(r.Beside("alice", ".json")); err != nil {
		t.Fatal(err)
	}
	r.mustBeUnknown("processes hold its name", r.Beside("alice", ".pod"), "end them")
	lock, err := r.Lock(".launch")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.State(); got != launcher.StateStarting {
		t.Errorf("List says %q", got)
	}
	lock.Close()
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := listAll(t.Context(), &r.L); len(got) > 0 {
		t.Errorf("it has ended, and List yields %+v", got)
	}
}

// A launch in progress does not have the process and the endpoint of the pod before it.
func TestListOfARelaunch(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(".launch"); err != nil {
		t.Fatal(err)
	}
	if got := r.mustListOne(t.Context()); got.err != nil || got.State != launcher.StateStarting || got.PID != 0 || got.Endpoint != (readiness.Endpoint{}) {
		t.Errorf("List yields %+v", got)
	}
}

// Why is one line that can be printed, whatever the record says, and wraps the error
// beneath.
func TestListIsPrintable(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.Launch(podrig.Alice)
	r.EditRecord(func(m map[string]any) { m["address"] = "/\x1b[31m\nbob is ready" })
	got := r.mustListOne(t.Context())
	if got.State != launcher.StateUnreachable || strings.ContainsFunc(got.Why.Error(), unicode.IsControl) {
		t.Errorf("List yields %q: %q", got.State, got.Why)
	}
	podrig.MustBe(t, got.Why, syscall.ENOENT)
}
