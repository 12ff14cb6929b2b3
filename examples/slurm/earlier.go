package slurm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// noteSuffix is what the name of a note ends in. A note is an empty file in the pod's
// runtime directory, which is called after the job of one launch. It is there before the
// job is, and until the job is known to be gone. So it names the jobs that nobody has
// cancelled, because their launcher died.
const noteSuffix = ".slurm"

func notePath(runtimeDir, job string) string { return filepath.Join(runtimeDir, job+noteSuffix) }

// note writes down that there may be a job from now on.
func note(runtimeDir, job string) error {
	if err := os.WriteFile(notePath(runtimeDir, job), nil, 0o600); err != nil {
		return fmt.Errorf("note the job, so that it can be cancelled if this launcher dies: %w", err)
	}
	return nil
}

// noted returns the jobs that have notes.
func noted(runtimeDir string) (jobs []string, err error) {
	entries, err := os.ReadDir(runtimeDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for jobs of earlier launches: %w", err)
	}
	for _, entry := range entries {
		job, ok := strings.CutSuffix(entry.Name(), noteSuffix)
		launch, ours := strings.CutPrefix(job, jobPrefix)
		if id, err := uuid.Parse(launch); ok && ours && err == nil && JobName(id) == job {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// cancelEarlier cancels the jobs that earlier launches of the pod may have left. The
// launcher starts a pod only if no other pod has its name, so nobody wants them.
func (t tools) cancelEarlier(ctx context.Context, runtimeDir string) error {
	jobs, err := noted(runtimeDir)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if err := t.cancel(ctx, job); err != nil {
			return fmt.Errorf("an earlier launch has left a job, which may get a node: %w", err)
		}
		os.Remove(notePath(runtimeDir, job)) // if it stays, the next launch does this again
	}
	return nil
}
