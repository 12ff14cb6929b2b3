//go:build !unix && !windows

package runtimedirtest

import (
	"io/fs"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// modeMatters says whether permission bits mean anything on this system.
const modeMatters = false

// checkOwner cannot tell here whose a file is.
func checkOwner(string, fs.FileInfo) error { return nil }

// checkWriters cannot tell here who may write to a directory.
func checkWriters(string, fs.FileInfo) error { return nil }

// A wayIn is how others may enter a directory.
type wayIn struct{ who string }

// waysIn are those that a rule tries.
var waysIn = []wayIn{{"everybody"}}

// letOthersIn cannot do so.
func letOthersIn(string, wayIn) (restore func(), err error) {
	return nil, conformance.Inapplicable("permission bits mean nothing on this system")
}
