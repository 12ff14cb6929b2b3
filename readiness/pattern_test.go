package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// What a line gives, by the groups of the expression: the words of real
// programs, and the edges.
func TestPatternLearns(t *testing.T) {
	for _, c := range []struct {
		name string
		p    readiness.Pattern // without Regexp
		expr string
		log  []string
		want string
	}{
		{name: "python", expr: `Serving HTTP on (?P<host>\S+) port (?P<port>\d+)`, log: []string{"Serving HTTP on 0.0.0.0 port 8000 (http://0.0.0.0:8000/) ..."}, want: "tcp:127.0.0.1:8000"},
		{name: "python with IPv6", expr: `Serving HTTP on (?P<host>\S+) port (?P<port>\d+)`, log: []string{"Serving HTTP on :: port 8000 (http://[::]:8000/) ..."}, want: "tcp:[::1]:8000"},
		{name: "chromium", expr: `DevTools listening on ws://(?P<address>[^/]+)`, log: []string{"", "DevTools listening on ws://127.0.0.1:9222/devtools/browser/1"}, want: "tcp:127.0.0.1:9222"},
		{name: "postgres", expr: `listening on Unix socket "(?P<address>[^"]+)"`, log: []string{`LOG:  listening on Unix socket "/run/.s.PGSQL.5432"`}, want: "unix:/run/.s.PGSQL.5432"},
		{name: "a sign of life", expr: `eady to accept`, log: []string{"Ready to accept connections"}, want: "tcp:old:1"},
		{name: "unnamed groups", expr: `(R|r)eady`, log: []string{"ready"}, want: "tcp:old:1"},
		{name: "any host", expr: `on (?P<address>\S+)`, log: []string{"on [::]:80"}, want: "tcp:[::1]:80"},
		{name: "no host", expr: `on (?P<address>\S+)`, log: []string{"on :80"}, want: "tcp:127.0.0.1:80"},
		{name: "a star", expr: `on (?P<address>\S+)`, log: []string{"on *:80"}, want: "tcp:127.0.0.1:80"},
		{name: "a name", expr: `on (?P<address>\S+)`, log: []string{"on localhost:80"}, want: "tcp:localhost:80"},
		{name: "a port alone", expr: `port (?P<port>\d+)`, log: []string{"port 6379"}, want: "tcp:127.0.0.1:6379"},
		{name: "a host in brackets", expr: `on (?P<host>\S+) (?P<port>\d+)`, log: []string{"on [fe80::1] 80"}, want: "tcp:[fe80::1]:80"},
		{name: "a network", expr: `(?P<network>\w+)://(?P<address>\S+)`, log: []string{"unix://run/sock"}, want: "unix:" + inWorkDir("run/sock")},
		{name: "a network and a port", expr: `(?P<network>\w+) (?P<port>\d+)`, log: []string{"tcp4 80"}, want: "tcp4:127.0.0.1:80"},
		{name: "a fixed network", p: readiness.Pattern{Network: "tcp6"}, expr: `on (?P<address>\S+)`, log: []string{"on [::1]:80"}, want: "tcp6:[::1]:80"},
		{name: "a relative path", p: readiness.Pattern{Network: "unix"}, expr: `on (?P<address>\S+)`, log: []string{"on sock"}, want: "unix:" + inWorkDir("sock")},
		{name: "the second", p: readiness.Pattern{Occurrence: 2}, expr: `port (?P<port>\d+)`, log: []string{"port 1", "", "port 2", "port 3"}, want: "tcp:127.0.0.1:2"},
		{name: "the first of many", p: readiness.Pattern{Occurrence: 1}, expr: `port (?P<port>\d+)`, log: []string{"port 1", "port 2"}, want: "tcp:127.0.0.1:1"},
		{name: "an early one that is wrong", p: readiness.Pattern{Occurrence: 2}, expr: `port (?P<port>\d*)`, log: []string{"port ", "port 2"}, want: "tcp:127.0.0.1:2"},
		{name: "any bytes", expr: `port (?P<port>\d+)`, log: []string{"\xff\x00port 1\x00"}, want: "tcp:127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.Regexp = regexp.MustCompile(c.expr)
			target := target(t, logOf(c.log...))
			target.Endpoint = readiness.Endpoint{Network: "tcp", Address: "old:1"}
			e, took, err := await(t, c.p, target)
			if err != nil || e.String() != c.want || took != 0 {
				t.Errorf("got %v, %v after %v, want %s", e, err, took, c.want)
			}
		})
	}
}

// A pattern that cannot keep what its groups promise is refused, both before
// the launch and by Wait, without a look at the log; so are other fields that
// make no sense.
func TestPatternRefused(t *testing.T) {
	for _, c := range []struct {
		p    readiness.Pattern
		says string
	}{
		{readiness.Pattern{}, "readiness.Pattern.Regexp: it is nil"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`on (?P<adress>\S+)`)}, `readiness.Pattern.Regexp: "on (?P<adress>\\S+)" has a group called "adress"`},
		{readiness.Pattern{Regexp: regexp.MustCompile(`(?P<network>tcp)`)}, "readiness.Pattern.Regexp"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`(?P<host>\S+)`)}, "has the group host without port"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`(?P<address>\S+) (?P<port>\d+)`)}, "the one or the others"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`ready`), Occurrence: -1}, "readiness.Pattern.Occurrence: it is -1"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`(?P<address>\S+)`), Network: "udp"}, `readiness.Pattern.Network: it is "udp"`},
		{readiness.Pattern{Regexp: regexp.MustCompile(`ready`), Network: "unix"}, "readiness.Pattern.Network"},
		{readiness.Pattern{Regexp: regexp.MustCompile(`(?P<network>\w+) (?P<address>\S+)`), Network: "tcp"}, "readiness.Pattern.Network"},
	} {
		_, took, err := await(t, c.p, target(t, logOf("on x:1")))
		mustSay(t, err, c.says)
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
		_, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{})
		mustSay(t, err, c.says)
	}
	_, _, err := await(t, readiness.Pattern{Regexp: regexp.MustCompile("x")}, target(t, nil))
	mustSay(t, err, "readiness.Pattern", "no lines")
}

// A line that matches, and does not give what was promised, ends the wait at
// once with an error that quotes it.
func TestPatternBrokenPromise(t *testing.T) {
	for _, c := range []struct{ expr, line, says string }{
		{`on( (?P<address>\S+))?`, "listening on", "the group address"},
		{`port (?P<port>\d*)`, "port ", "the group port"},
		{`on (?P<address>\S+)`, "on 127.0.0.1", "missing port"},
		{`on (?P<address>\S+)`, "on 127.0.0.1:0", "the port 0"},
		{`on (?P<address>\S+)`, "on 127.0.0.1:99999", `the port "99999"`},
		{`(?P<network>\w+):(?P<address>\S+)`, "udp:127.0.0.1:1", "the network must be"},
		{`(?P<network>\w+):(?P<address>\S+)`, "unix:@pod", "abstract"},
		{`on (?P<address>\S+)`, "on /" + strings.Repeat("x", 200), "the limit for a socket"},
	} {
		_, took, err := await(t, readiness.Pattern{Regexp: regexp.MustCompile(c.expr)}, target(t, logOf("starting", c.line)))
		mustSay(t, err, "readiness.Pattern.Regexp", c.says, strings.Trim(fmt.Sprintf("%q", c.line), `"`))
		if took != 0 || errors.Is(err, errOver) {
			t.Errorf("after %v: %v", took, err)
		}
	}
}

// The error says what was missing at the end: the expression, and how many of the
// occurrences came; also where the log has ended before the pod.
func TestPatternPending(t *testing.T) {
	p := readiness.Pattern{Regexp: regexp.MustCompile("ready"), Occurrence: 3}
	for name, lines := range map[string]func(context.Context) iter.Seq2[[]byte, error]{
		"follows": logOf("ready", "reading", "ready"),
		"ended":   framed(strings.NewReader("ready\nready\nready, not a line yet")),
	} {
		_, took, err := await(t, p, target(t, lines))
		if e := pending(t, err, errOver); took != patience || e.Waiting != `a line that matches "ready" (number 3)` {
			t.Errorf("%s: after %v: %v", name, took, err)
		}
		mustSay(t, err, "2 of 3 such lines have come")
	}
	_, _, err := await(t, readiness.Pattern{Regexp: p.Regexp}, target(t, logOf("starting")))
	if e := pending(t, err, errOver); e.Notes != nil || e.Tried() {
		t.Errorf("%+v", e)
	}
	wrong := errors.New("input/output error")
	_, _, err = await(t, p, target(t, func(context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) { yield(nil, wrong) }
	}))
	mustBe(t, err, wrong)
	mustSay(t, err, "read the log for a line that matches")
}

// The expression sees what is left of a line that the log source cut, and the next line
// intact.
func TestPatternCutLine(t *testing.T) {
	long := "port 1 " + strings.Repeat("x", 2*logsource.MaxLine) + " port 2"
	p := readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`)}
	e, _, err := await(t, p, target(t, framed(strings.NewReader(long+"\n"))))
	if err != nil || e.Address != "127.0.0.1:1" {
		t.Errorf("got %v, %v", e, err)
	}
	p.Regexp = regexp.MustCompile(`port (?P<port>[2-9]\d*)`)
	e, _, err = await(t, p, target(t, framed(strings.NewReader(long+"\nport 3\n"))))
	if err != nil || e.Address != "127.0.0.1:3" {
		t.Errorf("got %v, %v", e, err)
	}
}
