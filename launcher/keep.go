package launcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// checkLifetime refuses a Lifetime that cannot be had.
func (n *attempt) checkLifetime() error {
	if n.spec.Lifetime != WithParent {
		return nil
	}
	if _, ok := localOf(n.Starter); !ok {
		return fmt.Errorf("%w: Lifetime is WithParent, which takes the Starter Local, and Launcher.Starter is a %T; use Detached, and have what it starts end in its own way: %w", ErrInvalidSpec, n.Starter, errors.ErrUnsupported)
	}
	if err := keeper.Check(); err != nil {
		return fmt.Errorf("Lifetime WithParent: %w", err)
	}
	return nil
}

// keepProcess has the process that is about to be started end with this program, if it
// is to.
func (n *attempt) keepProcess(ctx context.Context, name *claimed, cgroup *osproc.Cgroup) error {
	if n.spec.Lifetime != WithParent {
		return nil
	}
	id := n.id.String()
	lock, by := name.Heirs().Lock()
	err := keeper.Keep(ctx, keeper.Pod{
		ID:       id,
		Mark:     launchVariable + "=" + id,
		Lock:     lock,
		LockFD:   lockDescriptor,
		Launcher: by.PID,
		Session:  by.Session,
		Cgroup:   cgroup.Path(),
	}, n.log)
	if err != nil {
		return fmt.Errorf("Lifetime WithParent: %w; a pod that is Detached needs no keeper", err)
	}
	n.made.addSlow(killPatience, "the keeper was not told that there is no pod", func() error { keeper.Gone(id, false); return nil })
	return nil
}

// knowProcess tells the keeper which process it is. Until then it would be found by its
// launch.
func (n *attempt) knowProcess(ctx context.Context, pod *Pod) error {
	if n.spec.Lifetime != WithParent || pod.first.PID == 0 {
		return nil
	}
	var others []osproc.Identity
	if pod.origin != nil {
		f, giveBack, err := pod.useFamilyBy(ctx)
		if err != nil {
			return fmt.Errorf("Lifetime WithParent: %w", err)
		}
		if f.who != nil {
			others = f.who.Known()
		}
		giveBack()
	}
	if err := keeper.Know(ctx, n.id.String(), pod.first, others); err != nil {
		return fmt.Errorf("Lifetime WithParent: %w", err)
	}
	return nil
}
