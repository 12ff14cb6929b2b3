package launcher

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A36: printable escapes what is not meant to be seen, and leaves the rest.
func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"", 10, ""},
		{"plain text", 10, "plain text"},
		{"grüße, 名前 🙂", 100, "grüße, 名前 🙂"},
		{`back\slash "quotes" 'and' %d`, 100, `back\slash "quotes" 'and' %d`},
		{"\a\b\t\n\v\f\r\x00\x1b\x7f", 100, `\a\b\t\n\v\f\r\x00\x1b\x7f`},
		{"\u0085\u00a0\u200b\u202e\u2028\ufeff", 100, `\u0085\u00a0\u200b\u202e\u2028\ufeff`},
		{"\xff\xc3(\xed\xa0\x80", 100, `\xff\xc3(\xed\xa0\x80`},
		{"the real \uFFFD", 100, "the real \uFFFD"},
		{"12345", 5, "12345"},
		{"123456", 5, "12345… (6 bytes)"},
		{"1234ü", 5, "1234… (6 bytes)"},
		{"123\x00", 5, "123… (4 bytes)"}, // half of an escape says something else
		{"\x00\x00", 5, `\x00… (2 bytes)`},
		{"x", 0, "… (1 bytes)"},
	} {
		if got := printable(c.in, c.most); got != c.want {
			t.Errorf("printable(%q, %d) = %q, want %q", c.in, c.most, got, c.want)
		}
	}
}

// A36: what is shown of a pod's output can be printed and is bounded, for any output. It
// does not change when it is made printable again.
func FuzzPrintable(f *testing.F) {
	f.Add("plain", 10)
	f.Add("\x1b[2J\xff\u202e🙂", 7)
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := printable(s, most)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("printable(%q, %d) = %q, which is not", s, most, got)
		}
		if limit := max(most, 0) + len(fmt.Sprintf("… (%d bytes)", len(s))); len(got) > limit {
			t.Errorf("printable(%q, %d) has %d bytes, want at most %d", s, most, len(got), limit)
		}
		if again := printable(got, len(got)); again != got {
			t.Errorf("printable(%q) = %q, want it unchanged", got, again)
		}
	})
}

// The overlay's text is replaced wherever it stands in an argument; nothing
// else is changed, and nothing of what was passed.
func TestRedact(t *testing.T) {
	const overlay = "token = \"s3cret\"\n"
	const size = "<overlay: 17 bytes>"
	for _, c := range []struct {
		name       string
		overlay    string
		args, want []string
	}{
		{"as an argument", overlay, []string{"worker", "--overlay", overlay, "x"}, []string{"worker", "--overlay", size, "x"}},
		{"within one", overlay, []string{"--overlay=" + overlay}, []string{"--overlay=" + size}},
		{"twice", overlay, []string{overlay + overlay, overlay}, []string{size + size, size}},
		{"not there", overlay, []string{"--overlay", "token"}, []string{"--overlay", "token"}},
		{"empty", "", []string{"--overlay", "", "x"}, []string{"--overlay", "", "x"}},
		{"no arguments", overlay, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.args)
			got := redact(Command{Path: "/bin/pod", Args: c.args, Env: []string{"TOKEN=x"}}, c.overlay)
			if want := (Command{Path: "/bin/pod", Args: c.want}); !reflect.DeepEqual(got, want) {
				t.Errorf("redact returned %+v, want %+v", got, want)
			}
			if !slices.Equal(before, c.args) {
				t.Errorf("the command itself was changed: %q", c.args)
			}
		})
	}
}

// Row 13: the tail is the last eight lines, oldest first, and memory of its
// own.
func TestTail(t *testing.T) {
	for count := range 3 * keptLines {
		var tl lastLines
		var all []string
		line := []byte("line 000")
		for i := range count {
			line = strconv.AppendInt(line[:len("line ")], int64(i), 10) // as a reader does, in one buffer
			tl.add(line)
			all = append(all, string(line))
		}
		got := tl.lines()
		if want := all[max(0, count-keptLines):]; !slices.Equal(got, want) || tl.total() != count {
			t.Errorf("after %d lines, of %d: %q, want %q", count, tl.total(), got, want)
		}
		for range keptLines {
			tl.add([]byte("overwritten"))
		}
		if slices.Contains(got, "overwritten") {
			t.Errorf("the lines that were returned have changed: %q", got)
		}
	}
}

// The digits of a duration that say something.
func TestRound(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0:                               "0s",
		1234567:                         "1.23ms",
		987654321:                       "987.65ms",
		1234567890:                      "1.23s",
		20004567890:                     "20s",
		83*time.Second + 1234567:        "1m23s",
		time.Hour + 56*time.Millisecond: "1h0m0.1s",
	} {
		if got := round(in).String(); got != want {
			t.Errorf("round(%v) = %s, want %s", in, got, want)
		}
	}
}

// What Stop returns is one line, also about several errors. Who was not sent SIGKILL is not
// said to have got it.
func TestStopErrors(t *testing.T) {
	here := osproc.Identity{PID: os.Getpid()}
	err := newScripted(nil).pod(nil).named("stop", errors.Join(stillThere([]osproc.Identity{here}, syscall.EPERM), errReleased))
	want := fmt.Sprintf("stop pod alice: processes [%d (%s)], which belong to it, are still there: operation not permitted; ", here.PID, osproc.CommandName(here.PID))
	if got := err.Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") || !errors.Is(err, errReleased) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("it says %q, want %q and the other error", got, want)
	}
	if err := stillThere([]osproc.Identity{here}, nil); !strings.HasSuffix(err.Error(), "are still there although they were sent SIGKILL") {
		t.Error(err)
	}
}
