//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// accept plays a pod that was handed the socket f: it accepts n clients, and
// sends each a word.
func accept(t *testing.T, f *os.File, n int, word string) {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	if unixListener, ok := l.(*net.UnixListener); ok {
		unixListener.SetUnlinkOnClose(false)
	}
	defer l.Close()
	for range n {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, word)
		conn.Close()
	}
}

// connect connects to e without waiting for an answer.
func connect(t *testing.T, e readiness.Endpoint) net.Conn {
	t.Helper()
	conn, err := net.Dial(e.Network, e.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answered fails the test unless conn gets word.
func answered(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); string(buf[:n]) != word {
		t.Errorf("answered %q, %v; want %q", buf[:n], err, word)
	}
}

// learn returns what p says at once.
func (p *prepared) learn(t *testing.T) readiness.Endpoint {
	t.Helper()
	e, err := p.over(t)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The zero value listens in the runtime directory, for the user alone, before
// there is a pod; who connects is served once one accepts.
func TestListener(t *testing.T) {
	p := prepare(t, readiness.Listener{})
	want := readiness.Endpoint{Network: "unix", Address: filepath.Join(p.setup.RuntimeDir, "sock")}
	if e := p.learn(t); e != want {
		t.Fatalf("listens on %v, want %v", e, want)
	}
	if fi, err := os.Lstat(want.Address); err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	client := connect(t, want)
	accept(t, p.setup.Files[0], 1, "hello")
	answered(t, client, "hello")

	p = prepare(t, readiness.Listener{})
	blocks(t, p.setup.Files[0])
	if !slices.Equal(p.setup.Env, []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=sock"}) || !slices.Equal(p.setup.PIDEnv, []string{"LISTEN_PID"}) {
		t.Errorf("the pod is told %q and %q", p.setup.Env, p.setup.PIDEnv)
	}
}

// Where else it may listen.
func TestListenerPlaces(t *testing.T) {
	dir := shortDir(t)
	for _, l := range []readiness.Listener{
		{Network: "unix"},
		{Address: "other"},
		{Network: "unix", Address: filepath.Join(dir, "s")},
		{Network: "tcp", Address: "127.0.0.1:0"},
		{Network: "tcp4", Address: "localhost:0"},
	} {
		p := prepare(t, l)
		e := p.learn(t)
		if e.Network == "unix" && !filepath.IsAbs(e.Address) || strings.HasSuffix(e.Address, ":0") {
			t.Errorf("%v listens on %v", l, e)
		}
		client := connect(t, e)
		blocks(t, p.setup.Files[0])
		accept(t, p.setup.Files[0], 1, "hello")
		answered(t, client, "hello")
	}
}

// Several sockets are handed over one after the other, each with its name.
func TestListeners(t *testing.T) {
	p := prepare(t, readiness.Sequence{
		readiness.Listener{},
		readiness.Listener{Network: "tcp", Address: "127.0.0.1:0", Name: "http"},
		readiness.NotifyFD{},
	})
	if !slices.Equal(p.setup.Env, []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=sock:http"}) ||
		!slices.Equal(p.setup.PIDEnv, []string{"LISTEN_PID"}) || len(p.setup.Files) != 3 {
		t.Errorf("the pod is told %q and %q, with %d files", p.setup.Env, p.setup.PIDEnv, len(p.setup.Files))
	}
	_, err := readiness.Listener{Address: "admin"}.Prepare(t.Context(), p.setup)
	mustSay(t, err, "readiness.Listener", "descriptor 5", "taken already", "stand before")
	if !slices.Contains(p.setup.Env, "LISTEN_FDS=2") {
		t.Errorf("one that failed is counted: %q", p.setup.Env)
	}
}

// A listener of the caller's outlives each launch, and clients that come
// between two pods are served by the second.
func TestListenerOfTheCaller(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			address := map[string]string{"unix": filepath.Join(shortDir(t), "s"), "tcp": "127.0.0.1:0"}[network]
			own, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			probe := readiness.Listener{Listener: own}
			want := readiness.Endpoint{Network: network, Address: own.Addr().String()}
			for _, pod := range []string{"first", "second"} {
				client := connect(t, want) // there is no pod now
				p := prepare(t, probe)
				if e := p.learn(t); e != want {
					t.Errorf("%v, want %v", e, want)
				}
				accept(t, p.setup.Files[0], 1, pod)
				answered(t, client, pod)
				p.setup.CloseFiles()
				p.setup.Close()
			}
		})
	}
}

// Prepare replaces a stale socket. A socket that a process has open, and any other
// file, stays, and is an error that names the field.
func TestListenerTaken(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	taken := func(t *testing.T, parts ...string) {
		t.Helper()
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		setup := &readiness.Setup{Name: "pod", RuntimeDir: filepath.Dir(path)}
		_, err = readiness.Listener{Address: path}.Prepare(t.Context(), setup)
		setup.CloseFiles()
		setup.Close()
		mustSay(t, err, append(parts, "readiness.Listener.Address", path)...)
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("it is gone: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("answers", func(t *testing.T) {
		l := listen(t, path)
		taken(t, "is taken", fmt.Sprintf("of user %d answers", os.Geteuid()), "choose another path")
		l.Close()
	})
	t.Run("is bound", func(t *testing.T) {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		taken(t, "is taken", "a process has bound it")
	})
	t.Run("a file", func(t *testing.T) {
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		taken(t, "is no socket")
	})
	t.Run("a link to nowhere", func(t *testing.T) {
		if err := os.Symlink("nowhere", path); err != nil {
			t.Fatal(err)
		}
		taken(t, "is no socket")
	})
	t.Run("stale", func(t *testing.T) {
		l := listen(t, path).(*net.UnixListener)
		l.SetUnlinkOnClose(false)
		l.Close()
		p := prepare(t, readiness.Listener{Address: path})
		connect(t, p.learn(t))
	})
	t.Run("a port", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = readiness.Listener{Network: "tcp", Address: l.Addr().String()}.Prepare(t.Context(), &readiness.Setup{})
		mustBe(t, err, syscall.EADDRINUSE)
		mustSay(t, err, "readiness.Listener.Address")
	})
}

// When the launch is over the socket stays for as long as the pod has it, and
// goes if nobody does: the pod has failed.
func TestListenerGoesWithThePod(t *testing.T) {
	p := prepare(t, readiness.Listener{})
	path := p.learn(t).Address
	p.setup.CloseFiles()
	p.setup.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody has it: %v", err)
	}

	p = prepare(t, readiness.Listener{})
	e := p.learn(t)
	p.setup.Close() // while the pod, which this is, has the socket
	client := connect(t, e)
	accept(t, p.setup.Files[0], 1, "hello") // and no client before that one
	answered(t, client, "hello")
}

// What makes no sense is an error that names the field.
func TestListenerBadInput(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for field, l := range map[string]readiness.Listener{
		"Network: \"udp\"":                       {Network: "udp", Address: "127.0.0.1:0"},
		"Network: it is \"tcp\"":                 {Network: "tcp", Listener: own},
		"Address: it is \"s\"":                   {Address: "s", Listener: own},
		"Address: it is empty":                   {Network: "tcp"},
		"Address: \"@pod\" is an abstract":       {Address: "@pod"},
		"Address: bind":                          {Address: strings.Repeat("long/", 50)},
		"Address: listen tcp: address":           {Network: "tcp", Address: "127.0.0.1"},
		"Name: \"a:b\"":                          {Name: "a:b"},
		"Listener: a struct":                     {Listener: struct{ net.Listener }{own}},
		"Address: listen on \"/nonexistent/dir/": {Address: "/nonexistent/dir/s"},
	} {
		setup := &readiness.Setup{Name: "pod", RuntimeDir: t.TempDir()}
		_, err := readiness.Any{l}.Prepare(t.Context(), setup)
		mustSay(t, err, "readiness.Listener."+field)
		if setup.Files != nil || setup.Env != nil {
			t.Errorf("%s: the pod is told %q, %v", field, setup.Env, setup.Files)
		}
		setup.Close()
	}
	_, err = readiness.Listener{}.Wait(t.Context(), readiness.Target{})
	mustSay(t, err, "readiness.Listener", "not prepared")
}

// The launcher called listen, not the pod. So the socket still is the pod's when
// another run of the launcher asks again.
func TestListenerVerify(t *testing.T) {
	p := prepare(t, readiness.Listener{})
	p.target.Endpoint, p.target.PID = p.learn(t), 1<<22+1 // the pod is nobody here
	for _, probe := range []readiness.Probe{readiness.Sequence{readiness.Listener{}, readiness.NotifySocket{}}, p.probe} {
		if err := readiness.Verify(t.Context(), probe, p.target); err != nil {
			t.Error(err)
		}
	}
	mustBe(t, readiness.Verify(t.Context(), readiness.Socket{}, p.target), readiness.ErrForeignPeer)

	stranger := readiness.Listener{Peer: func(peer readiness.Peer, t readiness.Target) error {
		peer.UID++
		return readiness.SameUser(peer, t)
	}}
	err := stranger.Verify(t.Context(), p.target)
	mustBe(t, err, readiness.ErrForeignPeer)
	mustSay(t, err, "readiness.Listener.Peer to readiness.AnyPeer")

	p.setup.CloseFiles()
	if err := (readiness.Listener{}).Verify(context.Background(), p.target); err == nil || errors.Is(err, readiness.ErrForeignPeer) {
		t.Errorf("nobody listens any more: %v", err)
	}
}
