package logsource

import (
	"context"
	"io"
	"os"

	"github.com/google/uuid"
)

// A Launch is what a [Source] learns about the launch whose log it opens.
type Launch struct {
	Name string    // the pod's
	Dir  string    // the pod's runtime directory; it exists, absolute
	ID   uuid.UUID // of this launch, never the same twice

	// Root is Dir, open. A Source that keeps its log there opens it relative to
	// Root: then it does not matter what anybody puts in the place of Dir
	// meanwhile. A Source that keeps its log elsewhere has no use for Root; if it
	// passes the Launch on with another Dir, it sets Root to nil. The caller owns
	// Root, which is good until Open returns. Nil means that nobody has opened Dir.
	Root *os.Root
}

// A Source provides the log of each launch.
type Source interface {
	// Open prepares the log of one launch, before the process starts. ctx
	// bounds the opening only.
	//
	// The log of a launch holds nothing of an earlier launch. Any number of
	// goroutines may call Open. When it fails it leaves nothing open.
	Open(ctx context.Context, launch Launch) (*Log, error)
}

// SourceFunc lets an ordinary function be a [Source].
type SourceFunc func(ctx context.Context, launch Launch) (*Log, error)

// Open calls f.
func (f SourceFunc) Open(ctx context.Context, launch Launch) (*Log, error) { return f(ctx, launch) }

// A Skipper is a reader that [Log.Follow] returned and that can leave out what
// is old. It is optional. With it the last lines of a log of gigabytes are read
// in no time.
type Skipper interface {
	// SkipToLast leaves out all except the last n bytes of what is there now. The
	// caller calls it before the first Read.
	SkipToLast(n int64) error
}

// A Log is one launch's output: where the process writes, and how it is read
// back.
type Log struct {
	// Sink is what the process gets as its stderr. Nil if the code that starts the
	// process delivers its output by other means. The caller of Open closes it, once
	// the process has its own copy.
	Sink *os.File

	// Path is where a person finds the log later: the absolute path of a regular file,
	// and no symbolic link to one, which holds the output as it is, so not compressed.
	// Empty if nowhere. If Sink is a regular file, Path leads to that one.
	Path string

	// Follow reads the launch's output from its first byte; any number of
	// readers, each on its own, at a place of its own. Read blocks until there is
	// more. Once ctx is done, Read returns what was written by then, within the
	// source's own bound, then context.Cause(ctx). A source whose output has an end
	// of its own (a pipe) returns io.EOF there. The caller closes every reader.
	// Required.
	//
	// A reader may be a [Skipper], a [Lossy], and an [io.Seeker] whose offsets are
	// places in the log, the same for every reader of it. The caller calls Seek between
	// two calls of Read. Seek fails for a place that is not in the log. The place of a
	// reader without Seek is the number of bytes that it has returned.
	Follow func(ctx context.Context) (io.ReadCloser, error)

	// Tend begins what has to be done for the log while the pod writes, such as freeing
	// what is old ([File.Keep]). The launcher calls it once, when the pod is ready and
	// before Close, and then calls run in a goroutine. Until then the probe may read the
	// log from its first byte, with no help from Tend. run does the work, also after Close,
	// and returns nil once ctx is done. If it returns before that, it returns an error, and the work stops. Nil if
	// there is nothing to do.
	Tend func(ctx context.Context) (run func() error, err error)

	// Close frees what Open holds for the sake of later calls of Follow. It leaves
	// Sink, the run of Tend and the readers that Follow returned alone. The caller of
	// Open calls it once; a launch whose pod is ready calls it in a goroutine that it
	// does not wait for. Nil if there is nothing to free.
	Close func() error
}
