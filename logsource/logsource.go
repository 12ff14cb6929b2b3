package logsource

import (
	"context"
	"io"
	"os"

	"github.com/google/uuid"
)

// A Launch is what a [Source] is told of the launch whose log it opens.
type Launch struct {
	Name string    // the pod's
	Dir  string    // the pod's runtime directory; it exists, absolute
	ID   uuid.UUID // of this launch, never the same twice

	// Root is Dir, open. A Source that keeps its log there opens it relative to
	// Root: then it does not matter what anybody puts in the place of Dir
	// meanwhile. A Source that keeps its log elsewhere has no use for Root: one that
	// passes the Launch on with another Dir sets it to nil. It is the caller's, and
	// good until Open returns. Nil means that nobody has opened Dir.
	Root *os.Root
}

// A Source provides the log of each launch.
type Source interface {
	// Open prepares the log of one launch, before the process starts. ctx
	// bounds the opening only.
	//
	// The log of a launch holds nothing of an earlier one. Open may be called
	// from any number of goroutines. When it fails it leaves nothing open.
	Open(ctx context.Context, launch Launch) (*Log, error)
}

// SourceFunc lets an ordinary function be a [Source].
type SourceFunc func(ctx context.Context, launch Launch) (*Log, error)

// Open calls f.
func (f SourceFunc) Open(ctx context.Context, launch Launch) (*Log, error) { return f(ctx, launch) }

// A Skipper is a reader that [Log.Follow] returned and that can leave out what
// is old. It is optional. The last lines of a log of gigabytes are read in no
// time with it.
type Skipper interface {
	// SkipToLast leaves out all but the last n bytes of what is there now. It is
	// called before the first Read.
	SkipToLast(n int64) error
}

// A Log is one launch's output: where the process writes, and how it is read
// back.
type Log struct {
	// Sink is what the process gets as its stderr. Nil if whoever starts the
	// process delivers its output by other means. Whoever called Open closes
	// it, once the process has its own.
	Sink *os.File

	// Path is where a person finds the log later. Empty if nowhere. If Sink is a
	// regular file, Path leads to that one.
	Path string

	// Follow reads the launch's output from its first byte; any number of
	// readers, each on its own, at a place of its own. Read blocks until there is more. Once ctx is
	// done, Read returns what was written by then, within the source's own
	// bound, then context.Cause(ctx). A source whose output has an end of its
	// own (a pipe) returns io.EOF there. The caller closes every reader.
	// Required.
	Follow func(ctx context.Context) (io.ReadCloser, error)

	// Close frees what Open holds for the sake of later calls of Follow. It
	// leaves Sink and the readers that Follow returned alone. Whoever called
	// Open calls it once; a launch whose pod is ready does so in a goroutine that
	// it does not wait for. Nil if there is nothing to free.
	Close func() error
}
