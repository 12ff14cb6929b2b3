package readinesstest

import "github.com/podlaunch/podlaunch/readiness"

// A Case is a Probe and one pod that it has to wait for. The pod need not be a
// process: the test plays it.
type Case struct {
	// Probe is what is tested. Required.
	Probe readiness.Probe

	// Target is the pod, which is not ready. The kit fills in what is not set:
	// a Name, a RuntimeDir, a WorkDir, Lines (an empty log). It puts its own
	// function around Lines, to see how they are read.
	Target readiness.Target

	// Ready makes the pod ready, for good. The kit calls it at most once, from the
	// test's goroutine, before or after the wait begins. If Probe is a
	// [readiness.Preparer], s is what Prepare put in place: s.Env and s.Files have the
	// pod's side of a socket or a descriptor. The files stay open until the wait is
	// over; Ready may close them. Required.
	Ready func(s *readiness.Setup)

	// Fail makes sure instead that the pod will never be ready, in a way that the
	// probe can see. The kit calls it like Ready. Nil: there is no such way, and the
	// rule "fails" does not apply.
	Fail func(s *readiness.Setup)

	// Want is the endpoint that the probe learns. The zero Endpoint means that
	// it learns none: it has to return Target.Endpoint, which the kit sets, to
	// something that nobody should dial, if it is not set.
	//
	// One rule listens there in the pod's place, accepts, and says nothing. It does
	// so only at a port of the loopback interface, from 1024, and at a unix socket
	// in Target.RuntimeDir or a temporary directory, and only if the address is free.
	Want readiness.Endpoint

	// OnePod says that Probe can only wait for this one pod, for its address or
	// its path is a field of Probe. False: it can wait for the pods of other
	// Cases as well.
	OnePod bool
}
