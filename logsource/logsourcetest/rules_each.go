package logsourcetest

import "github.com/podlaunch/podlaunch/runtimedir/conformance"

// foundation is how many of the first rules must hold for the others to make sense.
const foundation = 2

// ofEachLog are the rules for the log, and for a standard output that is apart from it.
var ofEachLog = []conformance.Rule[*subject]{
	{Name: "opens", Says: "Open prepares a log: what is written to it is read by Follow, which is required.", Run: withLog(opens)},
	{Name: "offset", Says: "Each reader has a place of its own: what one has read, the others read too.", Run: withLog(offset)},
	{Name: "open-context", Says: "The context given to Open bounds the opening only: the log and its readers outlive it.", Run: openContext},
	{Name: "open-cancelled", Says: "An Open that ends because its context is done returns an error that wraps context.Cause(ctx).", Run: openCancelled},
	{Name: "open-fails-clean", Says: "When Open fails it leaves nothing open.", Run: openFailsClean},
	{Name: "open-concurrent", Says: "Open may be called from any number of goroutines.", Run: openConcurrent},
	{Name: "fresh", Says: "The log of a launch holds nothing of an earlier one, also while the earlier pod still writes.", Run: fresh},
	{Name: "apart", Says: "A Source has no state of a launch: two logs that are open at once do not mix, even if their pods have one name.", Run: apart},

	{Name: "first-byte", Says: "Follow reads from the first byte, however late it is called.", Run: withLog(firstByte)},
	{Name: "any-bytes", Says: "Follow reads any bytes that were written.", Run: withLog(anyBytes)},
	{Name: "large-write", Says: "What is written at once is read whole and in order, however much it is.", Run: withLog(largeWrite)},
	{Name: "unread", Says: "A pod that writes is not held up because nobody reads.", Run: withLog(unread)},
	{Name: "readers", Says: "Any number of readers read the log, each on its own.", Run: withLog(readers)},
	{Name: "reader-context", Says: "The end of one reader's context is not the end of the others.", Run: readerContext},
	{Name: "reader-close", Says: "Closing one reader leaves the others alone.", Run: readerClose},
	{Name: "reader-close-frees", Says: "A reader that was closed leaves nothing behind, while the log is open, whether its context is done or not.", Run: withLog(readerCloseFrees)},
	{Name: "memory", Says: "Memory does not grow with what is read, nor with output that has a Path; output without one may be held once.", Run: memory},

	{Name: "waits", Says: "Read blocks until there is more.", Run: withLog(waits)},
	{Name: "end-rest", Says: "Once its context is done, Read returns all that was written by then before its error.", Run: withLog(endRest)},
	{Name: "end-cause", Says: "The error of Read is context.Cause(ctx) once ctx is done, and stays that.", Run: endCause},
	{Name: "end-wakes", Says: "A Read that waits returns when its context is done.", Run: endWakes},
	{Name: "end-late", Says: "Follow with a context that is done returns a reader of what was written by then.", Run: withLog(endLate)},
	{Name: "end-final", Says: "Once its context is done, a reader ends, even if the pod writes on for ever.", Run: withLog(endFinal)},
	{Name: "output-end", Says: "When the output has an end of its own, Read returns io.EOF there; when it has none, Read waits for its context.", Run: withLog(outputEnd)},
	{Name: "sink-closed", Says: "The caller of Open closes the Sink: what was written is read before and after.", Run: withLog(sinkClosed)},

	{Name: "close-readers", Says: "Log.Close leaves the readers alone.", Run: withLog(closeReaders)},
	{Name: "close-sink", Says: "Log.Close leaves the Sink alone.", Run: withLog(closeSink)},
	{Name: "close-frees", Says: "Log.Close frees what Open holds; with the Sink and the readers closed nothing is left.", Run: closeFrees},
	{Name: "path", Says: "Path is where a person finds the log later: empty, or the absolute path of a regular file that holds the output as it is; it is the Sink's, if that is a regular file.", Run: path},
	{Name: "root", Says: "A log in Launch.Dir is opened relative to Launch.Root, if that is set; Open leaves Root open, and Root is not needed later.", Run: root},

	{Name: "seek", Says: "A reader that is an io.Seeker tells its place in the log, goes to another, and fails for a place that is not in it.", Run: withLog(seeks)},
	{Name: "skip", Says: "A reader that is a Skipper leaves out all except the last bytes, as many as it is asked for; it leaves out nothing of a log that has fewer.", Run: withLog(skips)},
	{Name: "lost", Says: "A reader that is a Lossy counts what it left out: that and what it returned are all that was written.", Run: withLog(losses)},
	{Name: "tend", Says: "What Log.Tend returns, if there is one, does its work after Log.Close too, and ends without an error once its context is done.", Run: withLog(tended)},
}
