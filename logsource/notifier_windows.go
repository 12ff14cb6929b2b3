package logsource

import (
	"errors"
	"os"
)

// A notifier is not to be had on Windows: there a reader polls.
//
// ReadDirectoryChangesW reports what NTFS writes into the entry of a directory. Of a file
// that is open it writes the size there when the writer closes or flushes it, and a pod does
// neither ("Last access and write times" in the page of GetFileTime; FILE_NOTIFY_CHANGE_SIZE:
// "when the file is written to the disk"). So a follower has to poll anyway, and Wine 8,
// which reports every write at once, cannot show how late an event comes. A watch also takes
// a thread, and a handle of the directory that keeps the name of that after it is removed.
//
// What polling costs is bounded: after a silence a reader looks again within as long as the
// silence has lasted, and never later than lastPoll. TestPollingIsInProportion measures it.
type notifier struct{}

// errNoNotifier says why.
var errNoNotifier = errors.New("changes of an open file are not reported in time")

func newNotifier() (*notifier, error) { return nil, errNoNotifier }

func watchPaths(*os.File) []string { return nil }

func (*notifier) add(*subscriber) error { return errNoNotifier }
func (*notifier) remove(*subscriber)    {}
func (*notifier) close()                {}
