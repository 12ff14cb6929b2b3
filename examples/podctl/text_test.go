package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A text is cut to so many columns, and characters that take two count twice.
func TestCutTo(t *testing.T) {
	for _, row := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301tude", 4, "e\u0301t…"}, // the accent is counted, and the text is too short, never too long
	} {
		if got := cutTo(row.text, row.width); got != row.want {
			t.Errorf("cutTo(%q, %d) = %q, want %q", row.text, row.width, got, row.want)
		}
		if got := columnsOf(cutTo(row.text, row.width)); got > row.width {
			t.Errorf("cutTo(%q, %d) takes %d columns", row.text, row.width, got)
		}
	}
}

// Text is broken at spaces, and nothing of it is lost.
func TestWrap(t *testing.T) {
	for _, text := range []string{"", "a", "one two three four", "a-word-that-is-longer-than-the-line and more", " two  spaces "} {
		lines := wrap(text, 10)
		if got := strings.Join(lines, " "); got != text {
			t.Errorf("wrap(%q) is %q", text, lines)
		}
		for _, line := range lines {
			if columnsOf(line) > 10 && strings.Contains(line, " ") {
				t.Errorf("wrap(%q) has %q", text, line)
			}
		}
	}
}

// The line that is redrawn shows on 80 columns how long yet, and what the pod says, however
// long the name is and what is waited for.
func TestLineHasRoom(t *testing.T) {
	for _, row := range []struct{ name, what string }{
		{"web", "tcp=127.0.0.1:8080"},
		{"web", "file=" + strings.Repeat("x", 100)},
		{strings.Repeat("n", 60), "up"},
		{strings.Repeat("n", 60), "http=http://127.0.0.1:18131/healthz"},
		{strings.Repeat("日", 20), "file=" + strings.Repeat("x", 100)},
	} {
		for _, held := range []bool{false, true} {
			w := newWaiting(row.name, time.Minute)
			w.track(row.what, nil)
			w.says("listening")
			want := []string{row.name[:3], ", 60s left", "|"}
			if held {
				w.hold(0)
			} else {
				want = append(want, "waiting for "+row.what[:2], "| listening")
			}
			line := cutTo(w.line(w.began), 79)
			for _, what := range want {
				if !strings.Contains(line, what) {
					t.Errorf("%s, %s: there is no %q in it: %s", row.name, row.what, what, line)
				}
			}
		}
	}
}

// The time of a line is known in the forms in which programs write it.
func TestTimeIn(t *testing.T) {
	utc := func(ms int) time.Time { return time.Date(2026, 1, 31, 8, 0, 1, ms*1e6, time.UTC) }
	here := time.Date(2026, 1, 31, 8, 0, 1, 0, time.Local)
	for line, want := range map[string]time.Time{
		"2026-01-31T08:00:01Z ready":                                     utc(0),
		"2026-01-31T09:00:01.250+01:00 ready":                            utc(250),
		"2026-01-31T09:00:01.250+0100 [INFO]  ready":                     utc(250), // hclog
		"2026-01-31 08:00:01.250 UTC [42] LOG:  ready":                   utc(250), // postgres
		"2026-01-31 08:00:01,250 UTC ready":                              utc(250),
		"2026/01/31 08:00:01 [notice] 42#42: ready":                      here, // nginx
		"2026/01/31 08:00:01 ready":                                      here, // package log
		"2026-01-31 08:00:01 INFO ready":                                 here,
		"42:M 31 Jan 2026 08:00:01.000 * Ready to accept connections":    here, // redis
		`127.0.0.1 - - [31/Jan/2026:08:00:01 +0000] "GET / HTTP/1.1"`:    utc(0),
		`{"level":"info","ts":"2026-01-31T08:00:01.250Z","msg":"ready"}`: utc(250),
		"time=2026-01-31T08:00:01.250Z level=INFO msg=ready":             utc(250), // slog
	} {
		if got, ok := timeIn([]byte(line)); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", line, got, ok, want)
		}
	}
	for _, line := range []string{
		"", "ready", "  of two", "2026-01-31", "08:00:01 ready",
		"2026-99-31T08:00:01Z ready",
		"2026-01-31 08:00:01 XQZ ready", // a zone that nobody knows
		strings.Repeat("x", 100) + " 2026-01-31T08:00:01Z",
	} {
		if got, ok := timeIn([]byte(line)); ok {
			t.Errorf("%q: %v, want none", line, got)
		}
	}
}

// A timeline is as wide as it may be, and shows what took long.
func TestTimelineFits(t *testing.T) {
	began := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	r := record{Name: strings.Repeat("n", 60), Began: began, Seconds: 2, Error: strings.Repeat("it was not to be ", 20)}
	r.Steps = []step{
		{Name: "claim", Began: began, Seconds: 0.5},
		{Name: "probe", Began: began.Add(time.Second / 2), Seconds: 1.5, Error: "late"},
	}
	r.Conditions = []condition{
		{What: "file=" + strings.Repeat("x", 100)},
		{What: "up", Held: began.Add(time.Second)},
	}
	for _, width := range []int{60, 80, 200} {
		var out bytes.Buffer
		if err := drawTimeline(&out, r, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := columnsOf(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns, not %d: %s", n, width, line)
			}
		}
		for _, what := range []string{"failed after 2s", "take the name", "500ms #", "up ", "500ms  ", "-", "xxx"} {
			if !strings.Contains(out.String(), what) {
				t.Errorf("there is no %q in it:\n%s", what, out.String())
			}
		}
	}
}
