package fakepod

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
)

// serveHTTP takes an address, statuses, and what is in all answers. One status
// is for one request, and the last for all that are left. It is no net/http,
// which would be linked into every fake pod, and started with each.
func serveHTTP(arg string) (action, error) {
	addr, rest, _ := strings.Cut(arg, " ")
	list, body, _ := strings.Cut(rest, " ")
	if addr == "" || list == "" {
		return nil, errors.New("the address or the status is missing")
	}
	var statuses []int
	for s := range strings.SplitSeq(list, ",") {
		status, err := strconv.Atoi(s)
		if err != nil || status < 200 || status > 999 {
			return nil, fmt.Errorf("%q is no status from 200 to 999", s)
		}
		statuses = append(statuses, status)
	}
	return func(p *pod) error {
		l, err := p.listenTCP(p.expand(addr))
		if err != nil {
			return err
		}
		body := p.expand(body)
		var count atomic.Int64
		go serve(l, func(conn net.Conn) {
			if takeRequest(conn) {
				n := min(int(count.Add(1)), len(statuses))
				answer(conn, statuses[n-1], body)
			}
		})
		return nil
	}, nil
}

// takeRequest reads one request, with its body, and reports whether there was
// one.
func takeRequest(conn io.Reader) bool {
	r := textproto.NewReader(bufio.NewReader(conn))
	if _, err := r.ReadLine(); err != nil {
		return false
	}
	header, err := r.ReadMIMEHeader()
	if err != nil {
		return false
	}
	length, _ := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	_, err = io.CopyN(io.Discard, r.R, length)
	return err == nil
}

func answer(conn io.Writer, status int, body string) {
	fmt.Fprintf(conn, "HTTP/1.1 %d fake\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body)
}
