package readinesstest

import (
	"iter"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// Test tests a Probe. Each rule of the contract is a subtest with the rule's
// name, and calls newCase, with its own t, for every pod that it needs; several
// of them may be there at the same time. A rule that does not apply is skipped,
// and says why. The rules "ready", "waits" and "ends" come first; if one of
// them is broken, the others are not tried.
func Test(t *testing.T, newCase func(t *testing.T) Case) {
	t.Helper()
	kit.Test(t, checks(newCase))
}

// Rules yields the name of each rule, and what it says.
func Rules() iter.Seq2[string, string] { return kit.Says() }

// checks runs a rule in the test's goroutine: newCase may end it.
func checks(newCase func(t *testing.T) Case) conformance.Check[*subject] {
	return func(t *testing.T, r conformance.Rule[*subject]) error {
		t.Helper()
		s := &subject{t: t, newCase: newCase, label: conformance.NewLabel()}
		defer s.close()
		return r.Run(s)
	}
}

// kit is the contract of readiness.Probe and of what a Probe may be besides.
var kit = conformance.Kit[*subject]{Foundation: 3, Rules: []conformance.Rule[*subject]{
	{Name: "ready", Says: "Wait returns once the pod is ready: with what the probe learned, else with Target.Endpoint.", Run: launched(ready)},
	{Name: "waits", Says: "Wait does not return before the pod is ready.", Run: launched(waits)},
	{Name: "ends", Says: "Once ctx is done Wait returns promptly.", Run: launched(ends)},

	{Name: "already", Says: "A pod that was ready before Wait was called is ready: Lines are read from the first.", Run: launched(already)},
	{Name: "cause", Says: "Once ctx is done Wait returns an error that wraps context.Cause(ctx), whatever that is.", Run: cause},
	{Name: "done", Says: "With a ctx that is done before the call Wait returns promptly, with an error that wraps its cause.", Run: launched(doneBefore)},
	{Name: "late", Says: "If the pod is ready and ctx is done, Wait returns the endpoint or an error that wraps the cause, nothing else.", Run: launched(late)},
	{Name: "fails", Says: "Once the pod will never be ready Wait returns an error, without waiting for ctx's end.", Run: launched(fails)},
	{Name: "together", Says: "One Probe waits for any number of pods at once, and does not take one for the other.", Run: together},
	{Name: "again", Says: "After a wait, however it ended, the Probe can wait again.", Run: again},
	{Name: "goroutines", Says: "Once Wait has returned, however it ended, no goroutine that it started is left.", Run: goroutines},
	{Name: "descriptors", Says: "Once Wait has returned, however it ended, no descriptor that it opened is left.", Run: launched(descriptors)},
	{Name: "mute", Says: "Once ctx is done Wait returns promptly, also if the pod accepts a connection and says nothing.", Run: launched(mutePod)},
	{Name: "memory", Says: "Memory does not grow with the lines that a pod writes.", Run: launched(constantMemory)},
	{Name: "panic-free", Says: "A Target that lacks Lines, PID, Endpoint or directories, or has odd lines, makes Wait fail, or wait; it never panics, and is not ready.", Run: bare},

	{Name: "line-slices", Says: "A line of Target.Lines is valid until the next one: a Probe does not keep it.", Run: launched(lineSlices)},
	{Name: "lines-ctx", Says: "Target.Lines is called with the ctx of Wait, or one derived from it.", Run: launched(linesContext)},
	{Name: "lines-error", Says: "An error in reading Target.Lines is returned, wrapped, unless the pod is ready by another sign.", Run: launched(linesError)},
	{Name: "lines-end", Says: "The end of Target.Lines without an error does not make a pod ready.", Run: launched(linesEnd)},
	{Name: "lines-end-cause", Says: "Where Target.Lines have ended and ctx is done later, the error of Wait wraps context.Cause(ctx).", Run: launched(linesEndCause)},
	{Name: "last-word", Says: "What a pod has written counts before the end of ctx: its last word is heard.", Run: lastWord},

	{Name: "describes", Says: "A Probe says what it waits for, in one line: it is a fmt.Stringer, and so is what Prepare returns.", Run: launched(describes)},
	{Name: "pending", Says: "A *PendingError that Wait returns says in one line what was missing, and ctx's cause.", Run: launched(pending)},
	{Name: "pure-lines", Says: "OwnsLine, Status and NearMiss depend on target and line alone, leave the line as it is, and may be called from any goroutine.", Run: launched(pureLines)},
	{Name: "owned", Says: "A LineOwner owns the line that it waits for.", Run: launched(owned)},
	{Name: "near-miss", Says: "What NearMiss returns of a line can be shown in one line.", Run: launched(nearMiss)},
	{Name: "verify", Says: "Verify finds that a pod which is ready answers, and that nobody answers where nobody is.", Run: launched(verify)},
	{Name: "peer", Says: "The error of a PeerChecker that refuses a peer wraps ErrForeignPeer.", Run: launched(peer)},
	{Name: "adopts", Says: "Adopts always returns the same: it depends on the fields of the Probe alone.", Run: launched(adopts)},
	{Name: "parts", Says: "Composite.Probes returns the same parts at every call, none of them nil; what is prepared of a Composite is one with as many.", Run: launched(parts)},

	{Name: "unprepared", Says: "A Preparer that was not prepared makes Wait fail, or wait; it never panics.", Run: toPrepare(unprepared)},
	{Name: "prepare-value", Says: "Prepare leaves the Probe as it is.", Run: toPrepare(prepareValue)},
	{Name: "prepare-twice", Says: "Each Prepare returns a probe of its own.", Run: toPrepare(prepareTwice)},
	{Name: "prepare-adds", Says: "Prepare adds to Env, PIDEnv and Files of its Setup, and takes nothing away.", Run: toPrepare(prepareAdds)},
	{Name: "prepare-ctx", Says: "The ctx of Prepare bounds the preparing only.", Run: toPrepare(prepareContext)},
	{Name: "prepare-done", Says: "With a ctx that is done Prepare returns promptly: an error, or a probe that works.", Run: toPrepare(prepareDone)},
	{Name: "prepare-bare", Says: "Extend and Status of a Setup may be nil.", Run: toPrepare(prepareBare)},
	{Name: "prepare-close", Says: "Close and CloseFiles of the Setup clear all that Prepare has made, also if nobody ever waited, or Prepare has failed.", Run: toPrepare(prepareClose)},
}}
