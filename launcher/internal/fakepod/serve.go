package fakepod

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func listen(_ *pod, path string) error {
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err == nil {
		go serve(l, pong)
	}
	return err
}

func mute(p *pod, path string) error {
	l, err := net.Listen("unix", path)
	if err == nil {
		done := make(chan struct{})
		go serve(l, func(net.Conn) { <-done })
	}
	return err
}

// tcp listens, and knows its address.
func tcp(p *pod, addr string) error {
	l, err := p.listenTCP(addr)
	if err == nil {
		go serve(l, pong)
	}
	return err
}

func (p *pod) listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	at := l.Addr().String()
	p.addr.Store(&at)
	return l, nil
}

// serve hands each connection to its own call of talk.
func serve(l net.Listener, talk func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			talk(conn)
		}()
	}
}

// pong sends each line that comes back, after "pong ".
func pong(conn net.Conn) {
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		fmt.Fprintf(conn, "pong %s\n", lines.Text())
	}
}
