package readiness

// An owner says whose a listening socket of this machine is.
type owner int

const (
	ownerUnknown  owner = iota // it cannot be seen
	ownerPod                   // a process of the pod
	ownerStranger              // somebody who ran before the pod, or is of another pod
)

// ownedBy says whose the sockets are; a stranger's error names it. field and allow
// are what lets it answer.
func ownedBy(inodes []uint64, t Target, field, allow string) (owner, error) {
	holders := holdersOf(inodes, t.PID)
	for _, h := range holders {
		if belongs(h, t.PID) {
			return ownerPod, nil
		}
	}
	for _, h := range holders {
		why := strangeness(h, t.PID)
		p, ok := peerOfPID(h)
		if why == "" || !ok {
			continue // perhaps it was started for the pod: a container's proxy, a batch system's job
		}
		err := foreign(p, why, allow).(*foreignError)
		err.field = field
		return ownerStranger, err
	}
	return ownerUnknown, nil
}
