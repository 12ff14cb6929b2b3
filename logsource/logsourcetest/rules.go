package logsourcetest

// rules are the contract of logsource.Source and logsource.Log, a sentence
// each. Those about one thing do as little as they can about the others, so
// that one fault breaks one rule.
var rules = []rule{
	{"opens", "Open prepares a log: what is written to it is read by Follow, which is required.", opens},
	{"open-context", "The context given to Open bounds the opening only: the log and its readers outlive it.", openContext},
	{"open-cancelled", "An Open that ends because its context is done returns an error that wraps context.Cause(ctx).", openCancelled},
	{"open-fails-clean", "When Open fails it leaves nothing open.", openFailsClean},
	{"open-concurrent", "Open may be called from any number of goroutines.", openConcurrent},
	{"fresh", "The log of a launch holds nothing of an earlier one, also while the earlier pod still writes.", fresh},
	{"apart", "A Source has no state of a launch: of two logs that are open at once each is its own, whatever their pods are called.", apart},

	{"first-byte", "Follow reads from the first byte, however late it is called.", firstByte},
	{"any-bytes", "Follow reads the bytes that were written, whatever they are.", anyBytes},
	{"large-write", "What is written at once is read whole and in order, however much it is.", largeWrite},
	{"unread", "A pod that writes is not held up because nobody reads.", unread},
	{"readers", "Any number of readers read the log, each on its own.", readers},
	{"reader-context", "The end of one reader's context is not the end of the others.", readerContext},
	{"reader-close", "Closing one reader leaves the others alone.", readerClose},
	{"reader-close-frees", "A reader that was closed leaves nothing behind, while the log is open and its context is not done.", readerCloseFrees},
	{"memory", "Memory does not grow with what is read, nor with output that has a Path; output without one may be held once.", memory},

	{"waits", "Read blocks until there is more.", waits},
	{"end-rest", "Once its context is done, Read returns all that was written by then before its error.", endRest},
	{"end-cause", "The error of Read is context.Cause(ctx) once ctx is done, and stays that.", endCause},
	{"end-wakes", "A Read that waits returns when its context is done.", endWakes},
	{"end-late", "Follow with a context that is done returns a reader of what was written by then.", endLate},
	{"end-final", "Once its context is done, a reader ends, even if the pod writes on for ever.", endFinal},
	{"output-end", "When the output has an end of its own, Read returns io.EOF there; when it has none, Read waits for its context.", outputEnd},
	{"sink-closed", "The Sink is closed by whoever opened the log: what was written is read before and after.", sinkClosed},

	{"close-readers", "Log.Close leaves the readers alone.", closeReaders},
	{"close-sink", "Log.Close leaves the Sink alone.", closeSink},
	{"close-frees", "Log.Close frees what Open holds; with the Sink and the readers closed nothing is left.", closeFrees},
	{"path", "Path is where a person finds the log later: empty, or the absolute path of a file that holds the output.", path},
}
