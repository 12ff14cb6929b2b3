package readiness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// HTTP sends a request to a server in the pod, with HTTP/1.1, until it gets the
// answer that it waits for. Each attempt opens a connection of its own and closes
// it again. It uses no proxy. It does not follow a redirect, which is an answer like
// any other.
//
// As with [TCP], the launch fails with [ErrForeignPeer] if a process answers on a
// fixed host and port before the pod starts, or if a stranger answers later. A host
// that is empty or stands for all is every loopback. HTTP does not ask who serves a
// unix socket: put [Socket] or [Unix] before it.
//
// It tries again until it gets that answer. These errors are final, unless
// Schedule.Final says otherwise: the final errors of a dial, as in [TCP] and [Socket],
// a certificate that either side refuses, and a server that has to speak TLS and does
// not.
type HTTP struct {
	// URL of the request: "http://127.0.0.1:8080/healthz". Without a host, as in
	// "/healthz" or "https:///healthz", the request goes to the endpoint that an
	// earlier probe learned, which may be a unix socket. Required.
	URL string

	// Method of the request. Empty means GET.
	Method string

	// Header of the request; Host in it takes the place of the URL's host.
	Header http.Header

	// Status is the status of the wanted answer. 0 means any from 200 to 299.
	Status int

	// Body gets the first 64 KiB of the answer's body, and returns nil if it is the
	// wanted body. An error that it returns shows in the probe's error, and is final
	// if it is marked with [Final]. Nil means that any body will do.
	Body func(body []byte) error

	// TLS is how to speak TLS, and makes TLS the default for a URL without a scheme.
	// The probe does not change it, and does not use it for an http URL. Nil means
	// the system's certificates.
	TLS *tls.Config

	// Shared allows any process to answer at a fixed host, before the pod starts and
	// later; see [TCP.Shared].
	Shared bool

	// Schedule of the attempts. If it does not say otherwise, one takes two
	// seconds at most, the second is made after about 10 ms, and they come ever
	// more rarely, up to every 250 ms.
	Schedule
}

var (
	_ Probe    = HTTP{}
	_ Preparer = HTTP{}
)

const (
	maxHTTPHead = 64 << 10
	maxHTTPBody = 64 << 10
)

// Prepare implements [Preparer]: it makes sure that nobody answers at a host
// that is fixed.
func (p HTTP) Prepare(ctx context.Context, _ *Setup) (Probe, error) {
	a, err := p.ask()
	if err != nil {
		return nil, err
	}
	if a.at == nil || p.Shared {
		return p, nil
	}
	return p, mustNotAnswer(ctx, "HTTP", "URL", a.at)
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (p HTTP) Wait(ctx context.Context, t Target) (Endpoint, error) {
	a, err := p.ask()
	if err == nil {
		err = a.locate(t)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return Poll{
		What: fmt.Sprintf("%v at %v", p, anyOf(a.at)),
		Check: func(ctx context.Context, _ Target) (Endpoint, error) {
			return firstOf(a.at, func(at place) error { return a.attempt(ctx, at) })
		},
		Schedule: p.Schedule.or(Schedule{First: 10 * time.Millisecond, Max: 250 * time.Millisecond, Attempt: dialAttempt, Final: finalHTTP}),
	}.Wait(ctx, t)
}

// String describes the probe.
func (p HTTP) String() string {
	method, wanted := p.Method, "2xx"
	if method == "" {
		method = http.MethodGet
	}
	if p.Status != 0 {
		wanted = fmt.Sprint(p.Status)
	}
	what := "a URL that is none" // and may hold a password
	if u, err := url.Parse(p.URL); err == nil {
		what = u.Redacted()
	}
	return fmt.Sprintf("%s in answer to %s %s", wanted, method, what)
}

// An httpAsk is what an HTTP asks, and where.
type httpAsk struct {
	HTTP
	req *http.Request
	at  []place // none: the place that was learned
	d   dialling
}

// ask makes sure that the probe's fields can work.
func (p HTTP) ask() (*httpAsk, error) {
	if err := p.Schedule.check("HTTP"); err != nil {
		return nil, err
	}
	if p.Status != 0 && (p.Status < 101 || p.Status > 599) {
		return nil, fmt.Errorf("readiness.HTTP.Status: it is %d, and must be from 101 to 599, or 0 for any 2xx", p.Status)
	}
	if err := checkHeader(p.Header); err != nil {
		return nil, err
	}
	u, err := p.parse()
	if err != nil {
		return nil, err
	}
	a := &httpAsk{HTTP: p}
	if u.Host != "" {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if a.at, err = places(Endpoint{Network: "tcp", Address: net.JoinHostPort(u.Hostname(), port)}); err != nil {
			return nil, fmt.Errorf("readiness.HTTP.URL: it is %q: %w", p.URL, err)
		}
	}
	a.req, err = http.NewRequest(p.Method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("readiness.HTTP.Method: %w", err) // the URL is good
	}
	a.req.Close = true
	for name, values := range p.Header {
		a.req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := a.req.Header.Get("Host"); host != "" {
		a.req.Host = host
	}
	return a, nil
}

// parse takes the URL apart.
func (p HTTP) parse() (*url.URL, error) {
	u, err := url.Parse(p.URL)
	switch {
	case p.URL == "":
		return nil, errors.New("readiness.HTTP.URL: it is empty")
	case err != nil:
		return nil, fmt.Errorf("readiness.HTTP.URL: %w", err.(*url.Error).Err) // the rest may hold a password
	case u.User != nil:
		return nil, fmt.Errorf("readiness.HTTP.URL: %q holds a user: it belongs into Header, as Authorization", u.Redacted())
	case u.Opaque != "" || u.Path != "" && u.Path[0] != '/':
		return nil, fmt.Errorf("readiness.HTTP.URL: %q is neither http://host:port/path nor /path", p.URL)
	}
	if u.Scheme == "" {
		u.Scheme = "http"
		if p.TLS != nil {
			u.Scheme = "https"
		}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("readiness.HTTP.URL: the scheme of %q is %q, and must be http or https", p.URL, u.Scheme)
	case u.Host == "" && u.Path == "":
		return nil, fmt.Errorf("readiness.HTTP.URL: %q has neither a host nor a path", p.URL)
	}
	return u, nil
}

// checkHeader refuses what cannot be sent (RFC 9110, 5.1 and 5.5): the request
// would go out without it.
func checkHeader(h http.Header) error {
	for name, values := range h {
		odd := func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		}
		if name == "" || strings.ContainsFunc(name, odd) {
			return fmt.Errorf("readiness.HTTP.Header: %q is not the name of a field", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("readiness.HTTP.Header: the value of %s holds a control character", name)
			}
		}
	}
	return nil
}

// locate finds out where to ask, for t, if that is not fixed.
func (a *httpAsk) locate(t Target) error {
	a.d = dialling{target: t, anybody: a.Shared, field: "readiness.HTTP.Shared", allow: "true"}
	if a.at != nil {
		return nil
	}
	e := t.Endpoint
	host := e.Address
	switch {
	case e == (Endpoint{}):
		return fmt.Errorf("readiness.HTTP.URL: %q names no host, and no probe before it has learned an endpoint", a.URL)
	case e.Network == "unix":
		if err := checkUnixPath(e); err != nil {
			return err
		}
		host = "localhost"
	case !isTCP(e.Network):
		return fmt.Errorf("readiness.HTTP.URL: %q names no host, and on the endpoint that was learned, %v, nobody speaks HTTP", a.URL, e)
	}
	a.at = learnedPlaces(e)
	a.req.URL.Host = host
	if a.req.Host == "" {
		a.req.Host = host
	}
	return nil
}

// attempt asks once.
//
// It does not use http.Transport, which leaves goroutines behind. Some end a while
// after the request; a goroutine that dials ends only when the system gives up.
func (a *httpAsk) attempt(ctx context.Context, at place) error {
	conn, err := a.d.dial(ctx, at)
	if err != nil {
		return explain(err, at.Endpoint)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() // now
	if a.req.URL.Scheme == "https" {
		secure := tls.Client(conn, a.tls())
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("speak TLS with %v: %w", at.Endpoint, err)
		}
		conn = secure
	}
	if err := a.req.Write(conn); err != nil {
		return fmt.Errorf("ask %v: %w", at.Endpoint, err)
	}
	return a.judge(at.Endpoint, bufio.NewReader(io.LimitReader(conn, maxHTTPHead+maxHTTPBody)))
}

func (a *httpAsk) tls() *tls.Config {
	c := &tls.Config{}
	if a.TLS != nil {
		c = a.TLS.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = a.req.URL.Hostname()
	}
	c.NextProtos = []string{"http/1.1"}
	return c
}

// judge reads the answer, and reports what is wrong with it.
func (a *httpAsk) judge(at Endpoint, r *bufio.Reader) error {
	resp, err := http.ReadResponse(r, a.req)
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(r, a.req) // that was only the announcement of one
	}
	if err != nil {
		return fmt.Errorf("read the answer of %v: %w", at, err)
	}
	defer resp.Body.Close()
	wanted := resp.StatusCode == a.Status
	if a.Status == 0 {
		wanted = resp.StatusCode/100 == 2
	}
	if !wanted {
		const enough = 200
		start, _ := io.ReadAll(io.LimitReader(resp.Body, enough)) // as evidence, or nothing
		return unwanted(resp, start)
	}
	if a.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHTTPBody))
	if err != nil {
		return fmt.Errorf("read the body of the answer of %v: %w", at, err)
	}
	if err := a.Body(body); err != nil {
		return fmt.Errorf("the body of the answer: %w", err)
	}
	return nil
}

// unwanted says what the answer was.
func unwanted(resp *http.Response, start []byte) error {
	what := "the answer is " + resp.Status
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		what += fmt.Sprintf(", a redirect to %q, which is not followed", to)
	}
	if start = bytes.TrimSpace(start); len(start) > 0 {
		what += fmt.Sprintf(": %q", start)
	}
	return errors.New(what)
}

// finalHTTP reports whether asking will not get better after err.
func finalHTTP(err error) bool {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		switch op.Op {
		case "dial":
			return finalDial(err)
		case "remote error": // an alert, whose type is not exported
			return strings.Contains(op.Err.Error(), "certificate")
		}
	}
	if refused := (refusal{}); errors.As(err, &refused) {
		return true
	}
	var certificate *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &plain)
}
