package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
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
	// --overlay-file /dev/fd/21. What is behind it has no name: on Linux it is
	// memory that nobody can change any more, elsewhere a file that is deleted
	// already. The pod can read it at any time, and only its own user can; one
	// that closes descriptor 21 has the last copy go. It needs a Starter that
	// hands [StartRequest.Files] on, as [Local] does, and on freebsd fdescfs(5).
	OverlayAsDescriptor
)

// overlayDescriptor is where a pod finds its overlay, if it is a descriptor: next
// to its lock, behind all that a program may expect at a fixed place.
const overlayDescriptor = lockDescriptor + 1

// String is the constant's name.
func (t OverlayTransport) String() string {
	names := []string{"OverlayAsArgument", "OverlayAsFile", "OverlayAsDescriptor"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("OverlayTransport(%d)", int(t))
	}
	return names[t]
}

// overlayPath returns where the pod finds its overlay, or "" if the text itself
// is to be passed.
func (n *launch) overlayPath(ctx context.Context, s *started) (string, error) {
	switch {
	case n.spec.Overlay == "":
		return "", nil
	case n.OverlayTransport == OverlayAsDescriptor:
		return fmt.Sprintf("/dev/fd/%d", overlayDescriptor), nil
	case n.OverlayTransport != OverlayAsFile:
		return "", nil
	}
	base := s.base
	if base == "" {
		var err error
		if base, err = n.base(ctx); err != nil {
			return "", err
		}
	}
	return filepath.Join(base, ownership.OverlayName(n.spec.Name)), nil
}

// checkOverlayPassed makes sure that a resolver which does not know
// Request.OverlayPath does not start a pod without its overlay.
func checkOverlayPassed(cmd Command, path string) error {
	holds := func(s string) bool { return strings.Contains(s, path) }
	if path == "" || slices.ContainsFunc(cmd.Args, holds) || slices.ContainsFunc(cmd.Env, holds) {
		return nil
	}
	return fmt.Errorf("%w: Launcher.OverlayTransport is set, and the resolver has put Request.OverlayPath (%s) neither into an argument nor into a variable", ErrInvalidSpec, path)
}

// placeOverlay puts the overlay where s.overlayPath says. It returns the file
// that the pod has to inherit, if it is one; the caller closes it.
func (n *launch) placeOverlay(s *started) (*os.File, error) {
	if s.overlayPath == "" {
		n.warnOfSecret(s.command)
		return nil, nil
	}
	if s.claim == nil {
		return nil, errors.New("the overlay has no place, for the pod's name is not claimed")
	}
	if n.OverlayTransport == OverlayAsDescriptor {
		f, err := unixproc.MemoryFile("overlay", n.spec.Overlay)
		if !errors.Is(err, errors.ErrUnsupported) {
			return f, err
		}
	}
	f, err := s.claim.WriteOverlay(n.spec.Overlay)
	if err != nil {
		return nil, err
	}
	if n.OverlayTransport == OverlayAsFile {
		return nil, f.Close()
	}
	if err := s.claim.RemoveOverlay(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// warnOfSecret warns of an overlay that everybody can read, and that looks as
// if it were not for everybody. Nothing of the overlay itself is logged.
func (n *launch) warnOfSecret(cmd Command) {
	if n.spec.Overlay == "" || !n.log.IsWarn() {
		return
	}
	if !slices.ContainsFunc(cmd.Args, func(arg string) bool { return strings.Contains(arg, n.spec.Overlay) }) {
		return
	}
	if line, what := findSecret(n.spec.Overlay); what != "" {
		n.log.Warn("the overlay is an argument, which every user of the machine can read, and it looks as if it held a secret; set Launcher.OverlayTransport",
			"line", line, "looks-like", what)
	}
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
