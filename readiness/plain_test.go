package readiness_test

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// W22, W23: what is matched is what a terminal shows: a line without colours, links
// and titles, and each part of a line that was redrawn. vite is what vite 7 writes
// with FORCE_COLOR=1.
func TestPatternMatchesWhatIsShown(t *testing.T) {
	const vite = "  \x1b[32m➜\x1b[39m  \x1b[1mLocal\x1b[22m:   \x1b[36mhttp://localhost:\x1b[1m5173\x1b[22m/\x1b[39m"
	for _, c := range []struct{ name, expr, line, want string }{
		{"vite", `Local:\s+http://(?P<address>[^/]+)/$`, vite, "tcp:localhost:5173"},
		{"a link", `on http://(?P<address>\S+)$`, "on \x1b]8;;http://x/\x1b\\http://127.0.0.1:1\x1b]8;;\a", "tcp:127.0.0.1:1"},
		{"a title and a charset", `^on port (?P<port>\d+)$`, "\x1b]0;server\aon \x1b(Bport\x1b[0K 1\x1b7", "tcp:127.0.0.1:1"},
		{"an end that is none", `^on port (?P<port>\d+)$`, "on port 1\x1b[", "tcp:127.0.0.1:1"},
		{"an escape at the end", `^on port (?P<port>\d+)$`, "on port 1\x1b", "tcp:127.0.0.1:1"},
		{"a title that does not end", `port (?P<port>\d+)$`, "\x1b]0;on port 1", "tcp:127.0.0.1:1"},
		{"a bar that is redrawn", `^on port (?P<port>\d+)$`, "10%\r99%\ron port 1", "tcp:127.0.0.1:1"},
		{"a bar in colour", `^on port (?P<port>\d+)$`, "\x1b[2K10%\r\x1b[2Kon port 1\r\x1b[2Kdone", "tcp:127.0.0.1:1"},
		{"an expression for the colour", `\x1b\[32mport (?P<port>\d+)`, "on \x1b[32mport 1", "tcp:127.0.0.1:1"},
		{"an expression for the CR", `99%\rport (?P<port>\d+)`, "99%\rport 1", "tcp:127.0.0.1:1"},
	} {
		p := readiness.Pattern{Regexp: regexp.MustCompile(c.expr)}
		e, err := p.Wait(t.Context(), target(t, logOf("before", c.line, "after")))
		if err != nil || e.String() != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.name, e, err, c.want)
		}
	}
	_, took, err := await(t, readiness.Pattern{Regexp: regexp.MustCompile(`32m`)}, target(t, logOf(vite)))
	if pending(t, err, errOver); took != patience {
		t.Errorf("a colour was matched after %v", took)
	}
	parts := readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`), Occurrence: 2}
	if e, err := parts.Wait(t.Context(), target(t, logOf("port 1\rport 2\rport 3"))); err != nil || e.Address != "127.0.0.1:2" {
		t.Errorf("the second part: %v, %v", e, err)
	}
}

// A line without sequences is not copied.
func TestPatternDoesNotAllocateForALine(t *testing.T) {
	p := readiness.Pattern{Regexp: regexp.MustCompile(`^ready$`)}
	few := testing.AllocsPerRun(10, func() { p.Wait(t.Context(), target(t, logOf("a", "ready"))) })
	lines := strings.Split(strings.Repeat("a\n", 1000)+"ready", "\n")
	many := testing.AllocsPerRun(10, func() { p.Wait(t.Context(), target(t, logOf(lines...))) })
	// logOf makes one copy of each.
	if many-few > 1010 {
		t.Errorf("1000 lines cost %v allocations", many-few)
	}
}

// W24: a line that says that the pod will never be ready ends the wait. The line, as it
// is shown, is the reason. A line that matches both expressions is no sign of life.
func TestPatternFail(t *testing.T) {
	p := readiness.Pattern{
		Regexp: regexp.MustCompile(`ready`),
		Fail:   regexp.MustCompile(`app crashed|^FATAL:`),
	}
	for line, reason := range map[string]string{
		"[nodemon] app crashed - waiting for file changes": "[nodemon] app crashed - waiting for file changes",
		"\x1b[31m[nodemon] app crashed\x1b[39m":            "[nodemon] app crashed",
		"FATAL:  the database system is not ready":         "FATAL:  the database system is not ready",
		"starting\rFATAL: no disk":                         "FATAL: no disk",
	} {
		_, took, err := await(t, p, target(t, logOf("starting", line, "ready")))
		var failed *readiness.FailedError
		if took != 0 || !errors.As(err, &failed) || failed.Reason != reason {
			t.Errorf("%q: after %v: %v", line, took, err)
		}
		mustBe(t, err, readiness.ErrFailed)
	}
	for _, lines := range [][]string{{"ready", "app crashed"}, {"app", "ready"}} {
		if _, err := p.Wait(t.Context(), target(t, logOf(lines...))); err != nil {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

// Any bytes: nothing but sequences is left out, and no more than there is.
func FuzzPatternShown(f *testing.F) {
	for _, seed := range []string{"", "\x1b", "\x1b[", "\x1b[1;2m", "\x1b]0;x\x1b\\y", "a\x1b(Bb", "\x1b\x1b[0m", "\x1bP1$r\x1b\\", "é\x1b[0mé"} {
		f.Add(seed)
	}
	value := readiness.NewFact[string]("what is shown")
	p := readiness.Pattern{Regexp: regexp.MustCompile(`(?s)^(?P<value>.+)$`), Value: value}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") || line == "" {
			return
		}
		facts := new(readiness.Facts)
		to := target(t, framed(strings.NewReader(line+"\nend\n")))
		to.Facts = facts
		if _, err := p.Wait(t.Context(), to); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got, _ := value.Of(facts)
		rest := line
		for _, b := range []byte(got) { // it is what is left of the line, in order
			i := strings.IndexByte(rest, b)
			if i < 0 && got != "end" {
				t.Fatalf("%q became %q", line, got)
			}
			rest = rest[i+1:]
		}
		if !strings.Contains(line, "\x1b") && got != line {
			t.Errorf("%q became %q", line, got)
		}
	})
}

// A value is learned besides the endpoint, by any number of launches of one probe at
// once, each its own; Chromium's DevTools are at a URL, not just at an address.
func TestFacts(t *testing.T) {
	devTools := readiness.NewFact[string]("the URL of DevTools")
	another := readiness.NewFact[string]("the URL of DevTools")
	p := readiness.Sequence{readiness.Pattern{
		Regexp: regexp.MustCompile(`^DevTools listening on (?P<value>ws://(?P<address>[^/]+)\S+)`),
		Value:  devTools,
	}}
	var known [2]readiness.Facts
	for i, url := range []string{"ws://127.0.0.1:9222/devtools/browser/1", "ws://127.0.0.1:9223/devtools/browser/2"} {
		to := target(t, logOf("DevTools listening on "+url))
		to.Facts = &known[i]
		e, err := p.Wait(t.Context(), to)
		if err != nil || !strings.Contains(url, e.Address) {
			t.Errorf("got %v, %v", e, err)
		}
		if got, ok := devTools.Of(&known[i]); !ok || got != url {
			t.Errorf("got %q, %v, want %q", got, ok, url)
		}
	}
	if got, _ := devTools.Of(&known[0]); !strings.HasSuffix(got, "/1") {
		t.Errorf("the first launch has %q", got)
	}
	if got, ok := another.Of(&known[0]); ok {
		t.Errorf("a fact of the same name is %q", got)
	}
	if got, ok := devTools.Of(nil); ok {
		t.Errorf("without facts it is %q", got)
	}
	if _, err := p.Wait(t.Context(), target(t, logOf("DevTools listening on ws://127.0.0.1:1/x"))); err != nil {
		t.Errorf("nobody wants to know: %v", err)
	}
	count := readiness.NewFact[int]("a number")
	count.Set(readiness.Target{Facts: &known[0]}, 7)
	if got, ok := count.Of(&known[0]); got != 7 || !ok || count.String() != "a number" {
		t.Errorf("%v is %d, %v", count, got, ok)
	}
	for says, p := range map[string]readiness.Probe{
		"has no group value":             readiness.Pattern{Regexp: regexp.MustCompile(`x`), Value: devTools},
		"has the group value, and Value": readiness.Pattern{Regexp: regexp.MustCompile(`(?P<value>x)`)},
		"File.Value: it is set":          readiness.File{Path: filepath.Join(t.TempDir(), "x"), Value: devTools},
	} {
		_, err := readiness.Prepare(t.Context(), p, &readiness.Setup{})
		mustSay(t, err, says)
	}
}
