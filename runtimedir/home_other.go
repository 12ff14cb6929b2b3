//go:build !windows

package runtimedir

import "path/filepath"

// tempVariable is what os.TempDir reads.
const tempVariable = "TMPDIR"

// homePlace is where the base is if no other variable leads to it.
func homePlace(app string) (variable, below string) {
	return "HOME", filepath.Join("."+app, "run")
}

// systemFault has no more to say about a name than nameFault.
func systemFault(string) string { return "" }
