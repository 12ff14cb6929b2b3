package readinesstest

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

const (
	// patience ends a call that hangs.
	patience = 10 * time.Second

	// moment is how long a rule looks on where nothing must happen.
	moment = 10 * time.Millisecond

	// often is how many times something is done that must leave nothing behind.
	often = 64
)

// A Case is a Probe and one pod that it has to wait for. The pod need not be a
// process: the test plays it.
type Case struct {
	// Probe is what is tested. Required.
	Probe readiness.Probe

	// Target is the pod, which is not ready. The kit fills in what is not set:
	// a Name, a RuntimeDir, a WorkDir, Lines (an empty log). It puts its own
	// function around Lines, to see how they are read.
	Target readiness.Target

	// Ready makes the pod ready, for good. It is called at most once, from the
	// test's goroutine, before or after the wait begins. s is what Prepare has
	// put in place, if Probe is a [readiness.Preparer]: the pod's side of a
	// socket or a descriptor is found there, in s.Env and s.Files. The files
	// stay open until the wait is over; Ready may close them. Required.
	Ready func(s *readiness.Setup)

	// Fail makes sure instead that the pod will never be ready, as far as the
	// probe can know. It is called like Ready. Nil: there is no such thing, and
	// the rule "fails" does not apply.
	Fail func(s *readiness.Setup)

	// Want is the endpoint that the probe learns. The zero Endpoint means that
	// it learns none: it has to return Target.Endpoint, which the kit sets, to
	// something that nobody should dial, if it is not set.
	Want readiness.Endpoint

	// OnePod says that Probe can only wait for this one pod, for its address or
	// its path is a field of Probe. False: it can wait for the pods of other
	// Cases as well.
	OnePod bool
}

// Test tests a Probe. Each rule of the contract is a subtest with the rule's
// name, and calls newCase, with its own t, for every pod that it needs; several
// of them may be there at the same time. A rule that does not apply is skipped,
// and says why. The rules "ready", "waits" and "ends" come first; if one of
// them is broken, the others are not tried.
func Test(t *testing.T, newCase func(t *testing.T) Case) {
	t.Helper()
	for i, r := range rules {
		held := t.Run(r.name, func(t *testing.T) {
			t.Helper()
			err := r.check(t, newCase)
			var why inapplicable
			switch {
			case errors.As(err, &why):
				t.Skipf("does not apply: %s", string(why))
			case err != nil:
				t.Errorf("%v\nThe rule: %s", err, r.says)
			}
		})
		if !held && i < foundation {
			t.Errorf("the other %d rules were not tried", len(rules)-i-1)
			return
		}
	}
}

// Rules yields the name of each rule, and what it says.
func Rules() iter.Seq2[string, string] {
	return func(yield func(name, says string) bool) {
		for _, r := range rules {
			if !yield(r.name, r.says) {
				return
			}
		}
	}
}

// A rule is one sentence of the contract.
type rule struct {
	name string
	says string // what a Probe must do
	run  func(s *subject) error
}

// check runs the rule, in the test's goroutine: newCase may end it.
func (r rule) check(t *testing.T, newCase func(t *testing.T) Case) error {
	t.Helper()
	s := &subject{t: t, newCase: newCase, label: nextLabel()}
	defer s.close()
	return r.run(s)
}

// inapplicable is the error of a rule that says nothing about the Probe.
type inapplicable string

func (why inapplicable) Error() string { return string(why) }

// foundation is how many of the rules must hold for the others to make sense.
const foundation = 3

// rules are the contract of readiness.Probe and of what a Probe may be besides.
var rules = []rule{
	{"ready", "Wait returns once the pod is ready: with what the probe learned, else with Target.Endpoint.", ready},
	{"waits", "Wait does not return before the pod is ready.", waits},
	{"ends", "Once ctx is done Wait returns promptly.", ends},

	{"already", "A pod that was ready before Wait was called is ready: Lines are read from the first.", already},
	{"cause", "Once ctx is done Wait returns an error that wraps context.Cause(ctx), whatever that is.", cause},
	{"done", "With a ctx that is done before the call Wait returns promptly, with an error that wraps its cause.", doneBefore},
	{"late", "If the pod is ready and ctx is done, Wait returns the endpoint or an error that wraps the cause, nothing else.", late},
	{"fails", "Once the pod will never be ready Wait returns an error, without waiting for ctx's end.", fails},
	{"together", "One Probe waits for any number of pods at once, and does not take one for the other.", together},
	{"again", "After a wait, however it ended, the Probe can wait again.", again},
	{"goroutines", "Once Wait has returned, no goroutine that it started is left.", goroutines},
	{"descriptors", "Once Wait has returned, no descriptor that it opened is left.", descriptors},
	{"panic-free", "A Target that lacks Lines, PID, Endpoint or directories makes Wait fail, or wait; it never panics, and is not ready.", bare},

	{"line-slices", "A line of Target.Lines is valid until the next one: a Probe does not keep it.", lineSlices},
	{"lines-ctx", "Target.Lines is called with the ctx of Wait, or one derived from it.", linesContext},
	{"lines-error", "An error in reading Target.Lines is returned, wrapped, unless the pod is ready by another sign.", linesError},
	{"lines-end", "The end of Target.Lines without an error does not make a pod ready.", linesEnd},

	{"describes", "A Probe says what it waits for, in one line: it is a fmt.Stringer, and so is what Prepare returns.", describes},
	{"pending", "A *PendingError that Wait returns says in one line what was missing, and ctx's cause.", pending},
	{"pure-lines", "OwnsLine and Status depend on target and line alone, leave the line as it is, and may be called from any goroutine.", pureLines},
	{"owned", "A LineOwner owns the line that it waits for.", owned},
	{"verify", "Verify finds that a pod which is ready answers.", verify},
	{"parts", "Composite.Probes returns the same parts at every call, none of them nil; what is prepared of a Composite is one with as many.", parts},

	{"unprepared", "A Preparer that was not prepared makes Wait fail, or wait; it never panics.", unprepared},
	{"prepare-value", "Prepare leaves the Probe as it is.", prepareValue},
	{"prepare-twice", "Each Prepare returns a probe of its own.", prepareTwice},
	{"prepare-adds", "Prepare adds to Env, PIDEnv and Files of its Setup, and takes nothing away.", prepareAdds},
	{"prepare-ctx", "The ctx of Prepare bounds the preparing only.", prepareContext},
	{"prepare-done", "With a ctx that is done Prepare returns promptly: an error, or a probe that works.", prepareDone},
	{"prepare-bare", "Extend and Status of a Setup may be nil.", prepareBare},
	{"prepare-close", "Close and CloseFiles of the Setup clear all that Prepare has made, also if nobody ever waited.", prepareClose},
}
