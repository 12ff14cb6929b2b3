package readiness

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// An Endpoint is where a pod can be reached, as [net.Dial] takes it. The zero
// Endpoint means that no address is known.
type Endpoint struct{ Network, Address string }

// String returns the endpoint for a person to read, as network:address. What cannot be
// printed in it is escaped: the pod has chosen the address.
func (e Endpoint) String() string {
	if e == (Endpoint{}) {
		return "no endpoint"
	}
	s := e.Network + ":" + e.Address
	if utf8.ValidString(s) && strings.IndexFunc(s, isUnprintable) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// A Target is the pod that a [Probe] waits for.
type Target struct {
	Name       string   // the pod's
	RuntimeDir string   // the pod's, absolute
	WorkDir    string   // the working directory it was given, absolute
	PID        int      // of its first process; 0 if not known. In a Sequence that of the process that an earlier probe had adopted
	Endpoint   Endpoint // what an earlier probe learned

	// Kin proves which processes belong to the pod, and has one of them adopted; see
	// [Adopter]. Nil means that the launcher cannot do that.
	Kin Kin

	// Facts gets what a probe learns besides the endpoint; see [Fact]. Nil means
	// that nobody wants to know.
	Facts *Facts

	// Lines yields every complete line of this launch, from the first, at
	// every call, in constant memory; a line is valid until the next one. It
	// yields an error once, last: the cause of ctx's end, once ctx is done and
	// what was written by then has been yielded; or what went wrong in reading.
	// It ends without an error where the log itself has ended (a pipe that the
	// pod has closed).
	Lines func(ctx context.Context) iter.Seq2[[]byte, error]
}

// Facts are what the probes of one launch have learned; see [Fact]. The zero
// value is empty and ready to use.
type Facts struct {
	mu    sync.Mutex
	known map[any]any // by its Fact
}

// A Probe finds out whether a pod is ready.
type Probe interface {
	// Wait blocks until t is ready, or never will be. It returns where to
	// reach it: what the probe learned, else t.Endpoint. Once ctx is done it
	// returns promptly with an error wrapping context.Cause(ctx), also where
	// t.Lines have ended before, or where a pod accepts a connection and says
	// nothing.
	//
	// What t.Lines yields counts before the end of ctx: when a pod has exited ctx
	// is done, and its last word is still to be read. A pod may write without end:
	// Wait keeps no more of the lines than it needs.
	//
	// An error means that the pod must not be used, and ends the launch. An error
	// that does not wrap ctx's cause is the probe's own verdict: the launch fails
	// with it, even if the pod has exited in the meantime. Any number of goroutines
	// may call Wait, each with its own Target.
	Wait(ctx context.Context, t Target) (Endpoint, error)
}

// ProbeFunc lets an ordinary function be a [Probe].
type ProbeFunc func(ctx context.Context, t Target) (Endpoint, error)

func (f ProbeFunc) check() error {
	if f == nil {
		return errors.New("readiness.ProbeFunc: it is nil")
	}
	return nil
}

// Wait calls f. A nil one is an error.
func (f ProbeFunc) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := f.check(); err != nil {
		return Endpoint{}, err
	}
	return f(ctx, t)
}

// String names the function: "the function main.warm".
func (f ProbeFunc) String() string {
	if f == nil {
		return "no function"
	}
	return "the function " + runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
}

// Describe names a probe for a person: what it is waiting for.
func Describe(p Probe) string {
	if s, ok := p.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", p)
}

// A LineOwner is a [Probe] that waits for a line which the pod writes for the
// launcher, not for people. It is optional. The launcher neither shows the first
// line that a probe owns, and repetitions of it, as progress, nor keeps them as
// evidence.
type LineOwner interface {
	// OwnsLine reports whether line is what the probe waits for in t. Any goroutine
	// may call it at any time. It does not keep line.
	OwnsLine(t Target, line []byte) bool
}

// A StatusReader is a [Probe] that knows the lines with which a pod says, for
// people, how far it has come. It is optional. The launcher shows as progress
// what the pod says, without what marks the line.
type StatusReader interface {
	// Status returns what the pod of t says with line, if it is such a line. Any
	// goroutine may call it at any time. It does not keep line.
	Status(t Target, line []byte) (text []byte, ok bool)
}

// A Verifier is a [Probe] that can ask, of a pod that was ready once, whether
// it still answers. It is optional.
type Verifier interface {
	// Verify makes one attempt to reach t.Endpoint. It returns nil if the pod
	// answers, an error wrapping [ErrForeignPeer] if a process answers that may not,
	// and any other error if none answers.
	Verify(ctx context.Context, t Target) error
}

var (
	// ErrMalformedReadyLine says that a line begins like a ready line and is
	// none. The error that wraps it quotes the line.
	ErrMalformedReadyLine = errors.New("malformed ready line")

	// ErrNameMismatch says that a ready line names another pod. The error that
	// wraps it holds both names.
	ErrNameMismatch = errors.New("ready line of another pod")

	// ErrForeignPeer says that a process serves a socket and is not allowed to. The
	// error that wraps it names the process, and the field that allows it.
	ErrForeignPeer = errors.New("socket is served by a stranger")
)
