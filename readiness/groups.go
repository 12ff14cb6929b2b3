package readiness

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// The groups of an expression from which an endpoint and a value are taken.
const (
	groupNetwork = "network"
	groupAddress = "address"
	groupHost    = "host"
	groupPort    = "port"
	groupValue   = "value"
)

// A matching is an expression, and what its groups give.
type matching struct {
	field   string // where the expression comes from
	expr    *regexp.Regexp
	network string       // of an address, where no group tells it
	value   Fact[string] // gets what the group called value matches
}

// check makes sure that the named groups make an endpoint or none.
func (m matching) check() error {
	has := func(name string) bool { return m.expr.SubexpIndex(name) >= 0 }
	wanted := m.value != (Fact[string]{})
	known := []string{"", groupNetwork, groupAddress, groupHost, groupPort}
	if wanted || has(groupValue) {
		known = append(known, groupValue)
	}
	for _, name := range m.expr.SubexpNames() {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s: %q has a group called %q; those with a meaning are %s, and others must have no name",
				m.field, m.expr, name, strings.Join(known[1:], ", "))
		}
	}
	switch {
	case has(groupAddress) && (has(groupHost) || has(groupPort)):
		return fmt.Errorf("%s: %q has the group %s and also %s or %s: it must be the one or the others", m.field, m.expr, groupAddress, groupHost, groupPort)
	case has(groupHost) && !has(groupPort):
		return fmt.Errorf("%s: %q has the group %s without %s", m.field, m.expr, groupHost, groupPort)
	case has(groupNetwork) && !has(groupAddress) && !has(groupPort):
		return fmt.Errorf("%s: %q has the group %s without %s, or %s and %s", m.field, m.expr, groupNetwork, groupAddress, groupHost, groupPort)
	case wanted && !has(groupValue):
		return fmt.Errorf("%s: %q has no group %s, and Value (%v) is set", m.field, m.expr, groupValue, m.value)
	case !wanted && has(groupValue):
		return fmt.Errorf("%s: %q has the group %s, and Value is not set", m.field, m.expr, groupValue)
	}
	return nil
}

// givesEndpoint reports whether the groups of expr make an endpoint.
func givesEndpoint(expr *regexp.Regexp) bool {
	return expr.SubexpIndex(groupAddress) >= 0 || expr.SubexpIndex(groupPort) >= 0
}

// learn returns the endpoint that the groups give, which have matched in text
// where match says; without such a group t.Endpoint. It sets the value for t. No
// network means "unix" for an absolute path and else "tcp". A relative path is
// taken from the pod's working directory.
func (m matching) learn(t Target, text []byte, match []int) (Endpoint, error) {
	values := map[string]string{}
	for i, name := range m.expr.SubexpNames() {
		if name == "" {
			continue
		}
		if match[2*i] < 0 || match[2*i] == match[2*i+1] {
			return Endpoint{}, fmt.Errorf("%s: the group %s of %q is empty in %s", m.field, name, m.expr, quoted(text))
		}
		values[name] = string(text[match[2*i]:match[2*i+1]])
	}
	e := t.Endpoint
	if givesEndpoint(m.expr) {
		var err error
		if e, err = m.endpoint(values, t.WorkDir); err != nil {
			return Endpoint{}, fmt.Errorf("%s: %w, in %s", m.field, err, quoted(text))
		}
	}
	m.value.Set(t, values[groupValue])
	return e, nil
}

// endpoint makes an endpoint of the values of the groups.
func (m matching) endpoint(values map[string]string, dir string) (Endpoint, error) {
	e := Endpoint{Network: m.network, Address: values[groupAddress]}
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
	return reachable(e, dir)
}
