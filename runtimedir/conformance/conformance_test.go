package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// A door is what the kit of this test is about.
type door struct {
	isOpen, isLocked bool
	calls            conformance.Calls
}

var errClosed = errors.New("the door is closed")

var doorKit = conformance.Kit[*door]{Foundation: 2, Rules: []conformance.Rule[*door]{
	{Name: "there", Says: "There is a door.", Run: func(*door) error { return nil }},
	{Name: "opens", Says: "A door opens.", Run: func(d *door) error {
		if !d.isOpen {
			return errClosed
		}
		return nil
	}},
	{Name: "key", Says: "A key fits.", Run: func(*door) error { return fmt.Errorf("no: %w", conformance.Inapplicable("it has no keyhole")) }},
	{Name: "locks", Says: "A door can be locked.", Run: func(d *door) error {
		if !d.isLocked {
			return errors.New("it does not lock")
		}
		return nil
	}},
	{Name: "closes", Says: "A door closes.", Run: func(*door) error { return nil }},
}}

// checks tries rules on a door.
func checks(isOpen, isLocked bool) conformance.Check[*door] {
	return func(_ *testing.T, r conformance.Rule[*door]) error {
		d := &door{isOpen: isOpen, isLocked: isLocked}
		return d.calls.Guard("the door", func() error { return r.Run(d) })
	}
}

// What people see of a kit, and that it fails when it has to; and what they see
// of a proof that proves nothing.
func TestReport(t *testing.T) {
	play := conformance.Plays(t, map[string]func(t *testing.T){
		"unlocked": func(t *testing.T) { doorKit.Test(t, checks(true, false)) },
		"closed":   func(t *testing.T) { doorKit.Test(t, checks(false, false)) },
		"proof": func(t *testing.T) {
			proof := conformance.NewProof(doorKit.Says())
			broken := func(only ...string) map[string]error {
				found, _ := doorKit.Broken(t, checks(true, false))
				return found
			}
			proof.Finds(t, broken, "closes")
			proof.Finds(t, broken, "locks")
			proof.Complete(t)
		},
	})
	if play == nil {
		return
	}
	if _, passed := play(t, "unlocked", "", "--- FAIL: TestReport/locks", "it does not lock\n", "The rule: A door can be locked.",
		"--- SKIP: TestReport/key", "does not apply: it has no keyhole", "--- PASS: TestReport/closes"); passed {
		t.Error("a broken rule does not make the test fail")
	}
	if out, passed := play(t, "unlocked", "^TestReport$/^locks$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	if out, passed := play(t, "closed", "", "--- FAIL: TestReport/opens", "the other 4 rules were not tried"); passed || strings.Contains(out, "TestReport/closes") {
		t.Errorf("it went on without its foundation:\n%s", out)
	}
	if _, passed := play(t, "proof", "", `the rule "closes" does not find it`, `the rule "locks" complains: it does not lock`,
		`nothing wrong is there for the rules ["key" "opens" "surroundings" "there"]`); passed {
		t.Error("a proof that proves nothing passed")
	}
}

// Broken stops where the foundation breaks, tries those rules alone that it is
// asked for, and knows which do not apply.
func TestBroken(t *testing.T) {
	broken, skipped := doorKit.Broken(t, checks(true, false))
	if len(broken) != 1 || broken["locks"] == nil || fmt.Sprint(skipped) != "[key]" {
		t.Errorf("broken are %v, skipped are %v", broken, skipped)
	}
	if broken, _ = doorKit.Broken(t, checks(false, false)); len(broken) != 1 || !errors.Is(broken["opens"], errClosed) {
		t.Errorf("of a door that does not open %v are broken", broken)
	}
	if broken, skipped = doorKit.Broken(t, checks(true, false), "closes"); len(broken) > 0 || skipped != nil {
		t.Errorf("one rule was asked for, and broken are %v, skipped are %v", broken, skipped)
	}
}

// Guard ends what hangs, however long it went on before, and says which call it
// was; a panic and FailNow are errors.
func TestGuard(t *testing.T) {
	var calls conformance.Calls
	for name, c := range map[string]struct {
		f    func(over context.Context) error
		says string
	}{
		"returns": {func(context.Context) error { return errClosed }, "the door is closed"},
		"hangs":   {func(over context.Context) error { <-over.Done(); return nil }, "it hangs: there is no end after 1m0s"},
		"hangs in a call": {func(over context.Context) error {
			for range 10 {
				calls.Begin("Knock")()
				time.Sleep(conformance.Patience * 3 / 4)
			}
			defer calls.Begin("Open")()
			<-over.Done()
			return nil
		}, "it hangs: for 1m0s there was no end of Open"},
		"panics":  {func(context.Context) error { panic("no door") }, "the door panicked: no door"},
		"FailNow": {func(context.Context) error { runtime.Goexit(); return nil }, "the door has ended the goroutine that called it (by t.FailNow?)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := calls.Guard("the door", func() error { return c.f(t.Context()) })
				if err == nil || !strings.HasPrefix(err.Error(), c.says) {
					t.Errorf("the error is %v, want %q", err, c.says)
				}
				if errors.Is(err, conformance.ErrHangs) != strings.HasPrefix(name, "hangs") {
					t.Errorf("whether it is ErrHangs is wrong: %v", err)
				}
			})
		})
	}
}

// AtOnce makes every call, and returns an error of one; a panic is one.
func TestAtOnce(t *testing.T) {
	const n = 16
	called := make(chan int, n)
	all := func(i int) error { called <- i; return nil }
	if err := conformance.AtOnce("the door", n, all); err != nil || len(called) != n {
		t.Errorf("%d of %d calls were made, and the error is %v", len(called), n, err)
	}
	one := func(i int) error {
		if i == n/2 {
			panic("no door")
		}
		return nil
	}
	if err := conformance.AtOnce("the door", n, one); err == nil || !strings.HasPrefix(err.Error(), "the door panicked: no door") {
		t.Errorf("one of the calls panicked, and the error is %v", err)
	}
}

// What is left behind is found, and what ends in time is not.
func TestLeaks(t *testing.T) {
	const times = 16
	leaks := func(patience time.Duration, do func() error) error { return conformance.Leaves(patience, times, do) }
	descriptors := func(patience time.Duration, do func() error) error {
		return conformance.Descriptors(patience, times, "times", func() (err error) {
			for range times {
				err = errors.Join(err, do())
			}
			return err
		})
	}
	over, end := context.WithCancel(t.Context())
	goroutine := func() error { go func() { <-over.Done() }(); return nil }
	descriptor := func() error {
		f, err := os.Open(os.DevNull)
		context.AfterFunc(over, func() { f.Close() })
		return err
	}
	brief := func() error { go time.Sleep(50 * time.Millisecond); return nil }
	for name, c := range map[string]struct {
		check    func(time.Duration, func() error) error
		patience time.Duration
		do       func() error
		says     string // empty: it finds nothing
	}{
		"nothing":                {leaks, conformance.Soon, func() error { return nil }, ""},
		"a goroutine":            {leaks, 0, goroutine, "after 16 times there are 0 descriptors and 16 goroutines more"},
		"a descriptor":           {leaks, 0, descriptor, "after 16 times there are 16 descriptors and 0 goroutines more"},
		"one that ends":          {leaks, conformance.Soon, brief, ""},
		"one that fails":         {leaks, conformance.Soon, func() error { return errClosed }, "the door is closed"},
		"only a descriptor":      {descriptors, 0, descriptor, "after 16 times there are 16 descriptors more"},
		"no descriptor":          {descriptors, 0, goroutine, ""},
		"descriptors that fails": {descriptors, 0, func() error { return errClosed }, "the door is closed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.check(c.patience, c.do)
			if (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("the error is %v, want %q", err, c.says)
			}
		})
	}
	label := conformance.NewLabel()
	call := conformance.Go("a goroutine", func() { label.Set(); goroutine() })
	if err := call.Join(conformance.Soon); err != nil {
		t.Error(err)
	}
	if left := label.Left(0); !strings.Contains(left, "TestLeaks") {
		t.Errorf("the goroutine with the label is not found: %q", left)
	}
	end()
	if left := label.Left(conformance.Soon); left != "" {
		t.Errorf("there are still goroutines with the label: %s", left)
	}
}

// Rules that count at the same time leave the collector as it was.
func TestCollectorGoesOn(t *testing.T) {
	before := debug.SetGCPercent(100)
	debug.SetGCPercent(before)
	began, end := make(chan struct{}), make(chan struct{})
	first := conformance.Go("counting", func() {
		conformance.Descriptors(0, 2, "times", func() error { close(began); <-end; return nil })
	})
	<-began
	if err := conformance.Descriptors(0, 2, "times", func() error { close(end); return first.Join(conformance.Soon) }); err != nil {
		t.Error(err)
	}
	if after := debug.SetGCPercent(before); after != before {
		t.Errorf("GOGC was %d, and is %d", before, after)
	}
}

// A snapshot, and Main, find each kind of thing that is left behind.
func TestSnapshot(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	defer end()
	device := "→ /dev/null"
	if runtime.GOOS == "windows" {
		device = "(file)"
	}
	leaks := map[string]struct {
		leak func()
		says string
	}{
		"goroutine":  {func() { go func() { <-over.Done() }() }, "created by"},
		"descriptor": {func() { open(t, over) }, device},
	}
	plays := make(map[string]func(t *testing.T))
	for name, c := range leaks {
		plays[name] = func(*testing.T) { // and Main fails
			over = context.Background()
			conformance.SetPatience(10 * time.Millisecond)
			c.leak()
		}
	}
	play := conformance.Plays(t, plays)
	if play == nil {
		return
	}
	for name, c := range leaks {
		before := conformance.Take()
		if left := before.Left(conformance.Soon); left != nil {
			t.Errorf("before the leak of a %s there is left: %q", name, left)
		}
		c.leak()
		if left := before.Left(10 * time.Millisecond); len(left) != 1 || !strings.Contains(left[0], c.says) {
			t.Errorf("of a leaked %s it finds %q, want %q", name, left, c.says)
		}
		if left := before.Left(0, c.says); left != nil {
			t.Errorf("it finds what it should except: %q", left)
		}
		if out, passed := play(t, name, "", "--- PASS: TestSnapshot", "left behind:\n", c.says); passed {
			t.Errorf("a leaked %s does not make Main fail:\n%s", name, out)
		}
	}
	before := conformance.Take()
	end()
	if left := before.Left(conformance.Soon); left != nil {
		t.Errorf("at the end there is left: %q", left)
	}
}

// open opens something that is closed when over is done.
func open(t *testing.T, over context.Context) {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	opened = append(opened, f)
	context.AfterFunc(over, func() { f.Close() })
}

// opened keeps the collector from closing them.
var opened []*os.File

// Eventually looks once more when the time is over.
func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !conformance.Eventually(time.Minute, func() bool { return time.Since(start) >= time.Minute }) {
			t.Error("it did not look when the time was over")
		}
		if conformance.Eventually(0, func() bool { return false }) {
			t.Error("it takes false for true")
		}
	})
}

// The kit sees each thing that a program has in common, and says which rule has changed what
// to what.
func TestSurroundings(t *testing.T) {
	t.Setenv("CONFORMANCE_HERE", "was")
	for name, c := range changes(t) {
		t.Run(name, func(t *testing.T) {
			undo := func() {}
			broken, _ := doorKit.Broken(t, func(t *testing.T, r conformance.Rule[*door]) error {
				if r.Name == "locks" {
					undo = c.change()
				}
				return checks(true, true)(t, r)
			})
			undo()
			err := broken["surroundings"]
			if len(broken) != 1 || err == nil || !strings.Contains(err.Error(), `since the rule "locks"`) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("broken are %v, and one should say %s", broken, c.says)
			}
		})
	}
}

// A change is one of the surroundings.
type change struct {
	change func() (undo func())
	says   string
}

func changes(t *testing.T) map[string]change {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]change{
		"a variable more": {func() func() {
			os.Setenv("CONFORMANCE_NEW", "=")
			return func() { os.Unsetenv("CONFORMANCE_NEW") }
		}, `the variable CONFORMANCE_NEW is "=", and was not set`},
		"another value": {func() func() {
			os.Setenv("CONFORMANCE_HERE", "is")
			return func() { os.Setenv("CONFORMANCE_HERE", "was") }
		}, `the variable CONFORMANCE_HERE is "is", and was "was"`},
		"a variable less": {func() func() {
			os.Unsetenv("CONFORMANCE_HERE")
			return func() { os.Setenv("CONFORMANCE_HERE", "was") }
		}, `the variable CONFORMANCE_HERE is not set, and was "was"`},
		"another directory": {func() func() {
			os.Chdir("..")
			return func() { os.Chdir(dir) }
		}, fmt.Sprintf("and was %q", dir)},
	}
	if runtime.GOOS == "windows" {
		delete(all, "another directory") // a program there has a handle of its own, and then another one
	}
	maps.Copy(all, changesOfTheSystem())
	return all
}

// What the test changes, and what it changes back, is not blamed on what is tested.
func TestSurroundingsOfTheTest(t *testing.T) {
	doorKit.Test(t, func(t *testing.T, r conformance.Rule[*door]) error {
		t.Setenv("CONFORMANCE_OF_THE_TEST", r.Name)
		if runtime.GOOS != "windows" {
			t.Chdir(t.TempDir())
		}
		return checks(true, true)(t, r)
	})
}
