package runtimedir

import "errors"

// errReplaced says that the base was another directory before it was opened.
var errReplaced = errors.New("it was replaced while it was being opened")

// mkdirTries is how often we make a directory that another process removes at once. A pod
// removes its own directory once, or its helpers do; more often is a loop.
const mkdirTries = 100
