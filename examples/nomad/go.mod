// A module of its own, so that what is about one engine stays out of the
// library. It needs nothing that the library does not: the engine's API is a
// handful of calls over HTTP, and its published client would bring a dozen
// modules, and want a later Go than the library does.
module github.com/podlaunch/podlaunch/examples/nomad

go 1.25.0

require github.com/podlaunch/podlaunch v0.0.0

replace github.com/podlaunch/podlaunch => ../..
