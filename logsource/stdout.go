package logsource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// StdoutName is the name of the file, in a pod's runtime directory, that holds the
// pod's standard output, where that is kept apart from the log.
const StdoutName = "stdout.log"

// A StdoutOpener is a [Source] that can keep the standard output of a launch apart from
// the log. It is optional; [OpenStdout] says what happens without it.
type StdoutOpener interface {
	// OpenStdout is [Source.Open] for the standard output: under the same contract, it
	// prepares where that goes, and how it is read back. It is called after Open, for
	// the same launch. What is written to the one is not in the other.
	//
	// The error wraps [errors.ErrUnsupported] if the source cannot tell the two apart.
	OpenStdout(ctx context.Context, launch Launch) (*Log, error)
}

// OpenStdout prepares a place for the standard output of a launch, apart from log, which
// s has opened for the same launch. If s is no [StdoutOpener], and log has a Sink, that is
// a [File] called [StdoutName] in the runtime directory. If log has none, the process's
// output is delivered by other means, and the error wraps [errors.ErrUnsupported].
func OpenStdout(ctx context.Context, s Source, launch Launch, log *Log) (*Log, error) {
	opener, ok := s.(StdoutOpener)
	switch {
	case !ok && log.Sink == nil:
		return nil, fmt.Errorf("keep the standard output apart from a log that is not written here, and whose source is no logsource.StdoutOpener: %w", errors.ErrUnsupported)
	case !ok:
		opener = File{}
		if filepath.Dir(log.Path) == filepath.Clean(launch.Dir) {
			opener = File{Name: filepath.Base(log.Path)}
		}
	}
	stdout, err := opener.OpenStdout(ctx, launch)
	switch {
	case err != nil:
		return nil, err
	case stdout == nil:
		return nil, errors.New("the log source returned neither a standard output nor an error")
	}
	return stdout, nil
}

var _ StdoutOpener = File{}

// OpenStdout implements [StdoutOpener]. The standard output has a file called
// [StdoutName], which is in all else like the log. A File with that name cannot do it.
func (f File) OpenStdout(ctx context.Context, launch Launch) (*Log, error) {
	if f.Name == StdoutName || f.Name == StdoutName+kept {
		return nil, fmt.Errorf("log file name %q: the standard output needs it; choose another", f.Name)
	}
	f.Name = StdoutName
	return f.Open(ctx, launch)
}
