// A module of its own, so that what is about one engine stays out of the
// library. It needs nothing that the library does not: the engine's API is a
// handful of calls over HTTP, and its published client would bring a dozen
// modules, and want a later Go than the library does.
module github.com/podlaunch/podlaunch/examples/nomad

go 1.25.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/google/uuid v1.6.0
	github.com/mattn/go-isatty v0.0.14
	github.com/podlaunch/podlaunch v0.1.0
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.44.0
)

require (
	github.com/fatih/color v1.13.0 // indirect
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/hashicorp/go-hclog v1.6.3 // indirect
	github.com/mattn/go-colorable v0.1.12 // indirect
)

replace github.com/podlaunch/podlaunch => ../..
