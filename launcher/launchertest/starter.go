package launchertest

import (
	"cmp"
	"errors"
	"iter"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// TestStarter tests a Starter, and the Process that it starts. Each rule of the
// contract is a subtest with the rule's name, and calls newCase once, with its
// own t. A rule that does not apply is skipped, and says why. If not even the
// first one holds, that a process can be started and ended, the others are not
// tried.
func TestStarter(t *testing.T, newCase func(t *testing.T) StarterCase) {
	t.Helper()
	starterKit.Test(t, checkStarter(newCase))
}

// StarterRules yields the name of each rule for a Starter, and what it says.
func StarterRules() iter.Seq2[string, string] { return starterKit.Says() }

func checkStarter(newCase func(t *testing.T) StarterCase) conformance.Check[*starting] {
	return func(t *testing.T, r conformance.Rule[*starting]) error {
		s := &starting{StarterCase: newCase(t), dir: t.TempDir()}
		if s.Starter == nil {
			return errors.New("the Case is not complete: Starter is required")
		}
		if s.Shell == "" {
			s.Shell = shell
		}
		err := s.calls.Guard("it", func() error { return r.Run(s) })
		return cmp.Or(err, s.calls.Guard("it", s.close))
	}
}

// starterKit is the contract of launcher.Starter and launcher.Process. The rules without
// needs hold for every kind of process.
var starterKit = conformance.Kit[*starting]{Rules: []conformance.Rule[*starting]{
	{Name: "starts", Says: "Start returns a process, and SIGKILL ends it.", Run: withProcess(starts)},

	{Name: "wait-runs", Says: "Wait does not return before the process has ended, or ctx is done.", Run: withProcess(waitRuns)},
	{Name: "wait-ctx", Says: "Once ctx is done Wait returns an error that wraps its cause.", Run: withProcess(waitContext)},
	{Name: "wait-looks", Says: "With a ctx that is done Wait looks: it returns how the process ended, if it has.", Run: waitLooks},
	{Name: "wait-same", Says: "Wait returns the same at every call, and to every goroutine.", Run: waitSame},
	{Name: "wait-spares", Says: "Wait does not end the process, also when its ctx is done.", Run: withProcess(waitSpares)},
	{Name: "signal-gone", Says: "Signal returns os.ErrProcessDone once there is nobody left to get it.", Run: signalGone},
	{Name: "signal-ctx", Says: "Signal does not wait for the end of the process: once its ctx is done it returns promptly, whatever another call does.", Run: signalReturns},
	{Name: "start-ctx", Says: "The ctx of Start bounds the starting only: the process outlives it.", Run: startContext},
	{Name: "start-done", Says: "With a ctx that is done Start returns promptly: a process, or an error that wraps the cause.", Run: startDone},
	{Name: "request", Says: "Start does not change the request, nor what is behind its slices.", Run: startKeepsRequest},
	{Name: "files-open", Says: "Start does not close the files of the request.", Run: startKeepsFiles},
	{Name: "leaves-nothing", Says: "Once a process has ended, and was reaped, no descriptor is left.", Run: startLeavesNothing},

	{Name: "find", Says: "A Finder finds the process of a launch as long as it runs, and returns os.ErrProcessDone otherwise.", Run: findsAgain},
	{Name: "snapshot", Says: "The snapshot of a Snapshotter finds a process, also one that was started after its question.", Run: findsInSnapshot},

	{Name: "killed", Says: "Wait tells the signal that has ended the process.", Run: needs(Status, killed)},
	{Name: "exit-code", Says: "Wait tells the exit status.", Run: needs(Programs|Status, exitCode)},
	{Name: "exit-signal", Says: "Wait tells the signal with which the process has ended itself.", Run: needs(Programs|Status, exitSignal)},
	{Name: "signal-kind", Says: "The process gets the signal that was sent.", Run: needs(Programs|Output|Files|Status, signalKind)},
	{Name: "signal-group", Says: "A signal reaches the whole group.", Run: needs(Programs|Output|Files|Groups, signalGroup)},
	{Name: "signal-over", Says: "After Reap or Release Signal signals nobody: the number may be another's by then.", Run: needs(Programs|Output|Files|Groups, signalOver)},
	{Name: "reap", Says: "After Reap nothing is left of the process.", Run: needs(Programs, reap)},
	{Name: "reap-group", Says: "If SIGKILL was sent, Reap returns without an error only when the whole group is gone.", Run: needs(Programs|Output|Files|Groups, reapWaits)},
	{Name: "release", Says: "A process that was released goes on.", Run: needs(Programs|Output|Files, release)},

	{Name: "args", Says: "The program gets the arguments in order, and as they are.", Run: needs(Programs|Output, argsArrive)},
	{Name: "env", Says: "The program gets Command.Env; of several values of a variable the last.", Run: needs(Programs|Output, envArrives)},
	{Name: "env-alone", Says: "The program gets no variable that is not in Command.Env.", Run: needs(Programs|Output, envAlone)},
	{Name: "env-nil", Says: "If Command.Env is nil the program gets the caller's.", Run: needs(Programs|Output, envInherited)},
	{Name: "workdir", Says: "The program runs in WorkDir.", Run: needs(Programs|Output, workDir)},
	{Name: "stdin", Says: "If Stdin is nil there is nothing to read on stdin, and it is open.", Run: needs(Programs|Output, stdinIsNull)},
	{Name: "stdin-file", Says: "A Stdin that is not nil is the program's; a Starter that cannot do that returns an error.", Run: needs(Programs|Output, stdinArrives)},
	{Name: "output", Says: "Stdout and Stderr are the program's, each its own.", Run: needs(Programs|Output, output)},
	{Name: "output-nil", Says: "A Stdout or Stderr that is nil is open, and takes what is written.", Run: needs(Programs|Status, outputNil)},
	{Name: "files", Says: "Files are the program's from descriptor 3; a nil one is closed.", Run: needs(Programs|Output|Files, filesArrive)},
	{Name: "files-only", Says: "The program gets no other descriptor of this process.", Run: needs(Programs|Output, filesOnly)},
	{Name: "pid", Says: "PID is the process's id, or 0.", Run: needs(Programs|Output, pid)},
	{Name: "pid-env", Says: "Each of PIDEnv has the process's id as its value; a Starter that cannot do that returns an error.", Run: needs(Programs|Output, pidEnv)},
	{Name: "session", Says: "The process leads a session and a group of its own.", Run: needs(Programs|Sessions, withProcess(ownSession))},
	{Name: "concurrent", Says: "Start may be called from any number of goroutines.", Run: needs(Programs|Output, startsAtOnce)},
	{Name: "fails", Says: "A program that cannot be started is an error of Start.", Run: needs(Programs|StartErrors, fails)},
	{Name: "fails-clean", Says: "When Start fails it leaves nothing open, and the files of the request as they are.", Run: needs(Programs|StartErrors, failsClean)},
}}
