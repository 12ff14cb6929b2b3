package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func newPrune(c *cli) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what is kept of pods that are gone",
		Long: `Remove all that is kept of each pod that is gone, as podctl rm does: also of one
that podctl has launched and that did not become ready. A pod that runs stays.
A directory that podctl does not know to be a pod's stays. A pod that may run
stays, and podctl says so: podctl stop or podctl rm ends it.

Who launches a pod of such a name in the same moment may find it stopped.`,
		Example: `  podctl prune --dry-run
  podctl prune`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addFlags(cmd, []option{{"dry-run", "n", &dry, "say what would be removed, and remove nothing", nil}})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := c.launcher()
		if err != nil {
			return err
		}
		names, unknown := c.gone(cmd.Context(), &l)
		err = each(cmd.Context(), names, func(ctx context.Context, name string) error {
			if dry {
				return c.sayEnd(ending{Name: name, Outcome: "would be removed"}, nil)
			}
			if s, err := c.find(ctx, name); err == nil && s.State != launcher.StateGone {
				return nil // somebody has launched it meanwhile
			}
			return c.remove(ctx, &l, name)
		})
		return together([]error{unknown, err})
	}
	return cmd
}

// gone returns the names of all pods that are gone: those that are listed, and those
// whose launch by podctl has failed and that nothing is left of but a directory. It warns
// of those that are abandoned. The error is about pods that cannot be told.
func (c *cli) gone(ctx context.Context, l *launcher.Launcher) (names []string, err error) {
	var known []string // all that are listed
	var errs []error
	for s, err := range allPods(ctx, l) {
		switch {
		case err != nil && s.Name == "":
			return nil, err
		case err != nil:
			errs = append(errs, &podError{s.Name, "was left alone: " + errorMessage(err), err})
		case s.State == stateAbandoned:
			c.warn("%s was left alone: it %s; %s; podctl rm %[1]s ends it, and removes it", shown(s.Name), lostLauncher, remains(s))
		case s.State == launcher.StateGone:
			names = append(names, s.Name)
		}
		known = append(known, s.Name)
	}
	dir, err := c.podDir(ctx, "x")
	if err != nil {
		return names, together(append(errs, err))
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if runtimedir.ValidateName(e.Name()) != nil || slices.Contains(known, e.Name()) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), e.Name(), recordName)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, together(errs)
}
