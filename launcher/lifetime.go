package launcher

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
)

// A Lifetime says whether a pod outlives the program that has launched it.
type Lifetime int

const (
	// Detached pods run until they end, or somebody ends them.
	Detached Lifetime = iota

	// WithParent ends the pod with the program that has launched it, however that program
	// ends: by os.Exit, a panic, or SIGKILL, also in the middle of the launch. All
	// processes that belong to the pod (see [KillMode]) get SIGKILL then, under every
	// KillMode. To end the pod gracefully, the program calls [Pod.Stop] before it ends.
	//
	// On Windows the system does that: the pod's job ends with this program. On Linux a
	// child of this program, the keeper, does. It is this program's own file,
	// executed again as "podlaunch-keeper"; it ends before main is called. The first such
	// launch starts the keeper, and it ends when no process is left of the last such pod.
	// It may run what packages do before main (init functions, variables). A program that
	// waits for any child (wait4(-1)) sees the keeper end. If somebody kills the keeper,
	// the launcher logs that and starts another. If the keeper and the program are killed
	// in the same moment, the pod stays.
	//
	// A program that replaces itself (execve(2)) has ended in this sense. [Pod.Release]
	// changes nothing, nor does [Launcher.Attach] by another program: the pod ends with
	// the program that has launched it. Once that is proven to have ended, Attach finds no
	// pod, List says [ErrAbandoned], and the next launch of the name ends what still runs.
	//
	// WithParent takes Linux or Windows, and the Starter [Local]. A launch with another Starter
	// fails with [ErrInvalidSpec] and [errors.ErrUnsupported]. The launch also fails,
	// before anything starts, if the keeper cannot be started: for instance in a library
	// that is built for a program in another language (-buildmode=c-shared).
	WithParent
)

// String is the constant's name.
func (l Lifetime) String() string {
	switch l {
	case Detached:
		return "Detached"
	case WithParent:
		return "WithParent"
	}
	return fmt.Sprintf("Lifetime(%d)", int(l))
}

// over says that the pod of a launch with this Lifetime has no first process any more,
// or that something has changed about who else is left of it: nobody is, if empty.
func (l Lifetime) over(launch uuid.UUID, empty bool) {
	if l == WithParent {
		keeper.Gone(launch.String(), empty)
	}
}
