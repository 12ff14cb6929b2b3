package launcher

import (
	"errors"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// lastingJob returns pod's process as an inJob, if it is one, and is to last.
func (pod *Pod) lastingJob() (job inJob, is bool) {
	c, ours := pod.proc.(child)
	if !ours || pod.lasts == WithParent {
		return nil, false
	}
	return jobOf(c.Process)
}

// shareJob is Share for pod, if it is to last. It is called before others can be given
// the pod.
func (pod *Pod) shareJob() error {
	job, is := pod.lastingJob()
	if !is {
		return nil
	}
	if err := job.Share(); !errors.Is(err, osproc.ErrGone) {
		return err
	}
	return nil
}

// outlive is Last for pod, if it is to last. It is called once the pod is recorded as ready,
// so that a launcher that dies before leaves nobody.
func (pod *Pod) outlive() {
	job, is := pod.lastingJob()
	if !is {
		return
	}
	if err := job.Last(); err != nil {
		pod.log.Error("the pod ends with this program", "error", err)
	}
}

// knowJob tells process, which is the one of r, how its job is found.
func knowJob(process Process, r ownership.Record) error {
	c, ours := process.(child)
	if !ours {
		return nil
	}
	if job, is := jobOf(c.Process); is {
		return job.Know(launchVariable+"="+r.Launch.String(), Lifetime(r.Lifetime) != WithParent)
	}
	return nil
}
