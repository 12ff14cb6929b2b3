package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
)

// An ask asks a running daemon something in its own protocol.
type ask = func(ctx context.Context, pod *launcher.Pod) (string, error)

// talk sends something to the pod's endpoint, and returns what of the answer
// expect matches. A server that greets is sent nothing.
func talk(send, expect string) ask {
	return func(ctx context.Context, pod *launcher.Pod) (string, error) {
		conn, err := pod.Dial(ctx)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return converse(conn, send, regexp.MustCompile(expect))
	}
}

// talkTLS does the same over TLS, and trusts any certificate.
func talkTLS(send, expect string) ask {
	return func(ctx context.Context, pod *launcher.Pod) (string, error) {
		conn, err := pod.Dial(ctx)
		if err != nil {
			return "", err
		}
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // it has made its certificate itself
		defer secure.Close()
		return converse(secure, send, regexp.MustCompile(expect))
	}
}

// converse does what talk says, over conn.
func converse(conn net.Conn, send string, expect *regexp.Regexp) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, send); err != nil {
		return "", err
	}
	var said []byte
	for buffer := make([]byte, 4096); ; {
		n, err := conn.Read(buffer)
		said = append(said, buffer[:n]...)
		if found := expect.Find(said); found != nil {
			return printable(found), nil
		}
		if err != nil {
			return "", fmt.Errorf("%q does not match %s: %w", said, expect, err)
		}
	}
}

// printable returns an answer as people can read it: as text, or else with its
// bytes escaped.
func printable(answer []byte) string {
	text := strings.TrimSpace(strings.NewReplacer("\r\n", " ", "\n", " ").Replace(string(answer)))
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		text = strings.Trim(strconv.QuoteToASCII(string(answer)), `"`)
	}
	return text
}

// page asks for a page, and returns what of it expect matches.
func page(path, expect string) ask {
	return func(ctx context.Context, pod *launcher.Pod) (string, error) {
		body, err := get(ctx, pod, path)
		if err != nil {
			return "", err
		}
		found := regexp.MustCompile(expect).FindString(body)
		if found == "" {
			err = fmt.Errorf("GET %s: %q does not match %s", path, body, expect)
		}
		return found, err
	}
}

// lookUp asks a name server for the address of a name, over TCP.
func lookUp(host, address string) ask {
	return func(ctx context.Context, pod *launcher.Pod) (string, error) {
		resolver := net.Resolver{
			PreferGo: true,
			Dial:     func(ctx context.Context, _, _ string) (net.Conn, error) { return pod.Dial(ctx) },
		}
		found, err := resolver.LookupHost(ctx, host+".")
		answer := strings.Join(found, " ")
		if err == nil && answer != address {
			err = errors.New("the wrong address")
		}
		return host + " is " + answer, err
	}
}
