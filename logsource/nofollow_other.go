//go:build !unix

package logsource

// noFollow: this system cannot be asked not to follow a link.
const noFollow = 0
