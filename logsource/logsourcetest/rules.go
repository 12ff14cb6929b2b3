package logsourcetest

import (
	"slices"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// kit is the contract of logsource.Source and logsource.Log, a sentence each
// rule. Those about one thing do as little as they can about the others, so
// that one fault breaks one rule. Where readers share their place, any rule with two of
// them waits for bytes that do not come: so that is found out first.
var kit = conformance.Kit[*subject]{Foundation: foundation, Rules: slices.Concat(ofEachLog, ofOptions)}

// ofOptions are the rules for what a Source may be besides.
var ofOptions = []conformance.Rule[*subject]{
	{Name: "stdout-apart", Says: "The standard output of a StdoutOpener is apart from the log: neither holds what was written to the other.", Run: withLog(stdoutApart)},
	{Name: "stdout", Says: "The standard output of a StdoutOpener keeps the contract of the log: the rules before this one hold for it too.", Run: stdout},

	{Name: "later", Says: "A Refollower reads a log later, from its first byte: what is known of the launch is enough.", Run: withLog(later)},
	{Name: "later-now", Says: "A Refollower reads a log later from its present end: what is written after the call, and that alone.", Run: withLog(laterNow)},
	{Name: "later-own", Says: "A Refollower never takes a log for that of another launch of the name: it reads the right one, or its error wraps fs.ErrNotExist.", Run: laterOwn},
	{Name: "later-unknown", Says: "Where there is no such log the error of a Refollower wraps fs.ErrNotExist.", Run: withLog(laterUnknown)},
	{Name: "later-end", Says: "Once its context is done, a reader of a Refollower returns what was written by then, and then context.Cause(ctx).", Run: withLog(laterEnd)},
	{Name: "later-frees", Says: "A reader of a Refollower that was closed leaves nothing behind, while its context is not done; nor does a Refollow that fails.", Run: withLog(laterFrees)},
}
