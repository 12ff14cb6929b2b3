package nomad_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/fakeengine"
	"github.com/podlaunch/podlaunch/launcher"
)

// secure puts TLS before e. It returns the URL, and a file with the authority.
func secure(t *testing.T, e *fakeengine.Engine, change func(*tls.Config)) (*httptest.Server, string) {
	t.Helper()
	target, err := url.Parse(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(proxy(target))
	s.TLS = &tls.Config{}
	if change != nil {
		change(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca
}

// E4: a launcher that does not trust the agent, or that the agent does not trust, fails at
// once, in stage start, and nothing may still be running.
func TestTLS(t *testing.T) {
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	s, ca := secure(t, e, nil)
	strict, strictCA := secure(t, e, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	cert, key := pair(t, s)
	for name, c := range map[string]struct {
		url    string
		env    map[string]string
		engine nomad.TLS
		fails  error
		says   string
	}{
		"unknown authority":     {url: s.URL, fails: nomad.ErrTLS, says: "certificate"},
		"NOMAD_CACERT":          {url: s.URL, env: map[string]string{"NOMAD_CACERT": ca}},
		"NOMAD_CAPATH":          {url: s.URL, env: map[string]string{"NOMAD_CAPATH": filepath.Dir(ca)}},
		"CACert":                {url: s.URL, engine: nomad.TLS{CACert: ca}},
		"NOMAD_SKIP_VERIFY":     {url: s.URL, env: map[string]string{"NOMAD_SKIP_VERIFY": "true"}},
		"NOMAD_TLS_SERVER_NAME": {url: s.URL, env: map[string]string{"NOMAD_CACERT": ca, "NOMAD_TLS_SERVER_NAME": "example.com"}},
		"another name":          {url: s.URL, env: map[string]string{"NOMAD_CACERT": ca, "NOMAD_TLS_SERVER_NAME": "example.org"}, fails: nomad.ErrTLS, says: "example.org"},
		"no certificate":        {url: strict.URL, env: map[string]string{"NOMAD_CACERT": strictCA}, fails: nomad.ErrTLS, says: "certificate required"},
		"NOMAD_CLIENT_CERT":     {url: strict.URL, env: map[string]string{"NOMAD_CACERT": strictCA, "NOMAD_CLIENT_CERT": cert, "NOMAD_CLIENT_KEY": key}},
		"no key":                {url: s.URL, env: map[string]string{"NOMAD_CACERT": ca, "NOMAD_CLIENT_CERT": cert}, says: "there must be both or none"},
		"no such file":          {url: s.URL, env: map[string]string{"NOMAD_CACERT": ca + "x"}, fails: os.ErrNotExist, says: "read an authority"},
		"not a bool":            {url: s.URL, env: map[string]string{"NOMAD_SKIP_VERIFY": "perhaps"}, says: "$NOMAD_SKIP_VERIFY"},
		"not TLS":               {url: strings.Replace(e.URL(), "http:", "https:", 1), fails: nomad.ErrTLS, says: "HTTP response to HTTPS"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			n := nomad.Engine{Address: c.url, TLS: c.engine}
			l := newLauncher(t, n)
			l.Ready = onlyLine
			pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
			if err == nil {
				if c.says != "" {
					t.Errorf("it was launched, and must not be: %s", c.says)
				}
				if err := pod.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				nothingLeft(t, e)
				return
			}
			var failure *launcher.Error
			if !errors.As(err, &failure) || failure.Stage != launcher.StageStart || failure.Leftover != nil || c.says == "" || c.fails != nil && !errors.Is(err, c.fails) {
				t.Fatalf("%#v: %v", failure, err)
			}
			mustSay(t, err, c.says)
		})
	}
	nomad.CloseIdleConnections()
}

// A watch may fail while its last subscription is closed.
func TestWatchFailsAsItIsClosed(t *testing.T) {
	e := fakeengine.New(t)
	s, _ := secure(t, e, nil)
	l := newLauncher(t, nomad.Engine{Address: s.URL})
	l.Ready = onlyLine
	for range 100 {
		if _, err := l.Launch(t.Context(), launcher.Spec{Name: "web"}); !errors.Is(err, nomad.ErrTLS) {
			t.Fatal(err)
		}
	}
	nomad.CloseIdleConnections()
}

// The token, the namespace and the region of the environment go with each call.
func TestEnvironment(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("X-Nomad-Token")+" "+r.FormValue("namespace")+" "+r.FormValue("region"))
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer s.Close()
	t.Setenv("NOMAD_ADDR", s.URL)
	t.Setenv("NOMAD_TOKEN", "secret")
	t.Setenv("NOMAD_NAMESPACE", "mine")
	t.Setenv("NOMAD_REGION", "north")
	l := newLauncher(t, engine(t, ""))
	if _, err := l.Launch(t.Context(), launcher.Spec{Name: "web"}); !errors.Is(err, nomad.ErrForbidden) {
		t.Error(err)
	}
	for _, call := range seen {
		if call != "secret mine north" {
			t.Errorf("a call had %q", call)
		}
	}
	if len(seen) == 0 {
		t.Error("there was no call")
	}
}

// E2: the agent refuses more connections for as long as the launch may take: that is
// what the error says, and nothing may be left.
func TestBusy(t *testing.T) {
	e := fakeengine.New(t)
	e.Busy = true
	l := newLauncher(t, engine(t, e.URL()))
	l.Timeout = time.Second // time enough for a call
	err := failed(t, t.Context(), l, e, launcher.Spec{})
	mustBe(t, err, launcher.StageStart, nomad.ErrBusy)
	mustSay(t, err, "429", "takes no more connections")
}

// Too few connections are refused before anything is touched; the fewest are enough.
func TestFewConns(t *testing.T) {
	t.Cleanup(nomad.CloseIdleConnections)
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	for _, few := range []int{-1, 3} {
		err := failed(t, t.Context(), newLauncher(t, nomad.Engine{Address: e.URL(), MaxConns: few}), e, launcher.Spec{})
		mustSay(t, err, "nomad.Engine.MaxConns", "at least 4")
	}
	l := newLauncher(t, nomad.Engine{Address: e.URL(), MaxConns: 4})
	l.Ready = onlyLine
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web", Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// More logs are followed than there are connections for: they take turns, so that the one
// that comes last is read as well.
func TestLogsTakeTurns(t *testing.T) {
	t.Cleanup(nomad.CloseIdleConnections)
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	l := newLauncher(t, nomad.Engine{Address: e.URL(), MaxConns: 4})
	l.Ready = onlyLine
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // and the watch is one of the three that may stay open
		r, err := pod.Follow(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(r)
		if line, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("read %q, %v", line, err)
		}
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(io.Discard, lines) }) // it goes on, and ends with Close
		defer reading.Wait()
		defer r.Close()
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	nothingLeft(t, e)
}

// E2: however many logs are read, a pod can be stopped, and there is one watch.
func TestManyPods(t *testing.T) {
	const pods, most = 40, 24
	e := fakeengine.New(t)
	e.Run = announces(server(t))
	t.Cleanup(nomad.CloseIdleConnections)
	n := nomad.Engine{Address: e.URL(), MaxConns: most}
	l := newLauncher(t, n)
	l.Ready = onlyLine
	all := make([]*launcher.Pod, pods)
	var launched sync.WaitGroup
	for i := range all {
		launched.Go(func() {
			var err error
			if all[i], err = l.Launch(t.Context(), launcher.Spec{Name: fmt.Sprintf("web%d", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	launched.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if n := e.MostConns(); n > most+most/2 { // that one was closed the engine sees a moment later
		t.Errorf("there were %d connections at a time, and may be %d", n, most)
	}
	e.Await(func() bool { return e.Streams() == 0 })
	if n := goroutines(2*pods + 1); n > 2*pods+1 { // and the watch
		t.Errorf("%d pods have %d goroutines", pods, n)
	}
	// Each log that is followed is a stream, and there is room for few.
	var logs []interface{ Close() error }
	for _, pod := range all[:most-17] {
		r, err := pod.Follow(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		go r.Read(make([]byte, 1)) // ends with Close
		logs = append(logs, r)
	}
	for _, pod := range all {
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, r := range logs {
		r.Close()
	}
	if calls := e.Calls(); calls["GET /v1/event/stream"] != 1 {
		t.Errorf("there were %d watches", calls["GET /v1/event/stream"])
	}
	nothingLeft(t, e)
}

// fleet launches n pods on e, and releases them.
func fleet(t *testing.T, e *fakeengine.Engine, n int) (*launcher.Launcher, []string) {
	t.Helper()
	e.Run = announces(server(t))
	l := newLauncher(t, engine(t, e.URL()))
	l.Ready = onlyLine
	names := make([]string, n)
	var launched sync.WaitGroup
	for i := range names {
		names[i] = fmt.Sprintf("web%d", i)
		launched.Go(func() {
			pod, err := l.Launch(t.Context(), launcher.Spec{Name: names[i]})
			if err != nil {
				t.Error(err)
				return
			}
			pod.Release()
		})
	}
	launched.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return l, names
}

// stopAll stops the pods that fleet has launched.
func stopAll(t *testing.T, l *launcher.Launcher, names []string) {
	t.Helper()
	for _, name := range names {
		pod, err := l.Attach(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// since is which calls were made after before, and how often.
func since(e *fakeengine.Engine, before map[string]int) map[string]int {
	made := e.Calls()
	maps.DeleteFunc(made, func(call string, n int) bool {
		made[call] = n - before[call]
		return made[call] == 0
	})
	return made
}

// manyPods is more than List deals with at a time.
const manyPods = 40

// E7: an engine that is out of reach holds List up once, however many pods there are, and
// is asked once. The next List does not wait for it at all.
func TestListHangs(t *testing.T) {
	e := fakeengine.New(t)
	l, names := fleet(t, e, manyPods)
	e.Change(func() { e.Hang = true })
	before := e.Calls()
	for _, bound := range []time.Duration{5 * time.Second, time.Second} { // Find waits for three
		began, seen := time.Now(), 0
		for s, err := range l.List(t.Context()) {
			seen++
			if !errors.Is(err, nomad.ErrUnreachable) || s.Name == "" {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
		if took := time.Since(began); seen != manyPods || took > bound {
			t.Errorf("%d pods were listed in %v", seen, took)
		}
	}
	if made := since(e, before); !maps.Equal(made, map[string]int{"GET /v1/allocations": 1}) {
		t.Errorf("the calls were %v", made)
	}
	e.Change(func() { e.Hang = false })
	for { // that it did not answer is believed for a moment
		pod, err := l.Attach(t.Context(), names[0])
		if err == nil {
			pod.Release()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	stopAll(t, l, names)
	nothingLeft(t, e)
}

// E7: List asks the engine once, however many pods there are. Two kinds of pods cost one
// more call each. The job of a pod that the engine does not know may have been registered
// after the question. The job of a pod that the engine has ended is removed, if it is
// still there.
func TestListAsksOnce(t *testing.T) {
	e := fakeengine.New(t)
	l, names := fleet(t, e, manyPods)
	stopAll(t, l, names[:1])
	list := func(states map[launcher.State]int, calls map[string]int) {
		t.Helper()
		before, got := e.Calls(), map[launcher.State]int{}
		for s, err := range l.List(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			got[s.State]++
		}
		if made := since(e, before); !maps.Equal(got, states) || !maps.Equal(made, calls) {
			t.Errorf("the states are %v, and the calls were %v", got, made)
		}
	}
	list(map[launcher.State]int{launcher.StateReady: manyPods - 1, launcher.StateGone: 1}, map[string]int{"GET /v1/allocations": 1, "DELETE /v1/job/{id}": 1})
	stopAll(t, l, names[1:])
	e.Forget()
	list(map[launcher.State]int{launcher.StateGone: manyPods}, map[string]int{"GET /v1/allocations": 1, "GET /v1/job/{id}": manyPods})
}

// A Find that gives up does not speak for the others: they ask for themselves.
func TestSnapshotDropped(t *testing.T) {
	e := fakeengine.New(t)
	l, names := fleet(t, e, 1)
	e.Change(func() { e.Hang = true })
	snapshot, before := l.Starter.(launcher.Snapshotter).Snapshot(), e.Calls()
	id := uuid.MustParse(strings.TrimPrefix(e.Jobs()[0], names[0]+"-"))
	ctx, cancel := context.WithCancel(t.Context())
	var gaveUp sync.WaitGroup
	gaveUp.Go(func() {
		if _, err := snapshot.Find(ctx, names[0], id); !errors.Is(err, context.Canceled) {
			t.Errorf("it was cancelled, and Find says %v", err)
		}
	})
	e.Await(func() bool { return e.Calls()["GET /v1/allocations"] > before["GET /v1/allocations"] })
	var found sync.WaitGroup
	found.Go(func() {
		p, err := snapshot.Find(t.Context(), names[0], id)
		if err != nil {
			t.Error(err)
			return
		}
		p.(launcher.Releaser).Release()
	})
	e.Change(func() { e.Hang = false }) // the question that is under way still hangs
	cancel()
	gaveUp.Wait()
	found.Wait()
	stopAll(t, l, names)
}

// proxy passes everything on to target, as it comes.
func proxy(target *url.URL) http.Handler {
	p := httputil.NewSingleHostReverseProxy(target)
	p.FlushInterval = -1
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return p
}

// pair writes the certificate of s and its key into files.
func pair(t *testing.T, s *httptest.Server) (cert, key string) {
	t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// goroutines counts those of the launcher and of the strategies here, once they are not
// more than want, or after a while: a launch closes its log when it is over.
func goroutines(want int) (n int) {
	stacks := make([]byte, 8<<20)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n = 0
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if (strings.Contains(stack, "podlaunch/launcher.") || strings.Contains(stack, "examples/nomad.(")) && !strings.Contains(stack, "testing.tRunner") {
				n++
			}
		}
		if n <= want || time.Now().After(end) {
			return n
		}
	}
}
