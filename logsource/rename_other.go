//go:build !windows

package logsource

import "os"

// replace gives the file name below root the name to, in place of what has that.
func replace(root *os.Root, name, to string) error { return root.Rename(name, to) }
