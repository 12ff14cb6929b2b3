package readiness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"
)

// Talk sends something to the endpoint that an earlier probe learned, and waits for
// an answer: a PING of redis, memcached's version, the greeting of an SMTP server.
//
//	readiness.Sequence{
//		readiness.TCP{Address: "127.0.0.1:6379"},
//		readiness.Talk{Send: "PING\r\n", Expect: regexp.MustCompile(`^\+PONG\r\n`)},
//	}
//
// Each attempt has a connection of its own, which is closed again. The endpoint may
// be a port or a unix socket; who answers there is for the probe before to find out.
// It tries again until the answer matches; final is what is final for [Socket] and
// [TCP], unless Schedule.Final says otherwise.
type Talk struct {
	// Send is what is sent, as it stands: the end of a line belongs to it. Empty
	// means nothing, for a server that speaks first.
	Send string

	// Expect is an expression for what the server has said so far, from its first
	// byte to 64 KiB. Required.
	//
	// The server may be about to say the rest: an expression that needs the end of
	// what it says ("\n$") does not match half of it.
	Expect *regexp.Regexp

	// Schedule of the attempts. If it does not say otherwise, one takes two
	// seconds at most, the second is made after about 10 ms, and they come ever
	// more rarely, up to every 250 ms.
	Schedule
}

var (
	_ Probe    = Talk{}
	_ Preparer = Talk{}
)

const maxTalk = 64 << 10

// Prepare implements [Preparer]: it makes sure that the fields can work.
func (p Talk) Prepare(context.Context, *Setup) (Probe, error) { return p, p.check() }

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p Talk) Wait(ctx context.Context, t Target) (Endpoint, error) {
	err := p.check()
	switch {
	case err != nil:
	case t.Endpoint == (Endpoint{}):
		err = errors.New("readiness.Talk: no endpoint to talk to: a probe before it has to learn one")
	default:
		err = checkUnixPath(t.Endpoint)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return Poll{
		What:     fmt.Sprintf("%v on %v", p, t.Endpoint),
		Check:    func(ctx context.Context, t Target) (Endpoint, error) { return Endpoint{}, p.attempt(ctx, t.Endpoint) },
		Schedule: p.Schedule.or(Schedule{First: 10 * time.Millisecond, Max: 250 * time.Millisecond, Attempt: dialAttempt, Final: finalTalk}),
	}.Wait(ctx, t)
}

// String describes the probe.
func (p Talk) String() string {
	what := "an answer"
	if p.Send != "" {
		what += " to " + quoted([]byte(p.Send))
	}
	if p.Expect != nil {
		what += fmt.Sprintf(" that matches %q", p.Expect)
	}
	return what
}

func (p Talk) check() error {
	if p.Expect == nil {
		return errors.New("readiness.Talk.Expect: it is nil")
	}
	return p.Schedule.check("Talk")
}

// attempt talks once.
func (p Talk) attempt(ctx context.Context, e Endpoint) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return explain(err, e)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() // now
	// An error of the write is not the end: a server that speaks first may not read
	// until it has spoken, and a server that closes at once may have said why.
	_, sendErr := io.WriteString(conn, p.Send)
	said := make([]byte, 0, 1<<10)
	for {
		if len(said) == cap(said) {
			said = append(said, 0)[:len(said)]
		}
		n, err := conn.Read(said[len(said):min(cap(said), maxTalk)])
		said = said[:len(said)+n]
		switch {
		case n > 0 && p.Expect.Match(said):
			return nil
		case err == io.EOF && sendErr == nil:
			return fmt.Errorf("the answer of %v has ended, and does not match: %s", e, quoted(said))
		case err != nil:
			return fmt.Errorf("the answer of %v does not match: %s: %w", e, quoted(said), errors.Join(sendErr, err))
		case len(said) == maxTalk:
			return fmt.Errorf("the first %d bytes of the answer of %v do not match: %s", maxTalk, e, quoted(said))
		}
	}
}

// finalTalk reports whether talking will not get better after err.
func finalTalk(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial" && finalDial(err)
}
