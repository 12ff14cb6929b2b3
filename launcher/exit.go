package launcher

// Success reports whether the process is known to have exited with status 0.
func (e Exit) Success() bool { return e.Known && e.Signal == 0 && e.Code == 0 }

// Err returns nil if e is a Success, and else an [*ExitError]. So it is an error if the
// system does not tell how the process ended.
func (e Exit) Err() error {
	if e.Success() {
		return nil
	}
	return &ExitError{e}
}

// An ExitError is the [Exit] of a process that is not known to have succeeded.
type ExitError struct{ Exit Exit }

// Error says it as [exec.ExitError] does: "exit status 3", "signal: killed", and also
// "exit status unknown".
func (e *ExitError) Error() string { return e.Exit.String() }
