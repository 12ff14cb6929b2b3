package ownership_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// Of many processes that claim a name at once, one gets it.
func TestClaimByMany(t *testing.T) {
	s := newScene(t)
	const processes, rounds = 8, 20
	var all []*child
	for range processes {
		all = append(all, start(t, "race "+s.base))
	}
	for round := range rounds {
		for _, c := range all {
			if _, err := c.in.WriteString("go\n"); err != nil {
				t.Fatal(err)
			}
		}
		var answers []string
		for _, c := range all {
			answer, err := c.out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, strings.TrimSpace(answer))
		}
		slices.Sort(answers)
		if answers[processes-1] != "won" || !strings.HasPrefix(answers[processes-2], "lost: somebody else is launching it") {
			t.Fatalf("round %d: %q", round, answers)
		}
		for _, c := range all {
			if answer := c.say("free"); answer != "free" {
				t.Fatalf("it says %q", answer)
			}
		}
	}
	for _, c := range all {
		c.end()
	}
	s.mustBeFree()
}

// A launcher that is killed frees the name.
func TestKilledLauncher(t *testing.T) {
	s := newScene(t)
	other := start(t, "claim "+s.base)
	s.mustBeLaunched(true)
	if _, err := s.claim(once()); !isLaunching(err) {
		t.Errorf("Claim returned %v, want a HeldError that is Launching", err)
	}
	other.kill()
	s.mustBeFree()
	s.mustBeLaunched(false)
}

// mustBeLaunched fails the test unless Launching says so.
func (s *scene) mustBeLaunched(want bool) {
	s.t.Helper()
	p := s.open()
	defer p.Close()
	if got, err := p.Launching(); err != nil || got != want {
		s.t.Errorf("Launching returned %v, %v; want %v", got, err, want)
	}
}

func isLaunching(err error) bool {
	var held *ownership.HeldError
	return errors.As(err, &held) && held.Launching
}

// isHeldBySomebody reports whether err is a HeldError about processes that cannot be seen.
func isHeldBySomebody(err error) bool {
	var held *ownership.HeldError
	return errors.As(err, &held) && !held.Launching && len(held.Holders) == 0
}

// TestWitnesses has a test for each row of the table in the package's documentation that is
// of Windows, in its order. The second row is TestKilledLauncher.
func TestWitnesses(t *testing.T) {
	t.Run("held, any, ready and alive", runs)
	t.Run("held, free, not ready", leftBehind)
	t.Run("held, free, none", noRecord)
	t.Run("held, free, its process is gone", descendants)
	t.Run("free, free, proven alive", droppedItsLock)
}

// Row 1: a pod that runs is found, and its name is free once it is gone.
func runs(t *testing.T) {
	s := newScene(t)
	pod, r := s.pod("hold", true)
	for range 3 {
		_, err := s.claim(t.Context())
		var running *ownership.RunningError
		if !errors.As(err, &running) || running.Record.Identity != r.Identity || running.Record.Address != r.Address {
			t.Errorf("Claim returned %v, want a RunningError of %+v", err, r)
		}
	}
	pod.mustLive()
	pod.kill()
	s.mustBeFree()
}

// Row 3: what a launcher that died has left is ended if it was recorded. Without a record of
// the process nobody is ended: the job of the launch has ended who was not recorded.
func leftBehind(t *testing.T) {
	t.Run("recorded and holds", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("hold", false)
		s.mustBeFree()
		pod.mustBeKilled()
	})
	t.Run("recorded and has dropped its lock", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("drop", false)
		s.mustBeFree()
		pod.mustBeKilled()
	})
	t.Run("recorded by a launcher that is killed", func(t *testing.T) {
		s := newScene(t)
		t.Setenv(nameVariable, "recorded")
		launcher := start(t, "launch "+s.base)
		s.mustHaveRecord(ownership.ErrNotReady)
		launcher.kill()
		s.mustBeFree()
	})
	t.Run("not recorded", func(t *testing.T) {
		s := newScene(t)
		launcher := start(t, "launch "+s.base)
		s.mustBeLaunched(true)
		launcher.kill()
		s.mustBeLaunched(false)
		if _, err := s.claim(t.Context()); !isHeldBySomebody(err) {
			t.Errorf("Claim returned %v, want a HeldError", err)
		}
		launcher.mustLive() // it is the pod that answers
		launcher.end()
		s.mustBeFree()
	})
}

// mustHaveRecord waits until Running returns want.
func (s *scene) mustHaveRecord(want error) {
	s.t.Helper()
	p := s.open()
	defer p.Close()
	for end := time.Now().Add(ample); ; time.Sleep(time.Millisecond) {
		_, err := p.Running()
		if errors.Is(err, want) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the record says %v", err)
		}
	}
}

// Row 4: where there is no record nobody is ended.
func noRecord(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	if err := os.Remove(s.path(".json")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim(t.Context()); !isHeldBySomebody(err) {
		t.Errorf("Claim returned %v, want a HeldError", err)
	}
	p := s.open()
	defer p.Close()
	if held, err := p.HeldWithoutRecord(t.Context()); held == nil || !held.NoRecord || err != nil {
		t.Errorf("HeldWithoutRecord returned %v, %v", held, err)
	}
	if sight, err := p.Look(); !errors.Is(sight.Unclear, ownership.ErrUnclear) || err != nil {
		t.Errorf("Look returned %+v, %v", sight, err)
	}
	pod.mustLive()
	pod.end()
	if held, err := p.HeldWithoutRecord(t.Context()); held != nil || err != nil {
		t.Errorf("HeldWithoutRecord returned %v, %v", held, err)
	}
	s.mustBeFree()
}

// Row 5: descendants of a pod that was ready keep its name, and are not ended.
func descendants(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("leave", true)
	pod.cmd.Wait()
	if _, err := s.claim(t.Context()); !isHeldBySomebody(err) {
		t.Errorf("Claim returned %v, want a HeldError", err)
	}
	pod.mustLive() // it is the descendant that answers
	pod.end()
	s.mustBeFree()
}

// Row 6: a pod that has closed its handles runs all the same.
func droppedItsLock(t *testing.T) {
	s := newScene(t)
	pod, r := s.pod("drop", true)
	_, err := s.claim(t.Context())
	var running *ownership.RunningError
	if !errors.As(err, &running) || running.Record.Identity != r.Identity {
		t.Errorf("Claim returned %v, want a RunningError", err)
	}
	pod.mustLive()
	pod.end()
	s.mustBeFree()
}

// A launch that has failed gives the name back once nobody has the pod lock from it. Until
// then it keeps the record, and says why.
func TestAbandonWaits(t *testing.T) {
	s := newScene(t)
	claim := s.mustClaim()
	pod := start(t, "hold", claim.File())
	if err := claim.Intend(intent()); err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Abandon(awhile(t), true); !isHeldBySomebody(err) || !errors.Is(err, errEnough) {
		t.Errorf("Abandon returned %v, want a HeldError", err)
	}
	if _, err := os.Lstat(s.path(".json")); err != nil {
		t.Error("it has removed the record")
	}
	pod.kill()

	claim = s.mustClaim()
	pod = start(t, "hold", claim.File())
	if err := claim.Intend(intent()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := claim.Abandon(context.WithoutCancel(t.Context()), true)
		done <- err
	}()
	s.mustHaveRecord(osproc.ErrGone)
	pod.kill()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.mustHaveRecord(ownership.ErrNoRecord)
	s.mustBeFree()
}

// Who only asks does not keep the name from a claim that may wait, nor does who reads the
// lock's file.
func TestQuestionsDoNotHold(t *testing.T) {
	s := newScene(t)
	s.mustBeFree() // which makes the files
	var asking []*child
	for range 2 {
		asking = append(asking, start(t, "ask "+s.base))
	}
	reading := start(t, "read "+s.path(".pod"))
	for range 100 {
		s.mustBeFree()
	}
	for _, c := range append(asking, reading) {
		c.mustLive()
		c.end()
	}
}

// No process that is started in the usual way inherits a lock.
func TestLocksAreNotInherited(t *testing.T) {
	s := newScene(t)
	claim := s.mustClaim()
	claim.File()
	other := start(t, "hold")
	cmd := exec.Command("cmd", "/c", "exit 0")
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	claim.Free()
	s.mustBeFree()
	other.end()
}
