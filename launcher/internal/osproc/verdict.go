package osproc

import (
	"errors"
	"fmt"
)

// ErrGone says that there is no process with an Identity any more.
var ErrGone = errors.New("the process is gone")

// ErrRestarted says that the machine was restarted since. No process of then runs.
var ErrRestarted = fmt.Errorf("%w: the machine was restarted since", ErrGone)

// ErrStranger says that another process has the pid of an Identity.
var ErrStranger = errors.New("another process has its pid")

// ErrThread says that a number is not a process's but one of its threads'.
var ErrThread = errors.New("that is the number of a thread")

// ErrElsewhere says that an Identity is of a process in another pid namespace,
// and so cannot be found here: a container that was restarted, for instance.
var ErrElsewhere = errors.New("its pid is meant in another pid namespace")

// ProvesEnd reports whether err, of a check of an Identity, proves that its process has
// ended: there is none, or its pid is another's by now.
func ProvesEnd(err error) bool { return errors.Is(err, ErrGone) || errors.Is(err, ErrStranger) }
