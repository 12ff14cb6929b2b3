package nomad

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// TLS says how an agent is spoken to whose address begins with https. What is
// empty is taken from the variable that the nomad command reads.
type TLS struct {
	CACert     string // $NOMAD_CACERT: a file with the authorities that are trusted
	CAPath     string // $NOMAD_CAPATH: a directory of such files
	ClientCert string // $NOMAD_CLIENT_CERT: a file with the certificate of this side
	ClientKey  string // $NOMAD_CLIENT_KEY: a file with its key
	ServerName string // $NOMAD_TLS_SERVER_NAME: the name that the agent's certificate is for
	SkipVerify bool   // $NOMAD_SKIP_VERIFY: take the agent's certificate as it is
}

// withEnv returns t with what the environment says besides.
func (t TLS) withEnv() (TLS, error) {
	t.CACert = orEnv(t.CACert, "NOMAD_CACERT")
	t.CAPath = orEnv(t.CAPath, "NOMAD_CAPATH")
	t.ClientCert = orEnv(t.ClientCert, "NOMAD_CLIENT_CERT")
	t.ClientKey = orEnv(t.ClientKey, "NOMAD_CLIENT_KEY")
	t.ServerName = orEnv(t.ServerName, "NOMAD_TLS_SERVER_NAME")
	if skip := os.Getenv("NOMAD_SKIP_VERIFY"); skip != "" && !t.SkipVerify {
		is, err := strconv.ParseBool(skip)
		if err != nil {
			return t, fmt.Errorf("$NOMAD_SKIP_VERIFY: it is %q, and must be true or false", skip)
		}
		t.SkipVerify = is
	}
	if (t.ClientCert == "") != (t.ClientKey == "") {
		return t, fmt.Errorf("nomad.TLS: the certificate of this side is %q and its key %q: there must be both or none", t.ClientCert, t.ClientKey)
	}
	return t, nil
}

// config reads the files that t names.
func (t TLS) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify, MinVersion: tls.VersionTLS12}
	files, err := t.authorities()
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		c.RootCAs = x509.NewCertPool()
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("nomad.TLS: read an authority: %w", err)
		}
		if !c.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("nomad.TLS: there is no certificate in the file %q", name)
		}
	}
	if t.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(t.ClientCert, t.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("nomad.TLS: the certificate %q with the key %q: %w", t.ClientCert, t.ClientKey, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// authorities are the files with those that are trusted.
func (t TLS) authorities() (files []string, err error) {
	if t.CAPath != "" {
		if files, err = filepath.Glob(filepath.Join(t.CAPath, "*")); err != nil || len(files) == 0 {
			return nil, fmt.Errorf("nomad.TLS.CAPath: there are no files in %q: %w", t.CAPath, errors.Join(os.ErrNotExist, err))
		}
	}
	if t.CACert != "" {
		files = append(files, t.CACert)
	}
	return files, nil
}

// stamp changes when one of the files does.
func (t TLS) stamp() (stamp string) {
	files, _ := t.authorities()
	for _, name := range append(files, t.ClientCert, t.ClientKey) {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			stamp += fmt.Sprint(name, info.ModTime().UnixNano(), info.Size())
		}
	}
	return stamp
}

// isTLS reports whether the two sides do not agree on who they are, or on how to
// speak: that is no matter of time.
func isTLS(err error) bool {
	var op *net.OpError
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError)) ||
		errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError)) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// newClient returns a client with at most so many connections, for agents that are
// spoken to as c says; nil: as the system does by default.
func newClient(c *tls.Config, most int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxConnsPerHost:     most, // a request may dial, and then find another's that is idle
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		TLSClientConfig:     c,
	}}
}

// shared are the clients of all Engines without one of their own: they go to one
// address. There is one for each way to speak, and it is made anew if a file that
// it was made of changes.
var shared struct {
	sync.Mutex
	clients map[sharedKey]*sharedClient
}

type sharedKey struct {
	TLS
	most int
}

type sharedClient struct {
	stamp string
	*http.Client
}

// client returns who makes the requests of e.
func (e Engine) client() (*http.Client, error) {
	if e.Client != nil {
		if e.TLS != (TLS{}) {
			return nil, errors.New("nomad.Engine.TLS: it is set, and so is Client, whose Transport has its own: set one of the two")
		}
		return e.Client, nil
	}
	how, err := e.TLS.withEnv()
	if err != nil {
		return nil, err
	}
	stamp := how.stamp()
	shared.Lock()
	defer shared.Unlock()
	key := sharedKey{how, or(e.MaxConns, DefaultMaxConns)}
	old := shared.clients[key]
	if old != nil && old.stamp == stamp {
		return old.Client, nil
	}
	var c *tls.Config
	if how != (TLS{}) {
		if c, err = how.config(); err != nil {
			return nil, err
		}
	}
	if old != nil {
		old.CloseIdleConnections()
	}
	if shared.clients == nil {
		shared.clients = make(map[sharedKey]*sharedClient)
	}
	fresh := &sharedClient{stamp, newClient(c, key.most)}
	shared.clients[key] = fresh
	return fresh.Client, nil
}

// DefaultMaxConns is how many connections an [Engine] has at a time unless it says
// otherwise. An agent takes 100 from one address by default.
const DefaultMaxConns = 80

// minConns is how few there may be: one to follow the pods, one for a log, one for a log
// that is read besides, and one for all else.
const minConns = 4

// reserve is how many of the connections are kept for calls that are over soon:
// there is always one by which a pod can be stopped.
func reserve(most int) int { return min(16, most/minConns) }

// A road is the way to one agent, for all who use it in this program.
type road struct {
	streams, calls chan struct{} // have room for as many as may be under way
	waiting        atomic.Int32  // streams that there is no room for

	mu     sync.Mutex
	failed error     // why a question has failed for which it was waited long
	until  time.Time // and how long that is believed
}

// roads are those that were ever used: one for each address and client.
var roads struct {
	sync.Mutex
	by map[roadKey]*road
}

type roadKey struct {
	address string
	client  *http.Client
	most    int
}

// road returns the way to e's agent.
func (e Engine) road() *road {
	key := roadKey{orEnv(e.Address, "NOMAD_ADDR"), e.Client, max(minConns, or(e.MaxConns, DefaultMaxConns))}
	roads.Lock()
	defer roads.Unlock()
	r := roads.by[key]
	if r == nil {
		few := reserve(key.most)
		r = &road{streams: make(chan struct{}, key.most-few), calls: make(chan struct{}, few)}
		if roads.by == nil {
			roads.by = make(map[roadKey]*road)
		}
		roads.by[key] = r
	}
	return r
}

// enter waits until there is room for one more request, and returns what ends it.
// A stream may stay open for as long as it likes, and leaves the reserve alone.
func (r *road) enter(ctx context.Context, stream bool) (leave func(), err error) {
	room := r.calls
	if stream {
		room = r.streams
		r.waiting.Add(1)
		defer r.waiting.Add(-1)
	}
	select {
	case room <- struct{}{}:
		return sync.OnceFunc(func() { <-room }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: all of its own %d connections are in use (Engine.MaxConns); %w", ErrBusy, cap(room), context.Cause(ctx))
	}
}

const (
	// slow is how long a question may take that fails, and is not remembered.
	slow = time.Second

	// believed is how long it is remembered that nobody answers.
	believed = 3 * time.Second
)

// failure returns why there is no point in a question now; nil if there is one.
func (r *road) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.failed
	}
	return nil
}

// remember takes note of how a question went that began then.
func (r *road) remember(began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.until = time.Time{}
	case errors.Is(err, ErrUnreachable) && time.Since(began) > slow:
		r.failed, r.until = err, time.Now().Add(believed)
	}
}
