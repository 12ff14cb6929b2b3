package runtimedir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// User resolves to directories of the current user, found through the
// environment. The zero value is ready to use. Its method may be called from
// any number of goroutines; each call reads the environment as it is then.
//
// For App "insomnia" the base is the first of these whose variable is set:
// $INSOMNIA_RUNTIME_DIR, $INSOMNIA_HOME/run, $XDG_RUNTIME_DIR/insomnia,
// $HOME/.insomnia/run. On Windows %LOCALAPPDATA%\insomnia\run is the last one instead. A
// variable that is empty counts as unset. A value is taken as the bytes it is, UTF-8 or
// not. A relative XDG_RUNTIME_DIR is ignored, as the XDG Base Directory Specification asks
// for; a relative value of the others is an error, because a directory that moves with the
// caller would hide running pods. By the same specification XDG_RUNTIME_DIR is the user's own:
// one of another user but root gives [ErrInsecure], for root would lock that user out.
type User struct {
	// App is the name of the application: with letters in upper case and
	// everything but letters and digits replaced by an underscore it is the
	// prefix of the variables, as it is it names the directory. It must be
	// valid for [ValidateName]. Empty means "insomnia".
	App string
}

var (
	_ Resolver = User{}
	_ Baser    = User{}
)

// RuntimeDir implements [Resolver].
func (u User) RuntimeDir(ctx context.Context, name string) (string, error) {
	if err := ValidateName(name); err != nil {
		return "", err
	}
	base, err := u.Base(ctx)
	if err != nil {
		return "", err
	}
	return makePrivate(ctx, base, name)
}

// Base implements [Baser].
func (u User) Base(context.Context) (string, error) {
	app := u.App
	if app == "" {
		app = "insomnia"
	}
	if err := ValidateName(app); err != nil {
		return "", fmt.Errorf("%w: User.App: %v", ErrUnavailable, err) // not %w: the pod's name is not to blame
	}
	var tried []string
	for _, place := range places(app) {
		value := os.Getenv(place.variable)
		switch {
		case value == "":
			tried = append(tried, "$"+place.variable+" is not set")
		case filepath.IsAbs(value):
			if place.isOurs && isOtherUsers(value) {
				return "", fmt.Errorf("%w: $%s is %s, which belongs to another user, as after sudo -E; unset it, or set $%s to a directory of your own", ErrInsecure, place.variable, quote(value), places(app)[0].variable)
			}
			return resolve(filepath.Join(value, place.below))
		case place.mayBeRelative:
			tried = append(tried, fmt.Sprintf("$%s is %q, which is relative and therefore ignored", place.variable, value))
		default:
			return "", fmt.Errorf("%w: $%s is %q: it must be an absolute path", ErrUnavailable, place.variable, value)
		}
	}
	return "", fmt.Errorf("%w: %s; set one of them to an absolute path", ErrUnavailable, strings.Join(tried, ", "))
}

// A place is one variable that may lead to the base.
type place struct {
	variable      string
	below         string // the base, relative to the variable's value
	mayBeRelative bool   // and is then passed over
	isOurs        bool   // by its specification: what is another user's is refused
}

func places(app string) []place {
	prefix := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, app)
	home, belowHome := homePlace(app)
	return []place{
		{variable: prefix + "_RUNTIME_DIR"},
		{variable: prefix + "_HOME", below: "run"},
		{variable: "XDG_RUNTIME_DIR", below: app, mayBeRelative: true, isOurs: true},
		{variable: home, below: belowHome},
	}
}
