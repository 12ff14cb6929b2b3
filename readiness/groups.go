package readiness

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// The groups of an expression from which an endpoint is taken.
const (
	groupNetwork = "network"
	groupAddress = "address"
	groupHost    = "host"
	groupPort    = "port"
)

// checkGroups makes sure that the named groups of an expression, which is the
// field called what, make an endpoint or none.
func checkGroups(what string, expr *regexp.Regexp) error {
	has := func(name string) bool { return expr.SubexpIndex(name) >= 0 }
	known := []string{"", groupNetwork, groupAddress, groupHost, groupPort}
	for _, name := range expr.SubexpNames() {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s: %q has a group called %q; those with a meaning are %s, and others must have no name",
				what, expr, name, strings.Join(known[1:], ", "))
		}
	}
	switch {
	case has(groupAddress) && (has(groupHost) || has(groupPort)):
		return fmt.Errorf("%s: %q has the group %s and also %s or %s: it must be the one or the others", what, expr, groupAddress, groupHost, groupPort)
	case has(groupHost) && !has(groupPort):
		return fmt.Errorf("%s: %q has the group %s without %s", what, expr, groupHost, groupPort)
	case has(groupNetwork) && !has(groupAddress) && !has(groupPort):
		return fmt.Errorf("%s: %q has the group %s without %s, or %s and %s", what, expr, groupNetwork, groupAddress, groupHost, groupPort)
	}
	return nil
}

// givesEndpoint reports whether the groups of expr make an endpoint.
func givesEndpoint(expr *regexp.Regexp) bool {
	return expr.SubexpIndex(groupAddress) >= 0 || expr.SubexpIndex(groupPort) >= 0
}

// groupsEndpoint makes an endpoint of what the groups of expr have matched in
// text, where match says. network is that of an expression without such a
// group; empty means "unix" for an absolute path and else "tcp". A relative
// path is taken from dir.
func groupsEndpoint(expr *regexp.Regexp, text []byte, match []int, network, dir string) (Endpoint, error) {
	values := map[string]string{}
	for i, name := range expr.SubexpNames() {
		if name == "" {
			continue
		}
		if match[2*i] < 0 || match[2*i] == match[2*i+1] {
			return Endpoint{}, fmt.Errorf("the group %s of %q is empty in %s", name, expr, quoted(text))
		}
		values[name] = string(text[match[2*i]:match[2*i+1]])
	}
	e := Endpoint{Network: network, Address: values[groupAddress]}
	if n, ok := values[groupNetwork]; ok {
		e.Network = n
	}
	if port, ok := values[groupPort]; ok {
		e.Address = net.JoinHostPort(strings.Trim(values[groupHost], "[]"), port)
	}
	if e.Network == "" {
		e.Network = "tcp"
		if strings.HasPrefix(e.Address, "/") {
			e.Network = "unix"
		}
	}
	e, err := reachable(e, dir)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w, in %s", err, quoted(text))
	}
	return e, nil
}
