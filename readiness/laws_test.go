package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// A leaf is a probe whose outcome, and when it comes, is the test's to say.
type leaf struct {
	name   string
	after  time.Duration      // when; negative: never
	e      readiness.Endpoint // what it learned; zero: nothing
	err    error              // its verdict
	crash  func()             // instead of returning
	linger time.Duration      // how long it takes to end once ctx is done

	running atomic.Int32
	cause   error // why it was ended
}

const never = -1

func (l *leaf) String() string { return l.name }

func (l *leaf) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	l.running.Add(1)
	defer l.running.Add(-1)
	var due <-chan time.Time
	if l.after >= 0 {
		due = time.After(l.after)
	}
	select {
	case <-due:
	case <-ctx.Done():
		l.cause = context.Cause(ctx)
		time.Sleep(l.linger)
		return readiness.Endpoint{}, l.cause
	}
	if l.crash != nil {
		l.crash()
	}
	if l.err != nil || l.e != (readiness.Endpoint{}) {
		return l.e, l.err
	}
	return t.Endpoint, nil
}

// mustHaveEnded fails the test if one of the leaves runs.
func mustHaveEnded(t *testing.T, leaves ...*leaf) {
	t.Helper()
	for _, l := range leaves {
		if n := l.running.Load(); n != 0 {
			t.Errorf("%s runs %d times", l.name, n)
		}
	}
}

// learned is the target whose endpoint is known from before.
func learned(t *testing.T) readiness.Target {
	target := target(t, nil)
	target.Endpoint = address("/run/old")
	return target
}

// Law: a combinator of one is that one, in all that it returns and when, also
// when it was prepared, and however deep it is.
func TestOneIsThatOne(t *testing.T) {
	wrong := errors.New("this will never do")
	combinators := map[string]func(p readiness.Probe) readiness.Probe{
		"All":      func(p readiness.Probe) readiness.Probe { return readiness.All{p} },
		"Any":      func(p readiness.Probe) readiness.Probe { return readiness.Any{p} },
		"Sequence": func(p readiness.Probe) readiness.Probe { return readiness.Sequence{p} },
		"Timeout":  func(p readiness.Probe) readiness.Probe { return readiness.Timeout{Probe: p, Limit: time.Hour} },
		"nested": func(p readiness.Probe) readiness.Probe {
			return readiness.All{readiness.Any{readiness.Sequence{readiness.Timeout{Probe: readiness.All{p}, Limit: time.Hour}}}}
		},
	}
	ones := map[string]readiness.Probe{
		"learns":           &leaf{after: 5, e: address("/run/new")},
		"learns nothing":   &leaf{after: 5},
		"a verdict":        &leaf{after: 5, err: wrong},
		"a wrapped one":    &leaf{after: 5, err: fmt.Errorf("look: %w", wrong)},
		"never":            &leaf{after: never},
		"never, slow":      &leaf{after: never, linger: time.Second},
		"never, and tells": readiness.Poll{Check: func(context.Context, readiness.Target) (readiness.Endpoint, error) { return address(""), wrong }, Schedule: fixed},
		"never, in words": readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			<-ctx.Done()
			return readiness.Endpoint{}, fmt.Errorf("gave up: %w", context.Cause(ctx))
		}),
	}
	for what, one := range ones {
		e, took, err := await(t, one, learned(t))
		for name, combine := range combinators {
			p := combine(one)
			for _, p := range []readiness.Probe{p, preparedIn(t, p, "")} {
				gotE, gotTook, got := await(t, p, learned(t))
				if gotE != e || gotTook != took || fmt.Sprint(got) != fmt.Sprint(err) || errors.Is(got, wrong) != errors.Is(err, wrong) || reflect.TypeOf(got) != reflect.TypeOf(err) {
					t.Errorf("%s of one that %s:\n%v, %v after %v, want\n%v, %v after %v", name, what, gotE, got, gotTook, e, err, took)
				}
			}
		}
	}
}

// fixed is a schedule whose number of attempts in a time does not vary.
var fixed = readiness.Schedule{First: time.Hour}

// preparedIn is p as it is for one launch, cleared away with the test.
func preparedIn(t *testing.T, p readiness.Probe, dir string) readiness.Probe {
	t.Helper()
	s := &readiness.Setup{Name: "pod", RuntimeDir: dir}
	t.Cleanup(s.Close)
	q, err := readiness.Prepare(t.Context(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Law: a combinator of none is an error, and so is one with a nil in it, or a
// Timeout without a time: before the launch and in Wait, at once, and before any
// other probe runs.
func TestNoneIsAnError(t *testing.T) {
	ran := readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		t.Error("a probe ran")
		return readiness.Endpoint{}, nil
	})
	for _, c := range []struct {
		p    readiness.Probe
		says string
	}{
		{readiness.All{}, "readiness.All: it is empty"},
		{readiness.All(nil), "readiness.All: it is empty"},
		{readiness.Any{}, "readiness.Any: it is empty"},
		{readiness.Any(nil), "readiness.Any: it is empty"},
		{readiness.Sequence{}, "readiness.Sequence: it is empty"},
		{readiness.All{ran, nil}, "readiness.All: probe 1 of 2 is nil"},
		{readiness.Any{nil, ran}, "readiness.Any: probe 0 of 2 is nil"},
		{readiness.Sequence{ran, nil}, "readiness.Sequence: probe 1 of 2 is nil"},
		{readiness.Timeout{Limit: 1}, "readiness.Timeout.Probe: it is nil"},
		{readiness.Timeout{Probe: ran}, "readiness.Timeout.Limit: it is 0s"},
		{readiness.Timeout{Probe: ran, Limit: -1}, "readiness.Timeout.Limit: it is -1ns"},
		{readiness.All{readiness.Any{}}, "readiness.Any: it is empty"},
		{readiness.Any{readiness.All{}}, "readiness.All: it is empty"},
		{readiness.Timeout{Probe: readiness.All{}, Limit: 1}, "readiness.All: it is empty"},
		{readiness.ProbeFunc(nil), "readiness.ProbeFunc: it is nil"},
		{readiness.All{readiness.ProbeFunc(nil)}, "readiness.ProbeFunc: it is nil"},
		{readiness.Poll{}, "readiness.Poll.Check: it is nil"},
	} {
		_, took, err := await(t, c.p, target(t, nil))
		mustSay(t, err, c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		_, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{})
		mustSay(t, err, c.says)
	}
}

// Law: the end of the wait reaches every leaf, with its cause, and they have
// all ended when Wait returns, even those that are slow to.
func TestCancellationReachesEveryLeaf(t *testing.T) {
	a, b, c, d, e := &leaf{name: "a", after: never}, &leaf{name: "b", after: never, linger: time.Second},
		&leaf{name: "c", after: never}, &leaf{name: "d", after: never}, &leaf{name: "e", after: never}
	p := readiness.All{
		a,
		readiness.Any{b, readiness.Sequence{&leaf{}, c}},
		readiness.Timeout{Probe: readiness.All{d, readiness.Any{&leaf{err: errors.New("no")}, e}}, Limit: time.Hour},
	}
	_, took, err := await(t, p, target(t, nil))
	pending(t, err, errOver)
	if took != patience+time.Second {
		t.Errorf("it took %v", took)
	}
	for _, l := range []*leaf{a, b, c, d, e} {
		if l.cause != errOver {
			t.Errorf("%s was ended because of %v", l.name, l.cause)
		}
		mustHaveEnded(t, l)
	}
}

// Law: once it is decided the losers are ended, and joined: those of an Any that
// has its winner, and of an All that has its verdict. What they say then does
// not count.
func TestLosersAreJoined(t *testing.T) {
	wrong := errors.New("no")
	for name, c := range map[string]struct {
		decides *leaf
		of      func(...readiness.Probe) readiness.Probe
	}{
		"Any": {&leaf{after: 1, e: address("/run/new")}, func(p ...readiness.Probe) readiness.Probe { return readiness.Any(p) }},
		"All": {&leaf{after: 1, err: wrong}, func(p ...readiness.Probe) readiness.Probe { return readiness.All(p) }},
	} {
		t.Run(name, func(t *testing.T) {
			slow, deep := &leaf{name: "slow", after: never, linger: time.Second}, &leaf{name: "deep", after: never}
			stubborn := readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
				<-ctx.Done()
				if errors.Is(context.Cause(ctx), errOver) {
					t.Error("the loser was ended with the wait")
				}
				return address("/run/loser"), nil
			})
			p := c.of(slow, readiness.All{readiness.Any{deep}}, c.decides, stubborn)
			e, took, err := await(t, p, target(t, nil))
			if e != c.decides.e || err != c.decides.err || took != time.Second+1 {
				t.Errorf("got %v, %v after %v", e, err, took)
			}
			mustHaveEnded(t, slow, deep, c.decides)
			if slow.cause == nil || deep.cause == nil {
				t.Error("a loser was not ended")
			}
		})
	}
}

// Law: the endpoint of an All is the last that was learned, in the order in
// which the probes stand, whenever they learned it; that of an Any is the
// winner's; what learns nothing leaves it as it was.
func TestEndpointRules(t *testing.T) {
	nothing := &leaf{after: 9}
	x, y := &leaf{after: 7, e: address("/run/x")}, &leaf{after: 3, e: address("/run/y")}
	for _, c := range []struct {
		p    readiness.Probe
		want string
	}{
		{readiness.All{x, y}, "/run/y"},
		{readiness.All{y, x}, "/run/x"},
		{readiness.All{x, nothing}, "/run/x"},
		{readiness.All{nothing, nothing}, "/run/old"},
		{readiness.All{readiness.Sequence{x, nothing}, nothing}, "/run/x"},
		{readiness.All{readiness.All{y, x}, readiness.Any{nothing}}, "/run/x"},
		{readiness.Any{x, y}, "/run/y"},
		{readiness.Any{y, x, nothing}, "/run/y"},
		{readiness.Any{nothing, readiness.Sequence{x, y}}, "/run/old"},
		{readiness.Any{&leaf{err: errors.New("no")}, readiness.Timeout{Probe: x, Limit: 1}, y}, "/run/y"},
		{readiness.Sequence{x, readiness.All{nothing, nothing}}, "/run/x"},
		{readiness.Sequence{x, readiness.Any{nothing, y}}, "/run/y"},
	} {
		e, _, err := await(t, c.p, learned(t))
		if err != nil || e.Address != c.want {
			t.Errorf("%v: got %v, %v, want %v", c.p, e, err, c.want)
		}
	}
}

// Law: the error names exactly what was pending, leaf by leaf, with the attempts and
// the last error, and nothing that was ready. errors.Is finds those errors.
func TestPendingIsExact(t *testing.T) {
	refused, wrong := errors.New("connection refused"), errors.New("no such user")
	poll := readiness.Poll{
		What: "an answer on port 80",
		Check: func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{}, refused
		},
		Schedule: fixed,
	}
	never := func(name string) *leaf { return &leaf{name: name, after: never} }
	inWords := readiness.Sequence{&leaf{}, readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
		<-ctx.Done()
		return readiness.Endpoint{}, fmt.Errorf("%w: %w", wrong, context.Cause(ctx))
	})}
	function := "the function " + runtime.FuncForPC(reflect.ValueOf(inWords[1]).Pointer()).Name()
	for _, c := range []struct {
		p    readiness.Probe
		want string
		is   error
	}{
		{readiness.All{&leaf{}, poll, never("a")}, "2 of 3: an answer on port 80 (attempts: 1, last error: connection refused), and a", refused},
		{readiness.All{&leaf{}, never("a")}, "1 of 2: a", nil},
		{readiness.Sequence{&leaf{}, never("a"), never("b")}, "a", nil},
		{readiness.All{readiness.Sequence{&leaf{}, never("a"), never("b")}, &leaf{}}, "1 of 2: a", nil},
		{readiness.Timeout{Probe: never("a"), Limit: time.Hour}, "", nil},
		{readiness.All{readiness.All{never("a"), &leaf{}, never("b")}, never("c")}, "2 of 2: 2 of 3: a, and b, and c", nil},
		{readiness.Any{never("a"), poll}, "any of 2: a, and an answer on port 80 (attempts: 1, last error: connection refused)", refused},
		{readiness.Any{never("a"), &leaf{err: wrong}}, "any of 1: a; another has failed: no such user", nil},
		{readiness.All{&leaf{}, inWords}, "1 of 2: " + function + " (last error: no such user: the time is over)", wrong},
		{inWords, function + " (last error: no such user: the time is over)", wrong},
	} {
		_, took, err := await(t, c.p, target(t, nil))
		if took != patience {
			t.Errorf("%v: it took %v", c.p, took)
		}
		if c.want == "" { // as it came
			if err != errOver {
				t.Errorf("%v: got %v", c.p, err)
			}
			continue
		}
		if e := pending(t, err, errOver); e.Pending() != "still waiting for "+c.want || e.Error() != e.Pending()+": the time is over" {
			t.Errorf("%v:\ngot  %v\nwant %s", c.p, e, c.want)
		}
		if c.is != nil {
			mustBe(t, err, c.is)
		}
	}
}

// Law: an Any fails when the last of its probes has, and holds all their errors.
func TestAnyHoldsAllErrors(t *testing.T) {
	one, two := errors.New("one"), errors.New("two\nlines")
	_, took, err := await(t, readiness.Any{&leaf{after: 5, err: one}, readiness.All{&leaf{err: two}}}, target(t, nil))
	mustBe(t, err, one, two)
	if took != 5 || err.Error() != "none of 2: one; two; lines" {
		t.Errorf("after %v: %v", took, err)
	}
}

// Law: a Timeout's end is a verdict with its own limit, counted from its turn. It names
// what is missing. The launch's end is not the Timeout's.
func TestTimeoutLaw(t *testing.T) {
	slow := &leaf{name: "slow", after: never}
	for _, c := range []struct {
		p    readiness.Probe
		took time.Duration
		says string
	}{
		{readiness.Timeout{Probe: slow, Limit: time.Second}, time.Second, "still waiting for slow: the limit of 1s for this probe is over (readiness.Timeout)"},
		{readiness.Sequence{&leaf{after: time.Second}, readiness.Timeout{Probe: slow, Limit: time.Second}}, 2 * time.Second, "still waiting for slow"},
		{readiness.All{&leaf{after: never}, readiness.Timeout{Probe: slow, Limit: time.Second}}, time.Second, "still waiting for slow"},
		{readiness.Timeout{Probe: readiness.All{&leaf{}, slow, &leaf{name: "a", after: never}}, Limit: time.Second}, time.Second, "still waiting for 2 of 3: slow, and a"},
		{readiness.Timeout{Probe: readiness.Timeout{Probe: slow, Limit: time.Minute / 2}, Limit: time.Second}, time.Second, "the limit of 1s"},
		{readiness.Timeout{Probe: readiness.Timeout{Probe: slow, Limit: time.Second}, Limit: time.Minute / 2}, time.Second, "the limit of 1s"},
	} {
		_, took, err := await(t, c.p, target(t, nil))
		if took != c.took || errors.Is(err, errOver) {
			t.Errorf("%v: after %v: %v", c.p, took, err)
		}
		mustBe(t, err, context.DeadlineExceeded)
		mustSay(t, err, c.says)
		mustHaveEnded(t, slow)
	}
	// An Any goes on without the one whose time is over.
	e, _, err := await(t, readiness.Any{readiness.Timeout{Probe: slow, Limit: 1}, &leaf{after: 5, e: address("/run/x")}}, target(t, nil))
	if err != nil || e != address("/run/x") {
		t.Errorf("got %v, %v", e, err)
	}
	// A verdict that comes in time is the verdict.
	wrong := errors.New("no")
	if _, _, err := await(t, readiness.Timeout{Probe: &leaf{after: 1, err: wrong}, Limit: 2}, target(t, nil)); err != wrong {
		t.Errorf("got %v", err)
	}
}

// Law: a panic, and runtime.Goexit, in a part goes on in the goroutine that
// called Wait, once all the others have ended.
func TestCrashesGoOn(t *testing.T) {
	for name, crash := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		for _, of := range []func(p ...readiness.Probe) readiness.Probe{
			func(p ...readiness.Probe) readiness.Probe { return readiness.All(p) },
			func(p ...readiness.Probe) readiness.Probe { return readiness.Any(p) },
			func(p ...readiness.Probe) readiness.Probe {
				return readiness.Timeout{Probe: readiness.Any{readiness.Sequence{readiness.All(p)}, &leaf{after: never}}, Limit: time.Hour}
			},
		} {
			slow := &leaf{name: "slow", after: never, linger: time.Second}
			p := of(&leaf{}, slow, &leaf{name: name, after: 1, crash: crash})
			if _, isAny := p.(readiness.Any); isAny {
				p = readiness.Any(p.(readiness.Any)[1:]) // the first one would win
			}
			synctest.Test(t, func(t *testing.T) {
				done := make(chan any)
				go func() {
					returned := false
					defer func() {
						mustHaveEnded(t, slow)
						if returned {
							t.Errorf("%v: Wait returned", p)
						}
						done <- recover()
					}()
					p.Wait(t.Context(), readiness.Target{})
					returned = true
				}()
				if value := <-done; value != map[string]any{"panic": "boom"}[name] {
					t.Errorf("%v: recovered %v", p, value)
				}
			})
		}
	}
}

// A setter is a Preparer: it adds to the setup, and is ready if that was this
// launch's.
type setter struct {
	variable string
	fails    error
	launch   *readiness.Setup // of the prepared one
}

func (p setter) Prepare(_ context.Context, s *readiness.Setup) (readiness.Probe, error) {
	s.Env = append(s.Env, p.variable)
	s.PIDEnv = append(s.PIDEnv, p.variable)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { r.Close() })
	if _, err := s.AddFile(w); err != nil {
		return nil, err
	}
	if p.fails != nil {
		return nil, p.fails
	}
	p.launch = s
	return p, nil
}

func (p setter) Wait(context.Context, readiness.Target) (readiness.Endpoint, error) {
	if p.launch == nil {
		return readiness.Endpoint{}, fmt.Errorf("%s was not prepared", p.variable)
	}
	return address("/run/" + p.variable), nil
}

// Law: every combinator prepares all that it holds, in order, for this launch
// alone; the value itself stays as it was.
func TestPrepareIsPassedOn(t *testing.T) {
	p := readiness.Sequence{
		setter{variable: "A"},
		readiness.All{setter{variable: "B"}, readiness.Any{setter{variable: "C"}}},
		readiness.Timeout{Probe: setter{variable: "D"}, Limit: time.Hour},
	}
	var first readiness.Probe
	for range 2 {
		s := &readiness.Setup{}
		q, err := readiness.Prepare(t.Context(), p, s)
		if err != nil {
			t.Fatal(err)
		}
		if e, _, err := await(t, q, target(t, nil)); err != nil || e != address("/run/D") {
			t.Errorf("got %v, %v", e, err)
		}
		if want := []string{"A", "B", "C", "D"}; !slices.Equal(s.Env, want) || !slices.Equal(s.PIDEnv, want) || len(s.Files) != 4 {
			t.Errorf("the setup is %+v", s)
		}
		if reflect.DeepEqual(first, q) && first != nil {
			t.Error("two launches share a probe")
		}
		first = q
		s.CloseFiles()
		s.Close()
		_, _, err = await(t, p, target(t, nil))
		mustSay(t, err, "A was not prepared")
	}
}

// Law: a probe that cannot be prepared fails the launch. Exception: an Any goes on
// without the probe, and without what it added, as long as there is another probe.
func TestPrepareFails(t *testing.T) {
	wrong := errors.New("the path is taken")
	bad, good := setter{variable: "BAD", fails: wrong}, setter{variable: "GOOD"}
	for _, p := range []readiness.Probe{
		readiness.Sequence{good, bad},
		readiness.All{good, bad},
		readiness.Timeout{Probe: bad, Limit: 1},
		readiness.Any{bad},
		readiness.Any{bad, bad},
		readiness.Sequence{good, readiness.Any{readiness.All{bad}}},
	} {
		s := &readiness.Setup{}
		_, err := readiness.Prepare(t.Context(), p, s)
		mustBe(t, err, wrong)
		s.CloseFiles()
		s.Close()
	}
	s := &readiness.Setup{}
	defer s.Close()
	defer s.CloseFiles()
	p := readiness.Sequence{good, readiness.Any{readiness.Sequence{good, bad}, &leaf{name: "a", after: never}}, good}
	q, err := readiness.Prepare(t.Context(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"GOOD", "GOOD"}; !slices.Equal(s.Env, want) || !slices.Equal(s.PIDEnv, want) {
		t.Errorf("the setup is %+v", s)
	}
	if open := slices.DeleteFunc(slices.Clone(s.Files), func(f *os.File) bool { return f == nil }); len(open) != 2 {
		t.Errorf("%d files are handed over", len(open))
	}
	_, _, err = await(t, q, target(t, nil))
	pending(t, err, errOver)
	mustSay(t, err, "any of 1: a; another has failed: the path is taken")
	if got, want := fmt.Sprint(q), fmt.Sprint(p); strings.Count(got, "readiness_test") != strings.Count(want, "readiness_test") {
		t.Errorf("it is described as %s, before it was %s", got, want)
	}
}

// A knower knows lines, and verifies.
type knower struct {
	leaf
	word   string
	verify error
}

func (k *knower) OwnsLine(_ readiness.Target, line []byte) bool {
	return string(line) == k.word+" owned"
}

func (k *knower) Status(_ readiness.Target, line []byte) ([]byte, bool) {
	text, ok := strings.CutPrefix(string(line), k.word+" status ")
	return []byte(text), ok
}

func (k *knower) Verify(context.Context, readiness.Target) error { return k.verify }

// Law: what a leaf knows of lines, and whether it verifies, is found through any
// nesting, also in what was prepared. The last leaf that verifies decides.
func TestLeavesAreAsked(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	a, b := &knower{word: "a", verify: one}, &knower{word: "b", verify: two}
	p := readiness.Sequence{
		readiness.Timeout{Probe: readiness.Any{&leaf{}, a, setter{variable: "BAD", fails: one}}, Limit: 1},
		readiness.All{readiness.Any{b}, &leaf{}},
	}
	s := &readiness.Setup{}
	defer s.Close()
	defer s.CloseFiles()
	q, err := readiness.Prepare(t.Context(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []readiness.Probe{p, q} {
		target := learned(t)
		for word, want := range map[string]bool{"a": true, "b": true, "c": false} {
			if got := readiness.OwnsLine(p, target, []byte(word+" owned")); got != want {
				t.Errorf("owns the line of %s: %v", word, got)
			}
			if text, ok := readiness.StatusOf(p, target, []byte(word+" status 5 %")); ok != want || want && string(text) != "5 %" {
				t.Errorf("the status of %s: %q, %v", word, text, ok)
			}
		}
		if err := readiness.Verify(t.Context(), p, target); err != two {
			t.Errorf("verified with %v", err)
		}
		target.Endpoint = readiness.Endpoint{}
		if err := readiness.Verify(t.Context(), p, target); err != nil {
			t.Errorf("without an endpoint: %v", err)
		}
	}
	target, nobody := learned(t), os.ErrNotExist // there
	if runtime.GOOS == "windows" {
		nobody = errors.ErrUnsupported // to dial a unix socket
	}
	if err := readiness.Verify(t.Context(), readiness.All{&leaf{}}, target); !errors.Is(err, nobody) {
		t.Errorf("verified with %v", err)
	}
}

// A combinator says what it waits for in the words of its parts.
func TestCombinatorsDescribeThemselves(t *testing.T) {
	p := readiness.All{
		readiness.Timeout{Probe: &leaf{name: "a"}, Limit: time.Second},
		readiness.Any{&leaf{name: "b"}, readiness.Sequence{&leaf{name: "c"}, readiness.Poll{}}},
	}
	const want = "all of (a within 1s; any of (b; c, then a check))"
	if got := fmt.Sprint(p); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
