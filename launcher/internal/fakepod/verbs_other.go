//go:build !unix

package fakepod

// systemVerbs are those that only unix has.
func systemVerbs(compiler) []verb { return nil }
