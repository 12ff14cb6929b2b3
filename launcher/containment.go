package launcher

import (
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// A Containment is the means by which all that belongs to a pod is found, and ended.
type Containment int

const (
	// ContainedByStarter says that it is up to the [Starter]: the pod has no process
	// here, or not one of [Local]'s.
	ContainedByStarter Containment = iota

	// ContainedByGroup is what every pod on this machine has: its process group and
	// session, and what else is found of it, see [KillMode]. A process that takes care to leave no
	// trace gets away.
	ContainedByGroup

	// ContainedByCgroup is a cgroup of its own, see [Local.Cgroup].
	ContainedByCgroup
)

// String returns "starter", "group" or "cgroup".
func (c Containment) String() string {
	switch c {
	case ContainedByStarter:
		return "starter"
	case ContainedByGroup:
		return "group"
	case ContainedByCgroup:
		return "cgroup"
	}
	return fmt.Sprintf("Containment(%d)", int(c))
}

// Containment says what holds the pod's processes together.
func (p *Pod) Containment() Containment {
	switch c, ours := p.proc.(child); {
	case !ours:
		return ContainedByStarter
	case c.cgroup != nil:
		return ContainedByCgroup
	}
	return ContainedByGroup
}

// containmentOf is Pod.Containment by what a record tells.
func containmentOf(r ownership.Record) Containment {
	switch {
	case r.Elsewhere || r.PID == 0:
		return ContainedByStarter
	case r.Cgroup != "":
		return ContainedByCgroup
	}
	return ContainedByGroup
}
