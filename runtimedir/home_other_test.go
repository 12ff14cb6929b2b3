//go:build !windows

package runtimedir_test

import "path/filepath"

// home is the last of the four variables.
const home = "HOME"

// belowHome is the base of an application, relative to the value of home.
func belowHome(app string) string { return filepath.Join("."+app, "run") }
