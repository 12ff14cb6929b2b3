package launcher

import (
	"fmt"
	"regexp"
	"strings"
)

// An OverlayTransport is how [Spec.Overlay] gets to the pod. An overlay that is
// empty holds nothing to hide, and is always an argument.
type OverlayTransport int

const (
	// OverlayAsArgument passes the text itself: --overlay TEXT. Every user of
	// the machine can read it in the list of processes, as long as the pod runs.
	// It is at most [MaxOverlay] bytes long.
	OverlayAsArgument OverlayTransport = iota

	// OverlayAsFile passes the path of a file that holds the text:
	// --overlay-file PATH. The file is beside the pod's directory, has mode 0600,
	// and is removed before Launch returns: a pod has to have read it before it
	// says that it is ready. A launcher that is killed in the middle leaves it
	// to the next launch of the name, which removes it, too.
	OverlayAsFile

	// OverlayAsDescriptor passes the path of a descriptor that the pod inherits:
	// --overlay-file /dev/fd/21. What is behind it has no name: on Linux it is memory
	// that nobody can change any more, elsewhere a file that is deleted already. The pod
	// can read it at any time, and only its own user can. Once the pod closes descriptor
	// 21, no copy remains. It needs a Starter that hands [StartRequest.Files] on, as
	// [Local] does, and on freebsd fdescfs(5). On Windows the launch fails with
	// [errors.ErrUnsupported].
	OverlayAsDescriptor
)

// String is the constant's name.
func (t OverlayTransport) String() string {
	names := []string{"OverlayAsArgument", "OverlayAsFile", "OverlayAsDescriptor"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("OverlayTransport(%d)", int(t))
	}
	return names[t]
}

// A secretPattern is what a secret in an overlay looks like.
type secretPattern struct {
	what string
	text *regexp.Regexp
}

// secretPatterns look for what people call secrets: a key whose name says so,
// with a text as its value. A number (max_tokens = 4096) is none, nor is where
// a secret can be found (password_file = "/run/secrets/db").
var secretPatterns = []secretPattern{
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a password in a URL", regexp.MustCompile(`://[^/\s:@"']*:[^/\s:@"']+@`)},
	{"a key that is called like a secret", regexp.MustCompile(
		`(?i)(?:passw(?:or)?d|passphrase|secret|token|credentials?|bearer|authorization|(?:api|access|private|signing|encryption)[_-]?key)` +
			`(?:[_-]?(?:id|value|key|base64|hex|pem)|s|\d+)*["']?\s*=\s*\[?\s*(?:"""|'''|"|')\s*[^"'\s]`)},
}

// findSecret returns the line, from 1, on which text looks like it holds a
// secret, and what that looks like; "" if it does not.
func findSecret(text string) (line int, what string) {
	for _, p := range secretPatterns {
		if at := p.text.FindStringIndex(text); at != nil {
			return 1 + strings.Count(text[:at[0]], "\n"), p.what
		}
	}
	return 0, ""
}
