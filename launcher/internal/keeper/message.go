package keeper

import (
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A Pod is what the keeper knows a pod by.
type Pod struct {
	ID   string `json:"id"`   // of its launch
	Mark string `json:"mark"` // NAME=VALUE, in the environment of every process that belongs to the pod

	// Lock is the pod's lock, and LockFD its descriptor in the pod; Lock is zero if the pod has
	// none. Launcher is the pid of the process that took the lock, and Session its session.
	Lock     osproc.LockFile `json:"lock,omitzero"`
	LockFD   int             `json:"lockFD,omitempty"`
	Launcher int             `json:"launcher,omitempty"`
	Session  int             `json:"session,omitempty"`

	// Cgroup is the path of the cgroup that is the pod's own; "" if it has none.
	Cgroup string `json:"cgroup,omitempty"`

	// First is the pod's first process; zero until it is known. Since is the process that was
	// started; another may have taken its place.
	First osproc.Identity `json:"first,omitzero"`
	Since osproc.Identity `json:"since,omitzero"`

	// Others are processes of the pod that were found before First took its place.
	Others []osproc.Identity `json:"others,omitempty"`
}

// A Logger gets what happens to the keeper of a pod.
type Logger interface {
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// A request is a line that the program sends. The keeper answers each with one line.
type request struct {
	Keep  *Pod     `json:"keep,omitempty"`  // from now on; once more, to say what is known by now
	Gone  []string `json:"gone,omitempty"`  // the pods of these launches have no first process, or none any more
	Empty []string `json:"empty,omitempty"` // nobody is left of the pods of these launches
}

// An answer is a line that the keeper sends. The first one it sends without a request.
type answer struct {
	Error  string   `json:"error,omitempty"`
	Forgot []string `json:"forgot,omitempty"` // launches of whose pods nobody is left
}
