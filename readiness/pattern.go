package readiness

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// Pattern waits for a line of the log that matches a regular expression: what a
// program says that knows nothing of ready lines. Groups in it tell where it
// can be reached:
//
//	Ready to accept connections                                  no more than a sign of life
//	DevTools listening on ws://(?P<address>[^/]+)                tcp:127.0.0.1:9222
//	listening on Unix socket "(?P<address>[^"]+)"                unix:/run/postgresql/.s.PGSQL.5432
//	Serving HTTP on (?P<host>\S+) port (?P<port>\d+)             tcp:127.0.0.1:8000
//
// The address is a path, or host:port as [net.JoinHostPort] has it. Instead
// there may be a port and, if it is not the loopback, a host. A host that
// stands for all ("0.0.0.0", "::", "*" or an empty one) becomes the loopback,
// and a relative path is taken from the pod's working directory. A group called
// network tells the network. An expression without any of these groups teaches
// nothing: the endpoint stays the one that an earlier probe learned.
//
// A named group with another name is an error, found before the pod is started,
// for it is likely to be misspelt. A line that matches, and does not give what
// the groups promise (an optional group that is empty, the port 0), ends the
// wait with an error that quotes it.
//
// A line that was cut because it is too long (logsource.MaxLine) is matched as
// far as it goes.
type Pattern struct {
	Regexp *regexp.Regexp // Required.

	// Occurrence is which matching line counts. 0 means 1, the first.
	Occurrence int

	// Network of the address, where no group tells it. Empty means "unix" for an
	// absolute path, and else "tcp".
	Network string
}

var (
	_ Probe    = Pattern{}
	_ Preparer = Pattern{}
)

// Prepare implements [Preparer]: it makes sure that the pattern can work.
func (p Pattern) Prepare(context.Context, *Setup) (Probe, error) { return p, p.check() }

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p Pattern) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := p.check(); err != nil {
		return Endpoint{}, err
	}
	if t.Lines == nil {
		return Endpoint{}, errors.New("readiness.Pattern: the target has no lines to read")
	}
	seen := 0
	for line, err := range t.Lines(ctx) {
		if err != nil {
			if cause := context.Cause(ctx); cause == nil || !errors.Is(err, cause) {
				return Endpoint{}, fmt.Errorf("read the log for %v: %w", p, err)
			}
			return Endpoint{}, p.pending(seen, err)
		}
		match := p.Regexp.FindSubmatchIndex(line)
		if match == nil {
			continue
		}
		if seen++; seen >= p.Occurrence {
			return p.learn(t, line, match)
		}
	}
	// The log has ended and the pod has not, as far as anybody knows yet.
	<-ctx.Done()
	return Endpoint{}, p.pending(seen, context.Cause(ctx))
}

// String describes the probe.
func (p Pattern) String() string {
	what := "a line that matches no expression"
	if p.Regexp != nil {
		what = fmt.Sprintf("a line that matches %q", p.Regexp)
	}
	if p.Occurrence > 1 {
		what += fmt.Sprintf(" (number %d)", p.Occurrence)
	}
	return what
}

func (p Pattern) check() error {
	switch {
	case p.Regexp == nil:
		return errors.New("readiness.Pattern.Regexp: it is nil")
	case p.Occurrence < 0:
		return fmt.Errorf("readiness.Pattern.Occurrence: it is %d, and must not be negative", p.Occurrence)
	case p.Network != "" && !isTCP(p.Network) && !isUnix(Endpoint{Network: p.Network}):
		return fmt.Errorf("readiness.Pattern.Network: it is %q, and must be tcp, tcp4, tcp6, unix or unixpacket", p.Network)
	case p.Network != "" && !givesEndpoint(p.Regexp):
		return fmt.Errorf("readiness.Pattern.Network: it is %q, and %q has no group %s or %s that gives the address", p.Network, p.Regexp, groupAddress, groupPort)
	case p.Network != "" && p.Regexp.SubexpIndex(groupNetwork) >= 0:
		return fmt.Errorf("readiness.Pattern.Network: it is %q, and %q has a group %s that gives it too", p.Network, p.Regexp, groupNetwork)
	}
	return checkGroups("readiness.Pattern.Regexp", p.Regexp)
}

// learn returns the endpoint that line gives.
func (p Pattern) learn(t Target, line []byte, match []int) (Endpoint, error) {
	if !givesEndpoint(p.Regexp) {
		return t.Endpoint, nil
	}
	e, err := groupsEndpoint(p.Regexp, line, match, p.Network, t.WorkDir)
	if err != nil {
		return Endpoint{}, fmt.Errorf("readiness.Pattern.Regexp: %w", err)
	}
	return e, nil
}

func (p Pattern) pending(seen int, cause error) error {
	e := &PendingError{Waiting: p.String(), Cause: cause}
	if seen > 0 {
		e.Notes = []string{fmt.Sprintf("%d of %d such lines have come", seen, p.Occurrence)}
	}
	return e
}
