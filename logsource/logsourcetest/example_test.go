package logsourcetest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/readiness"
)

// PerLaunch is a Source of one's own: a file for each launch, called after its
// ID, so that none is ever replaced.
type PerLaunch struct{}

func (PerLaunch) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	return logsource.File{Name: launch.ID.String() + ".log"}.Open(ctx, launch)
}

func TestPerLaunch(t *testing.T) {
	t.Parallel()
	logsourcetest.Test(t, func(*testing.T) logsource.Source { return PerLaunch{} })
}

// A test of one's own Source is one call. PerLaunch opens a [logsource.File]
// that is called after the launch; TestPerLaunch is in its package's tests.
func ExampleTest() {
	var TestPerLaunch = func(t *testing.T) {
		logsourcetest.Test(t, func(t *testing.T) logsource.Source {
			return PerLaunch{}
		})
	}
	fmt.Printf("%T\n", TestPerLaunch)
	// Output: func(*testing.T)
}

// What a Source is tested for.
func ExampleRules() {
	for name, says := range logsourcetest.Rules() {
		fmt.Printf("%s: %s\n", name, says)
	}
	// Output:
	// opens: Open prepares a log: what is written to it is read by Follow, which is required.
	// offset: Each reader has a place of its own: what one has read, the others read too.
	// open-context: The context given to Open bounds the opening only: the log and its readers outlive it.
	// open-cancelled: An Open that ends because its context is done returns an error that wraps context.Cause(ctx).
	// open-fails-clean: When Open fails it leaves nothing open.
	// open-concurrent: Open may be called from any number of goroutines.
	// fresh: The log of a launch holds nothing of an earlier one, also while the earlier pod still writes.
	// apart: A Source has no state of a launch: two logs that are open at once do not mix, even if their pods have one name.
	// first-byte: Follow reads from the first byte, however late it is called.
	// any-bytes: Follow reads any bytes that were written.
	// large-write: What is written at once is read whole and in order, however much it is.
	// unread: A pod that writes is not held up because nobody reads.
	// readers: Any number of readers read the log, each on its own.
	// reader-context: The end of one reader's context is not the end of the others.
	// reader-close: Closing one reader leaves the others alone.
	// reader-close-frees: A reader that was closed leaves nothing behind, while the log is open, whether its context is done or not.
	// memory: Memory does not grow with what is read, nor with output that has a Path; output without one may be held once.
	// waits: Read blocks until there is more.
	// end-rest: Once its context is done, Read returns all that was written by then before its error.
	// end-cause: The error of Read is context.Cause(ctx) once ctx is done, and stays that.
	// end-wakes: A Read that waits returns when its context is done.
	// end-late: Follow with a context that is done returns a reader of what was written by then.
	// end-final: Once its context is done, a reader ends, even if the pod writes on for ever.
	// output-end: When the output has an end of its own, Read returns io.EOF there; when it has none, Read waits for its context.
	// sink-closed: The caller of Open closes the Sink: what was written is read before and after.
	// close-readers: Log.Close leaves the readers alone.
	// close-sink: Log.Close leaves the Sink alone.
	// close-frees: Log.Close frees what Open holds; with the Sink and the readers closed nothing is left.
	// path: Path is where a person finds the log later: empty, or the absolute path of a regular file that holds the output as it is; it is the Sink's, if that is a regular file.
	// root: A log in Launch.Dir is opened relative to Launch.Root, if that is set; Open leaves Root open, and Root is not needed later.
	// seek: A reader that is an io.Seeker tells its place in the log, goes to another, and fails for a place that is not in it.
	// skip: A reader that is a Skipper leaves out all except the last bytes, as many as it is asked for; it leaves out nothing of a log that has fewer.
	// lost: A reader that is a Lossy counts what it left out: that and what it returned are all that was written.
	// tend: What Log.Tend returns, if there is one, does its work after Log.Close too, and ends without an error once its context is done.
	// stdout-apart: The standard output of a StdoutOpener is apart from the log: neither holds what was written to the other.
	// stdout: The standard output of a StdoutOpener keeps the contract of the log: the rules before this one hold for it too.
	// later: A Refollower reads a log later, from its first byte: what is known of the launch is enough.
	// later-now: A Refollower reads a log later from its present end: what is written after the call, and that alone.
	// later-own: A Refollower never takes a log for that of another launch of the name: it reads the right one, or its error wraps fs.ErrNotExist.
	// later-unknown: Where there is no such log the error of a Refollower wraps fs.ErrNotExist.
	// later-end: Once its context is done, a reader of a Refollower returns what was written by then, and then context.Cause(ctx).
	// later-frees: A reader of a Refollower that was closed leaves nothing behind, while its context is not done; nor does a Refollow that fails.
	// surroundings: What is tested leaves alone what all of a program has in common: its environment and its working directory, and on Linux its umask, its limits, its oom_score_adj and which signals it ignores.
}

// A probe is tested without a pod: the test writes what the pod would.
func ExampleOutput() {
	var pod logsourcetest.Output
	fmt.Fprintln(&pod, "reading the configuration")
	fmt.Fprint(&pod, "INSOMNIA-READY\tweb\t/run/web/sock\n")

	target := readiness.Target{Name: "web", RuntimeDir: "/run/web", Lines: pod.Lines}
	endpoint, err := readiness.ReadyLine{}.Wait(context.Background(), target)
	fmt.Println(endpoint, err)
	// Output: unix:/run/web/sock <nil>
}

// A launcher's log in memory: the test plays the process and delivers its output.
func ExampleMemory() {
	ctx := context.Background()
	source := new(logsourcetest.Memory)
	launch := logsource.Launch{Name: "web", Dir: "/run/web", ID: uuid.New()}
	log, err := source.Open(ctx, launch)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()

	process, err := source.Deliver(launch)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(process, "listening\nabout to")
	process.Close()

	r, err := log.Follow(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for line, err := range logsource.Lines(r) {
		fmt.Printf("%q, %v\n", line, err)
	}
	// Output:
	// "listening", <nil>
	// "about to", EOF
}
