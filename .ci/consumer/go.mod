// A module of its own, for what it needs that the library does not: how the go
// command makes the zip of a module.
module example.com/ci/consumer

go 1.25.0

require golang.org/x/mod v0.33.0
