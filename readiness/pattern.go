package readiness

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// Pattern waits for a line of the log that matches a regular expression, for programs
// that know nothing of ready lines. Groups in the expression give the endpoint:
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
// network gives the network. An expression without any of these groups teaches
// nothing: Wait returns the endpoint that an earlier probe learned.
//
// A named group with another name is an error before the pod starts, for it is likely
// to be misspelt. If a line matches but does not give what the groups promise (an
// optional group is empty, the port is 0), Wait returns an error that quotes the line.
//
// The expression sees what a terminal would show of a line: without the sequences for
// colour, the cursor and links. Where a CR redraws the line, each of the parts is a
// line of its own. The log keeps all of it. An expression that itself has an escape or
// a CR in it (\x1b, \r) sees the line as the pod wrote it.
//
// Of a line that was cut because it is too long (logsource.MaxLine) the expression
// sees the part that is left.
type Pattern struct {
	Regexp *regexp.Regexp // Required.

	// Fail is an expression for a line with which the program says that it will
	// never be ready ("app crashed", "address already in use"). Such a line ends
	// the wait with a [*FailedError], whose Reason is the line, even if the line
	// matches Regexp too. Nil means that no line ends the wait so.
	Fail *regexp.Regexp

	// Value gets what the group called value has matched, which need not be part
	// of an address; see [Fact]. The zero Fact means that there is no such group.
	Value Fact[string]

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
	seen, raw := 0, p.asWritten()
	var parts [][]byte // of a line
	for line, err := range t.Lines(ctx) {
		if err != nil {
			if cause := context.Cause(ctx); cause == nil || !errors.Is(err, cause) {
				return Endpoint{}, fmt.Errorf("read the log for %v: %w", p, err)
			}
			return Endpoint{}, p.pending(seen, err)
		}
		if parts = append(parts[:0], line); !raw {
			parts = appendShown(parts[:0], line)
		}
		for _, part := range parts {
			if p.Fail != nil && p.Fail.Match(part) {
				return Endpoint{}, &FailedError{Reason: cut(string(part))}
			}
			match := p.Regexp.FindSubmatchIndex(part)
			if match == nil {
				continue
			}
			if seen++; seen >= p.Occurrence {
				return p.matching().learn(t, part, match)
			}
		}
	}
	// The log has ended, and we do not know yet whether the pod has.
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
	return p.matching().check()
}

func (p Pattern) matching() matching {
	return matching{field: "readiness.Pattern.Regexp", expr: p.Regexp, network: p.Network, value: p.Value}
}

// asWritten reports whether lines are matched as they were written.
func (p Pattern) asWritten() bool {
	return asWritten.MatchString(p.Regexp.String()) || p.Fail != nil && asWritten.MatchString(p.Fail.String())
}

func (p Pattern) pending(seen int, cause error) error {
	e := &PendingError{Waiting: p.String(), Cause: cause}
	if seen > 0 {
		e.Notes = []string{fmt.Sprintf("%d of %d such lines have come", seen, p.Occurrence)}
	}
	return e
}
