package osproc

import "errors"

// ErrUngentle says that a process cannot be asked to end, only be killed: on Windows, a
// program without a console that has no stop event.
var ErrUngentle = errors.New("it cannot be asked to end, only be killed")
