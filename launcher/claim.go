package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A claimed is the pod's name, which a launch has taken for itself and for the
// pod.
type claimed struct {
	*ownership.Claim
	forked bool        // from here on somebody may have a copy of the pod lock
	lives  atomic.Bool // the process was started, and is not known to have been ended
}

// claim takes the pod's name. If there is no base yet, if it is another user's or others
// may write to it, or if nothing can be made in it, claim asks the Resolver once. The
// Resolver makes the base, closes it to others, or says what is wrong, as with each
// directory.
func (n *attempt) claim(ctx context.Context, at site) (*claimed, error) {
	if n.private {
		return n.claimPrivateIn(ctx, at.base)
	}
	for asked := false; ; asked = true {
		claim, err := n.claimIn(ctx, at.base)
		if err == nil {
			return n.hold(claim), nil
		}
		if asked || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ownership.ErrNotOursAlone) && !errors.Is(err, runtimedir.ErrUnavailable) {
			return nil, n.refused(ctx, err)
		}
		if _, err := n.makeDir(ctx, n.spec.Name); err != nil {
			return nil, ownError{n.failure(StageDir, whyFailed(ctx, err))}
		}
	}
}

// claimPrivateIn is claim for a private pod. First it removes what others have left
// behind in base; what it cannot remove is no reason to fail.
func (n *attempt) claimPrivateIn(ctx context.Context, base string) (*claimed, error) {
	swept, err := ownership.Sweep(ctx, base, nameVariable)
	if len(swept) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Debug("looked for what private pods have left behind", "removed", swept, "kept", err)
	}
	claim, err := n.Launcher.claimPrivate(ctx, base, n.spec.Name)
	if err != nil {
		return nil, err
	}
	return n.hold(claim), nil
}

// claimIn takes the pod's name in base.
func (n *attempt) claimIn(ctx context.Context, base string) (*ownership.Claim, error) {
	if base == "" {
		return nil, fmt.Errorf("the resolver returned the base directory %q", base)
	}
	place, err := n.placeBelow(ctx, base, n.spec.Name)
	if err != nil {
		return nil, err
	}
	if n.Reclaim {
		place.Reclaim, place.Grace = ownership.ReclaimGone, n.Grace
	}
	return n.claimPlace(ctx, place)
}

// claimPlace takes the name of place, which it closes if it fails, or if the Finder panics.
func (n *attempt) claimPlace(ctx context.Context, place *ownership.Place) (claim *ownership.Claim, err error) {
	defer func() {
		if claim == nil {
			place.Close()
		}
	}()
	if claim, err = place.Claim(ctx); err != nil {
		return nil, err
	}
	if len(claim.Ended) > 0 {
		n.log.Warn("ended what an earlier pod had left behind", "pids", pidsOf(claim.Ended))
		ctx, cancel := context.WithTimeout(ctx, killPatience)
		defer cancel()
		osproc.ReapInherited(ctx, claim.Ended)
	}
	return claim, nil
}

// pidsOf returns the pids of processes.
func pidsOf(ids []osproc.Identity) []int {
	pids := make([]int, len(ids))
	for i, id := range ids {
		pids[i] = id.PID
	}
	return pids
}

// hold returns the claimed of claim, which is given back if the launch fails.
func (n *attempt) hold(claim *ownership.Claim) *claimed {
	c := &claimed{Claim: claim}
	claim.AskBefore(n.mayRecord)
	n.made.addSlow(killPatience+patience, "the name was not given back yet: the filesystem of its locks does not answer", func() error {
		notes, err := c.giveBack()
		n.note(func(e *Error) { e.Notes = append(e.Notes, notes...) })
		return err
	})
	return c
}

// refused says why the name was not to be had.
func (n *attempt) refused(ctx context.Context, err error) error {
	var running *ownership.RunningError
	var held *ownership.HeldError
	switch {
	case errors.As(err, &running):
		n.note(func(e *Error) {
			e.PID, e.Endpoint, e.LogPath = running.Record.PID, endpointOf(running.Record), running.Record.Log
		})
		return fmt.Errorf("%w %w", ErrRunning, err)
	case errors.As(err, &held):
		if ctx.Err() != nil {
			held.Err = n.whyOver(ctx)
		}
		return fmt.Errorf("%w: %w", ErrHeld, err)
	}
	return err
}

// giveBack gives the name back. If the process could not be ended it stays
// recorded, and the next launch sees to it.
func (c *claimed) giveBack() (notes []string, err error) {
	if c.lives.Load() {
		err := c.RemoveOverlay()
		c.Settle()
		c.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	ended, err := c.Abandon(ctx, c.forked)
	osproc.ReapInherited(ctx, ended)
	if len(ended) > 0 {
		notes = []string{fmt.Sprintf("processes %v had left its group, still held its name, and were ended", pidsOf(ended))}
	}
	return notes, err
}

// endpointOf returns where the pod of r answers.
func endpointOf(r ownership.Record) readiness.Endpoint {
	return readiness.Endpoint{Network: r.Network, Address: r.Address}
}
