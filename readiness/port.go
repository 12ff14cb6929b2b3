package readiness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// moment is how long a socket has to listen if the pod did not announce it. A program
// that looks whether its port is free listens on it, for about a millisecond, and on a
// busy machine for some more.
const moment = 100 * time.Millisecond

// A place is an address at which the pod may be reached.
type place struct {
	Endpoint
	proven bool // it counts only if the pod is seen to listen there
}

// places returns where to look for a pod that listens on e, as it was configured:
// on every loopback if the host stands for all.
func places(e Endpoint) ([]place, error) {
	host, port, err := net.SplitHostPort(e.Address)
	if err == nil {
		_, err = loopback(e.Address)
	}
	if err != nil {
		return nil, err
	}
	hosts := []string{"127.0.0.1", "::1"}
	switch host {
	case "", "*", "0.0.0.0":
	case "::":
		slices.Reverse(hosts)
	default:
		return []place{{Endpoint: e}}, nil
	}
	var found []place
	for _, host := range hosts {
		if six := host == "::1"; e.Network == "tcp4" && six || e.Network == "tcp6" && !six {
			continue
		}
		found = append(found, place{Endpoint: Endpoint{Network: e.Network, Address: net.JoinHostPort(host, port)}})
	}
	return found, nil
}

// learnedPlaces returns where to look for a pod that listens on e, as an earlier probe
// learned. If the pod said only its port, that probe knows only that it is a loopback. So
// the other loopback counts as well, if it is the pod's.
func learnedPlaces(e Endpoint) []place {
	found := []place{{Endpoint: e}}
	host, port, err := net.SplitHostPort(e.Address)
	other := map[string]string{"127.0.0.1": "::1", "::1": "127.0.0.1"}[host]
	if err == nil && e.Network == "tcp" && other != "" {
		found = append(found, place{Endpoint{Network: e.Network, Address: net.JoinHostPort(other, port)}, true})
	}
	return found
}

// anyOf names places for a person.
func anyOf(all []place) string {
	var names []string
	for _, p := range all {
		if !p.proven {
			names = append(names, p.Endpoint.String())
		}
	}
	return strings.Join(names, " or ")
}

// firstOf tries each of the places, and returns the first that is good. If none is, it
// returns the most telling error: of a place with a stranger, else of a place where a
// process answers, else of the first.
func firstOf(all []place, try func(place) error) (Endpoint, error) {
	var err error
	weight := 0
	for _, p := range all {
		this := try(p)
		if this == nil {
			return p.Endpoint, nil
		}
		w := 2
		if errors.Is(this, ErrForeignPeer) {
			w = 3
		} else if op := (*net.OpError)(nil); errors.As(this, &op) && op.Op == "dial" {
			w = 1
		}
		if w > weight && !(p.proven && w < 3) {
			err, weight = this, w
		}
	}
	return Endpoint{}, err
}

// A dialling is how a probe reaches a port.
type dialling struct {
	target       Target
	anybody      bool // whose port it is does not matter
	noConnect    bool
	field, allow string // what lets a stranger answer
}

// reach makes one attempt to reach the pod at p, and does not keep the connection.
// It returns where it was, if that is on this machine.
func (d dialling) reach(ctx context.Context, p place) (at netip.AddrPort, err error) {
	if d.noConnect {
		return d.look(ctx, p)
	}
	conn, err := d.dial(ctx, p)
	if err != nil {
		return at, err
	}
	defer conn.Close()
	return sameMachine(conn), nil
}

// stays reports whether the socket that was reached at p, which is at, listens for a
// moment. Where the system does not show the socket, a process has to answer once more.
func (d dialling) stays(ctx context.Context, p place, at netip.AddrPort) bool {
	before := tcpListeners(at)
	switch {
	case !sleep(ctx, moment):
		return false
	case len(before) > 0:
		return slices.ContainsFunc(tcpListeners(at), func(inode uint64) bool { return slices.Contains(before, inode) })
	}
	_, err := d.reach(ctx, p)
	return err == nil
}

// dial connects to p, and makes sure that no stranger listens there.
func (d dialling) dial(ctx context.Context, p place) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, p.Network, p.Address)
	if err != nil {
		return nil, err
	}
	if err := d.admit(sameMachine(conn), p); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// look makes sure that a process listens at p, and that it is no stranger.
func (d dialling) look(ctx context.Context, p place) (at netip.AddrPort, err error) {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		return at, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[p.Network], host)
	if err != nil {
		return at, err
	}
	for _, ip := range ips {
		at, err = netip.ParseAddrPort(net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil && len(tcpListeners(at)) > 0 {
			return at, d.admit(at, p)
		}
	}
	return at, &net.OpError{Op: "dial", Net: p.Network, Addr: net.TCPAddrFromAddrPort(at), Err: os.NewSyscallError("look", syscall.ECONNREFUSED)}
}

// admit returns nil if the listener at at, the place p, may be the pod.
func (d dialling) admit(at netip.AddrPort, p place) error {
	if d.anybody && !p.proven {
		return nil
	}
	who := ownerUnknown
	if d.target.PID > 0 && at.IsValid() {
		var err error
		if who, err = ownedBy(tcpListeners(at), d.target, d.field, d.allow); err != nil {
			return refusal{fmt.Errorf("%v: %w", p.Endpoint, err)}
		}
	}
	if p.proven && who != ownerPod {
		return fmt.Errorf("nobody of the pod is seen to listen on %v", p.Endpoint)
	}
	return nil
}

// sameMachine returns the remote address of conn, if it is on this machine: then both
// ends have the same address.
func sameMachine(conn net.Conn) (at netip.AddrPort) {
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	remote, okRemote := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !okRemote || !local.IP.Equal(remote.IP) {
		return at
	}
	return netip.AddrPortFrom(remote.AddrPort().Addr().Unmap(), remote.AddrPort().Port())
}

// checkNoConnect refuses a look where the system does not show listeners.
func checkNoConnect(field string, noConnect bool) error {
	if noConnect && !tellsListeners {
		return fmt.Errorf("%s: this system does not show who listens: %w", field, errors.ErrUnsupported)
	}
	return nil
}
