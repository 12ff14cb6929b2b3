package launcher

import (
	"errors"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// An inJob is a process that is in a job: one of Windows. It ends with this program until
// Last is called.
type inJob interface {
	// Share has the name of the job last as long as the process.
	Share() error

	// Last has the process, and who belongs to it, outlive this program.
	Last() error

	// Know tells an adopted process its mark, and whether it lasts.
	Know(mark string, lasts bool) error
}

// jobOf returns p as an inJob, if it is one.
func jobOf(p *osproc.Process) (inJob, bool) {
	job, is := any(p).(inJob)
	return job, is
}

// outliveAtOnce has a process outlive this program before it is a pod's: a Starter that
// wraps Local may hide it.
func outliveAtOnce(p *osproc.Process) error {
	job, is := jobOf(p)
	if !is {
		return nil
	}
	if err := job.Share(); err != nil && !errors.Is(err, osproc.ErrGone) {
		return err
	}
	return job.Last()
}
