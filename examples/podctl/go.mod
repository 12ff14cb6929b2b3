// A module of its own, for what it needs that the library does not:
//
//   - cobra earns its place with what people expect of a command and nobody
//     should write again: flags before and after arguments, help with examples
//     for every command, and completion for four shells that asks this program
//     for the names of pods.
//   - golang.org/x/term knows on each system whether a stream is a terminal, and how
//     wide it is. It is of the Go project, and needs nothing but x/sys, which the
//     library has already.
//   - go-internal has testscript, which runs the tests; the command does without.
module github.com/podlaunch/podlaunch/examples/podctl

go 1.25.0

require (
	github.com/google/uuid v1.6.0
	github.com/hashicorp/go-hclog v1.6.3
	github.com/podlaunch/podlaunch v0.1.0
	github.com/rogpeppe/go-internal v1.14.1
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
	golang.org/x/term v0.43.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/fatih/color v1.13.0 // indirect
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mattn/go-colorable v0.1.12 // indirect
	github.com/mattn/go-isatty v0.0.14 // indirect
	golang.org/x/sys v0.44.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)

replace github.com/podlaunch/podlaunch => ../..
