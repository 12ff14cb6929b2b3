package readiness

var (
	// adopted is the process that was adopted.
	adopted = NewFact[int]("the pid of the process that was adopted")

	// started is the process that was started, once another one was adopted.
	started = NewFact[int]("the pid of the process that was started")
)

// first returns the pid of the pod's first process by now.
func (t Target) first() int {
	if pid, ok := adopted.Of(t.Facts); ok {
		return pid
	}
	return t.PID
}

// started returns the pid of the process that was started, also once another one was adopted.
func (t Target) started() int {
	if pid, ok := started.Of(t.Facts); ok {
		return pid
	}
	return t.PID
}
