//go:build unix

package readiness_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// serve serves HTTP on l until the test ends; with TLS if secure is not nil.
func serve(t *testing.T, l net.Listener, secure *tls.Config, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if l != nil {
		s.Listener.Close()
		s.Listener = l
	}
	if secure != nil {
		s.TLS = secure
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// at is the pod that was learned to listen on l.
func at(t *testing.T, l net.Listener) readiness.Target {
	target := target(t, nil)
	target.Endpoint = readiness.Endpoint{Network: l.Addr().Network(), Address: l.Addr().String()}
	return target
}

// echo answers with what was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s host %s token %s", r.Method, r.URL, r.Host, r.Header.Get("X-Token"))
}

// contains is a predicate for a body.
func contains(what string) func([]byte) error {
	return func(body []byte) error {
		if !strings.Contains(string(body), what) {
			return fmt.Errorf("%q lacks %q", body, what)
		}
		return nil
	}
}

// The fields describe the request, and the endpoint is where it went: a fixed host, or
// a learned port or unix socket.
func TestHTTPAsks(t *testing.T) {
	tcp := serve(t, nil, nil, echo)
	socket := serve(t, listen(t, filepath.Join(shortDir(t), "sock")), nil, echo)
	addr := tcp.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	for _, c := range []struct {
		p      readiness.HTTP
		target readiness.Target
		said   string
	}{
		{readiness.HTTP{URL: tcp.URL}, at(t, socket.Listener), "GET / host " + addr},
		{readiness.HTTP{URL: tcp.URL + "/a?b=c"}, target(t, nil), "GET /a?b=c host " + addr},
		{readiness.HTTP{URL: "http://0.0.0.0:" + port + "/a"}, target(t, nil), "GET /a host 0.0.0.0:" + port},
		{readiness.HTTP{URL: "/healthz"}, at(t, tcp.Listener), "GET /healthz host " + addr},
		{readiness.HTTP{URL: "http:///healthz"}, at(t, socket.Listener), "GET /healthz host localhost"},
		{readiness.HTTP{URL: "/", Method: "OPTIONS"}, at(t, socket.Listener), "OPTIONS / host localhost"},
		{
			readiness.HTTP{URL: "/", Header: http.Header{"host": {"example.org"}, "X-Token": {"a b"}}},
			at(t, socket.Listener), "GET / host example.org token a b",
		},
	} {
		c.p.Body = contains(c.said)
		want := c.target.Endpoint
		if strings.Contains(c.p.URL, "http://1") || strings.Contains(c.p.URL, "http://0") {
			want = readiness.Endpoint{Network: "tcp", Address: addr}
		}
		e, err := c.p.Wait(t.Context(), c.target)
		if err != nil || e != want {
			t.Errorf("%v: got %v, %v, want %v", c.p, e, err, want)
		}
	}
}

// Which answers are the wanted one, and what the error says of any other: it is
// asked again, and a redirect is not followed.
func TestHTTPJudges(t *testing.T) {
	s := serve(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/starting":
			http.Error(w, "replaying\nthe journal", http.StatusServiceUnavailable)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/long":
			io.WriteString(w, strings.Repeat("x", 1<<20))
		case "/torn":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		default:
			io.WriteString(w, "ok")
		}
	})
	accept := func([]byte) error { return nil }
	for _, c := range []struct {
		p    readiness.HTTP
		says string // empty: it is the wanted answer
	}{
		{readiness.HTTP{URL: "/ok"}, ""},
		{readiness.HTTP{URL: "/hints"}, ""},
		{readiness.HTTP{URL: "/none"}, ""},
		{readiness.HTTP{URL: "/none", Body: accept}, ""},
		{readiness.HTTP{URL: "/none", Status: 204}, ""},
		{readiness.HTTP{URL: "/moved", Status: 302}, ""},
		{readiness.HTTP{URL: "/starting", Status: 503}, ""},
		{readiness.HTTP{URL: "/torn"}, ""},
		{readiness.HTTP{URL: "/ok", Body: contains("ok")}, ""},
		{readiness.HTTP{URL: "/ok", Method: "HEAD", Body: accept}, ""},
		{readiness.HTTP{URL: "/long", Body: contains(strings.Repeat("x", 64<<10))}, ""},
		{readiness.HTTP{URL: "/ok", Status: 204}, `the answer is 200 OK: "ok"`},
		{readiness.HTTP{URL: "/moved"}, `the answer is 302 Found, a redirect to "/ok", which is not followed`},
		{readiness.HTTP{URL: "/starting"}, `the answer is 503 Service Unavailable: "replaying\nthe journal"`},
		{readiness.HTTP{URL: "/ok", Body: contains("fine")}, `the body of the answer: "ok" lacks "fine"`},
		{readiness.HTTP{URL: "/long", Body: contains("y")}, `lacks "y"`},
		{readiness.HTTP{URL: "/torn", Body: accept}, "unexpected EOF"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		asked := make(chan error, 100)
		c.p.Final = func(err error) bool {
			if asked <- err; len(asked) == 2 {
				cancel(errOver)
			}
			return false
		}
		_, err := c.p.Wait(ctx, at(t, s.Listener))
		if c.says == "" {
			if err != nil {
				t.Errorf("%v: %v", c.p, err)
			}
			continue
		}
		if e := pending(t, err, errOver); e.Attempts < 2 {
			t.Errorf("%v: it was not tried again: %v", c.p, err)
		}
		mustSay(t, err, c.says)
	}
}

// A port on which nobody listens is tried again, until somebody does; what is
// there must speak HTTP, and an answer that never ends does not hold the wait.
func TestHTTPRetries(t *testing.T) {
	t.Parallel()
	addr, _ := tcpPort(t)
	_, took, err := await(t, readiness.HTTP{URL: "http://" + addr + "/healthz"}, target(t, nil))
	e := pending(t, err, errOver)
	if took != patience || e.Attempts < int(patience/(250*time.Millisecond)) {
		t.Errorf("after %v: %v", took, err)
	}
	if want := "2xx in answer to GET http://" + addr + "/healthz at tcp:" + addr; e.Waiting != want {
		t.Errorf("got %q, want %q", e.Waiting, want)
	}
	mustBe(t, err, syscall.ECONNREFUSED)

	var asked atomic.Int32
	s := serve(t, nil, nil, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		switch asked.Add(1) {
		case 1: // and hang up
			conn.Close()
		case 2:
			io.WriteString(conn, "220 ready\r\n")
			conn.Close()
		case 3: // not a word
			t.Cleanup(func() { conn.Close() })
		default:
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			conn.Close()
		}
	})
	p := readiness.HTTP{URL: "/", Body: contains("ok"), Schedule: readiness.Schedule{Attempt: 200 * time.Millisecond}}
	if _, err := p.Wait(t.Context(), at(t, s.Listener)); err != nil || asked.Load() < 4 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

// The end of the wait ends a request that hangs, promptly, with its cause.
func TestHTTPCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	release := make(chan struct{})
	s := serve(t, nil, nil, func(http.ResponseWriter, *http.Request) {
		cancel(errOver)
		<-release
	})
	defer close(release)
	p := readiness.HTTP{URL: "/", Schedule: readiness.Schedule{Attempt: time.Hour}}
	_, err := p.Wait(ctx, at(t, s.Listener))
	if e := pending(t, err, errOver); e.Attempts != 1 {
		t.Errorf("%+v", e)
	}
}

// A server with TLS passes if its certificate is known, by the URL's scheme or because
// TLS is set, on a unix socket too. Final are an unknown certificate, a server that
// wants a certificate of ours, and a server that speaks no TLS.
func TestHTTPTLS(t *testing.T) {
	s := serve(t, nil, &tls.Config{}, echo)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	known := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	socket := serve(t, listen(t, filepath.Join(shortDir(t), "sock")), &tls.Config{}, echo)
	strict := serve(t, nil, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, echo)
	plain := serve(t, nil, nil, echo)
	for _, c := range []struct {
		p    readiness.HTTP
		at   *httptest.Server
		says string // empty: it is ready
	}{
		{readiness.HTTP{URL: s.URL + "/a", TLS: known}, s, ""},
		{readiness.HTTP{URL: "/a", TLS: known}, s, ""},
		{readiness.HTTP{URL: "/a", TLS: known}, socket, ""},
		{readiness.HTTP{URL: "https:///a", TLS: &tls.Config{InsecureSkipVerify: true}}, s, ""},
		{readiness.HTTP{URL: s.URL + "/a"}, s, "certificate"},
		{readiness.HTTP{URL: "https:///a"}, s, "certificate"},
		{readiness.HTTP{URL: "/a", TLS: &tls.Config{RootCAs: roots}}, socket, "not localhost"},
		{readiness.HTTP{URL: "/a", TLS: known}, strict, "certificate required"},
		{readiness.HTTP{URL: "/a", TLS: known}, plain, "does not look like a TLS handshake"},
	} {
		before := known.Clone()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errOver)
		_, err := c.p.Wait(ctx, at(t, c.at.Listener))
		cancel()
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%v: %v", c.p, err)
		case c.says != "":
			mustSay(t, err, c.says)
			if p := (*readiness.PendingError)(nil); errors.As(err, &p) {
				t.Errorf("%v: it was tried again: %v", c.p, err)
			}
		}
		if known.ServerName != before.ServerName || len(known.NextProtos) != 0 {
			t.Error("the configuration was changed")
		}
	}
}

// What makes no sense is refused, by Wait and before the launch, with an error
// that names the field and tells no password.
func TestHTTPRefused(t *testing.T) {
	for _, c := range []struct {
		p    readiness.HTTP
		says string
	}{
		{readiness.HTTP{}, "readiness.HTTP.URL: it is empty"},
		{readiness.HTTP{URL: "http://me:secret@localhost/"}, "readiness.HTTP.URL"},
		{readiness.HTTP{URL: "http://me:secret@local host/"}, "readiness.HTTP.URL"},
		{readiness.HTTP{URL: "ftp://localhost/"}, `the scheme of "ftp://localhost/" is "ftp"`},
		{readiness.HTTP{URL: "localhost:80"}, "readiness.HTTP.URL"},
		{readiness.HTTP{URL: "healthz"}, "readiness.HTTP.URL"},
		{readiness.HTTP{URL: "http://"}, "neither a host nor a path"},
		{readiness.HTTP{URL: "http://localhost:0/"}, "the port 0"},
		{readiness.HTTP{URL: "http://localhost:99999/"}, `the port "99999"`},
		{readiness.HTTP{URL: "/", Method: "GET IT"}, "readiness.HTTP.Method"},
		{readiness.HTTP{URL: "/", Status: 99}, "readiness.HTTP.Status: it is 99"},
		{readiness.HTTP{URL: "/", Status: 600}, "readiness.HTTP.Status"},
		{readiness.HTTP{URL: "/", Header: http.Header{"A b": nil}}, `readiness.HTTP.Header: "A b"`},
		{readiness.HTTP{URL: "/", Header: http.Header{"": nil}}, `readiness.HTTP.Header: ""`},
		{readiness.HTTP{URL: "/", Header: http.Header{"A": {"b\nc"}}}, "readiness.HTTP.Header: the value of A"},
		{readiness.HTTP{URL: "/", Schedule: readiness.Schedule{Stable: -1}}, "readiness.HTTP.Stable"},
	} {
		_, took, err := await(t, c.p, target(t, nil))
		mustSay(t, err, c.says)
		if took != 0 || errors.Is(err, errOver) || strings.Contains(fmt.Sprint(err, c.p), "secret") {
			t.Errorf("%v: after %v: %v", c.p, took, err)
		}
		_, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{})
		mustSay(t, err, c.says)
	}
	for e, says := range map[readiness.Endpoint]string{
		{}:                                      "no probe before it",
		{Network: "udp", Address: ":1"}:         "nobody speaks HTTP",
		address("/" + strings.Repeat("p", 200)): "the limit for a socket",
	} {
		target := target(t, nil)
		target.Endpoint = e
		_, took, err := await(t, readiness.HTTP{URL: "/"}, target)
		mustSay(t, err, says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
	}
}

// As with TCP, somebody who answers at a fixed host before the pod is started
// fails the launch.
func TestHTTPStranger(t *testing.T) {
	taken := listenTCP(t)
	_, err := readiness.Prepare(t.Context(), readiness.HTTP{URL: "http://" + taken + "/"}, &readiness.Setup{})
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, "readiness.HTTP.URL", "tcp:"+taken, "readiness.HTTP.Shared")
	free, _ := tcpPort(t)
	for _, u := range []string{"https://" + free, "/"} {
		preparedIn(t, readiness.HTTP{URL: u}, "")
	}
	preparedIn(t, readiness.HTTP{URL: "http://" + taken, Shared: true}, "")
}

// Without a port it is the scheme's.
func TestHTTPPort(t *testing.T) {
	for scheme, port := range map[string]string{"http": "80", "https": "443"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOver)
		_, err := readiness.HTTP{URL: (&url.URL{Scheme: scheme, Host: "127.0.0.1", Path: "/"}).String()}.Wait(ctx, target(t, nil))
		pending(t, err, errOver)
		mustSay(t, err, "at tcp:127.0.0.1:"+port)
	}
}

// W32: the error calls an answer a redirect only if it is one, even if it has a
// Location. A TLS configuration does not matter to an http URL.
func TestHTTPIsNoRedirect(t *testing.T) {
	for status, redirect := range map[int]bool{http.StatusUnauthorized: false, http.StatusCreated: false, http.StatusFound: true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
		}))
		p := readiness.HTTP{URL: server.URL + "/", TLS: &tls.Config{}, Status: http.StatusTeapot, Schedule: readiness.Schedule{Final: func(error) bool { return true }}}
		_, err := p.Wait(t.Context(), target(t, nil))
		server.Close()
		mustSay(t, err, fmt.Sprintf("the answer is %d", status))
		if strings.Contains(err.Error(), "redirect") != redirect {
			t.Errorf("%d: %v", status, err)
		}
	}
}
