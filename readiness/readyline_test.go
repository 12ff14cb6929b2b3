package readiness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/podlaunch/podlaunch/readiness"
)

// Row 10, A23, A32: what a ready line is, and the endpoint that it gives.
func TestReadyLineAccepted(t *testing.T) {
	for _, c := range []struct{ name, line, path string }{
		{"plain", "INSOMNIA-READY\tpod\t/run/pod/sock", "/run/pod/sock"},
		{"tabs are of the path", "INSOMNIA-READY\tpod\t/run/a\tb\t", "/run/a\tb\t"},
		{"a tab first", "INSOMNIA-READY\tpod\t\t/run/sock", inWorkDir("\t/run/sock")},
		{"spaces are of the path", "INSOMNIA-READY\tpod\t/run/a b ", "/run/a b "},
		{"CR inside the path", "INSOMNIA-READY\tpod\t/run/a\rb", "/run/a\rb"},
		{"A23: no UTF-8", "INSOMNIA-READY\tpod\t/run/\xff\xfe", "/run/\xff\xfe"},
		{"A32: relative", "INSOMNIA-READY\tpod\tsock", inWorkDir("sock")},
		{"A32: relative with dot", "INSOMNIA-READY\tpod\t./sock", inWorkDir("./sock")},
		{"A32: above a link", "INSOMNIA-READY\tpod\tlink/../sock", inWorkDir("link/../sock")},
		{"A33: elsewhere", "INSOMNIA-READY\tpod\t/elsewhere/@sock", "/elsewhere/@sock"},
		{"as long as it may be", "INSOMNIA-READY\tpod\t/" + strings.Repeat("p", 8<<10-20), "/" + strings.Repeat("p", 8<<10-20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := target(t, logOf("starting", c.line, "more"))
			e, took, err := await(t, readiness.ReadyLine{}, target)
			want := readiness.Endpoint{Network: "unix", Address: c.path}
			if err != nil || e != want || took != 0 {
				t.Errorf("got %q after %v, %v, want %q", e, took, err, want)
			}
			if !(readiness.ReadyLine{}).OwnsLine(target, []byte(c.line)) {
				t.Error("the line is not owned")
			}
		})
	}
}

// A pod that is reached over a network announces an address.
func TestReadyLineTCP(t *testing.T) {
	const prefix = "INSOMNIA-READY\tpod\t"
	for said, want := range map[string]string{
		"10.0.0.7:8080": "10.0.0.7:8080",
		"[::1]:80":      "[::1]:80",
		"web.local:80":  "web.local:80",
		"0.0.0.0:80":    "127.0.0.1:80",
		":80":           "127.0.0.1:80",
	} {
		l := readiness.ReadyLine{Network: "tcp"}
		target := target(t, logOf("starting", prefix+said))
		e, _, err := await(t, l, target)
		if err != nil || e != (readiness.Endpoint{Network: "tcp", Address: want}) || !l.OwnsLine(target, []byte(prefix+said)) {
			t.Errorf("%s: got %q, %v, want %q", said, e, err, want)
		}
		var line bytes.Buffer
		if err := l.Announce(&line, "pod", said); err != nil || line.String() != prefix+said+"\n" {
			t.Errorf("%s: it announced %q, %v", said, &line, err)
		}
	}
	for _, said := range []string{"/run/pod/sock", "10.0.0.7", "10.0.0.7:0", "10.0.0.7:http", "10.0.0.7:70000", "@pod", "a\tb:80"} {
		l := readiness.ReadyLine{Network: "tcp"}
		_, _, err := await(t, l, target(t, logOf(prefix+said)))
		mustBe(t, err, readiness.ErrMalformedReadyLine)
		mustSay(t, err, fmt.Sprintf("%q", prefix+said), "host:port")
		if err := l.Announce(io.Discard, "pod", said); err == nil {
			t.Errorf("%s: it was announced", said)
		}
	}
	l := readiness.ReadyLine{Network: "tcp"}
	_, _, err := await(t, l, target(t, logOf("INSOMNIA-READY\tother\t10.0.0.7:80")))
	mustBe(t, err, readiness.ErrNameMismatch)
	_, _, err = await(t, readiness.ReadyLine{Network: "udp"}, target(t, logOf(prefix+"10.0.0.7:80")))
	mustSay(t, err, "readiness.ReadyLine.Network", `"udp"`)
}

// A30: what only looks like a ready line is noise, strict or lenient: the wait
// goes on, and nothing is noted.
func TestReadyLineNoise(t *testing.T) {
	noise := []string{
		"",
		"starting",
		"\x00\xff\x1b[31m",
		" INSOMNIA-READY\tpod\t/run/sock",
		"\tINSOMNIA-READY\tpod\t/run/sock",
		"\x00INSOMNIA-READY\tpod\t/run/sock",
		"\ufeffINSOMNIA-READY\tpod\t/run/sock",
		"insomnia-ready\tpod\t/run/sock",
		"Insomnia-Ready\tpod\t/run/sock",
		"INSOMNIA-READY pod /run/sock",
		"INSOMNIA-READYX\tpod\t/run/sock",
		"INSOMNIA-READ",
		"INSOMNIA-READY\x00",
		"INSOMNIA-READY\r\tpod\t/run/sock",
		"I will print INSOMNIA-READY\tpod\t/run/sock",
	}
	for _, l := range []readiness.ReadyLine{{}, {Lenient: true}} {
		target := target(t, logOf(noise...))
		for _, line := range noise {
			if l.OwnsLine(target, []byte(line)) {
				t.Errorf("%q is owned", line)
			}
		}
		_, took, err := await(t, l, target)
		if p := pending(t, err, errOver); took != patience || len(p.Notes) != 0 || p.Attempts != 0 || p.Last != nil {
			t.Errorf("after %v: %+v", took, p)
		}
		mustSay(t, err, `still waiting for the ready line "INSOMNIA-READY"`, "the time is over")
	}
}

// badLines begin like ready lines and are none.
var badLines = []struct {
	name, line string
	sentinel   error
	says       []string
}{
	{"A30: one field", "INSOMNIA-READY", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY" has 1 of 3 fields`, "separated by tabs"}},
	{"A30: two fields", "INSOMNIA-READY\tpod", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY\tpod" has 2 of 3 fields`}},
	{"A30: two fields, the second empty", "INSOMNIA-READY\t", readiness.ErrMalformedReadyLine, []string{"has 2 of 3 fields"}},
	{"row 11: empty name", "INSOMNIA-READY\t\t/run/sock", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY\t\t/run/sock"`, "empty name"}},
	{"row 11: empty socket", "INSOMNIA-READY\tpod\t", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY\tpod\t"`, "empty socket"}},
	{"A30: all empty", "INSOMNIA-READY\t\t", readiness.ErrMalformedReadyLine, []string{"empty name"}},
	{"A33: abstract socket", "INSOMNIA-READY\tpod\t@pod", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY\tpod\t@pod"`, "abstract"}},
	{"A36: control characters", "INSOMNIA-READY\t\x1b[31m\xff", readiness.ErrMalformedReadyLine, []string{`"INSOMNIA-READY\t\x1b[31m\xff"`}},
	{"row 12, A28: another name", "INSOMNIA-READY\tother\t/run/sock", readiness.ErrNameMismatch, []string{`"other"`, `"pod"`}},
	{"A28: the name in other case", "INSOMNIA-READY\tPod\t/run/sock", readiness.ErrNameMismatch, []string{`"Pod"`, `"pod"`}},
	{"A28: the name and a space", "INSOMNIA-READY\tpod \t/run/sock", readiness.ErrNameMismatch, []string{`"pod "`, `"pod"`}},
	{"A28: a name that cannot be printed", "INSOMNIA-READY\t\x1b\xff\t/run/sock", readiness.ErrNameMismatch, []string{`"\x1b\xff"`}},
}

// Rows 11 and 12, A28, A30, A33: a line that begins like a ready line and is none ends
// the wait at once, with the line in the error. If lenient, it is noise, and the error
// names it when the true line does not come.
func TestReadyLineRefused(t *testing.T) {
	for _, c := range badLines {
		t.Run(c.name, func(t *testing.T) {
			const good = "INSOMNIA-READY\tpod\t/run/sock"
			strict, lenient := readiness.ReadyLine{}, readiness.ReadyLine{Lenient: true}
			_, took, err := await(t, strict, target(t, logOf("starting", c.line, good)))
			if took != 0 || errors.Is(err, errOver) {
				t.Errorf("after %v: %v", took, err)
			}
			mustBe(t, err, c.sentinel)
			mustSay(t, err, c.says...)
			for _, l := range []readiness.ReadyLine{strict, lenient} {
				if l.OwnsLine(target(t, nil), []byte(c.line)) {
					t.Errorf("%+v owns it", l)
				}
			}

			e, took, err := await(t, lenient, target(t, logOf(c.line, good)))
			if err != nil || e.Address != "/run/sock" || took != 0 {
				t.Errorf("lenient: got %v after %v, %v", e, took, err)
			}
			_, _, err = await(t, lenient, target(t, logOf("starting", c.line)))
			if p := pending(t, err, errOver); len(p.Notes) != 1 {
				t.Errorf("lenient: the notes are %q", p.Notes)
			}
			mustSay(t, err, c.says...)
		})
	}
}

// A25, A26, A33: a line with a NUL, or that is too long (also after it was cut), is never
// taken for a ready line. The wait goes on, also if strict, and the error names the line
// when the true line does not come.
func TestReadyLineNotTaken(t *testing.T) {
	const good = "INSOMNIA-READY\tpod\t/run/sock"
	for _, c := range []struct{ name, line, says string }{
		{"A33: NUL in the path", "INSOMNIA-READY\tpod\t/run/\x00sock", `"INSOMNIA-READY\tpod\t/run/\x00sock"`},
		{"A25: NUL in the name", "INSOMNIA-READY\tp\x00d\t/run/sock", `"INSOMNIA-READY\tp\x00d\t/run/sock"`},
		{"A25: NUL in a malformed line", "INSOMNIA-READY\t\x00", `"INSOMNIA-READY\t\x00"`},
		{"A26: one byte too long", "INSOMNIA-READY\tpod\t/" + strings.Repeat("p", 8<<10-19), "8193 bytes"},
		{"A26: cut", "INSOMNIA-READY\tpod\t/" + strings.Repeat("p", 64<<10-20), "65536 bytes"},
		{"A26: too long and malformed", "INSOMNIA-READY\t" + strings.Repeat("p", 8<<10), "bytes"},
	} {
		for _, l := range []readiness.ReadyLine{{}, {Lenient: true}} {
			t.Run(fmt.Sprint(c.name, ", lenient ", l.Lenient), func(t *testing.T) {
				if l.OwnsLine(target(t, nil), []byte(c.line)) {
					t.Error("it is owned")
				}
				e, took, err := await(t, l, target(t, logOf(c.line, good)))
				if err != nil || e.Address != "/run/sock" || took != 0 {
					t.Errorf("got %v after %v, %v", e, took, err)
				}
				_, _, err = await(t, l, target(t, logOf(c.line)))
				if p := pending(t, err, errOver); len(p.Notes) != 1 {
					t.Errorf("the notes are %q", p.Notes)
				}
				mustSay(t, err, "not taken for a ready line", c.says)
				if len(err.Error()) > 4<<10 {
					t.Errorf("the message has %d bytes", len(err.Error()))
				}
			})
		}
	}
}

// A28, A36: however many lines were passed over, the error tells the first
// three and the number of the others, and stays short.
func TestReadyLineNotesAreBounded(t *testing.T) {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("INSOMNIA-READY\tother-%d\t/run/sock", i))
	}
	lines = append(lines, "INSOMNIA-READY\t"+strings.Repeat("x", 8000))
	_, _, err := await(t, readiness.ReadyLine{Lenient: true}, target(t, logOf(lines...)))
	p := pending(t, err, errOver)
	if len(p.Notes) != 4 || p.Notes[3] != "and 998 more such lines" {
		t.Errorf("the notes are %q", p.Notes)
	}
	mustSay(t, err, `"other-0"`, `"other-1"`, `"other-2"`)

	_, _, err = await(t, readiness.ReadyLine{}, target(t, logOf(lines[1000])))
	mustBe(t, err, readiness.ErrMalformedReadyLine)
	mustSay(t, err, "8015 bytes")
	if len(err.Error()) > 2<<10 {
		t.Errorf("the message has %d bytes", len(err.Error()))
	}
}

// A31: the first ready line counts; an equal or a different one after it
// changes nothing for the probe, which owns both.
func TestReadyLineRepeated(t *testing.T) {
	const first, second = "INSOMNIA-READY\tpod\t/run/1", "INSOMNIA-READY\tpod\t/run/2"
	for _, again := range []string{first, second} {
		target := target(t, logOf(first, again))
		e, _, err := await(t, readiness.ReadyLine{}, target)
		if err != nil || e.Address != "/run/1" {
			t.Errorf("got %v, %v", e, err)
		}
		if !(readiness.ReadyLine{}).OwnsLine(target, []byte(again)) {
			t.Errorf("%q is not owned", again)
		}
	}
}

// Row 10: the prefix is a parameter, and the default's lines are noise then.
func TestReadyLinePrefix(t *testing.T) {
	l := readiness.ReadyLine{Prefix: "YOI-READY"}
	target := target(t, logOf("INSOMNIA-READY", "INSOMNIA-READY\tpod\t/run/1", "YOI-READY\tpod\t/run/2"))
	e, _, err := await(t, l, target)
	if want := (readiness.Endpoint{Network: "unix", Address: "/run/2"}); err != nil || e != want {
		t.Errorf("got %v, %v, want %v", e, err, want)
	}
	if l.OwnsLine(target, []byte("INSOMNIA-READY\tpod\t/run/1")) || !l.OwnsLine(target, []byte("YOI-READY\tpod\t/run/2")) {
		t.Error("OwnsLine does not go by the prefix")
	}
	target.Lines = logOf("YOI-READY")
	_, _, err = await(t, l, target)
	mustBe(t, err, readiness.ErrMalformedReadyLine)
	mustSay(t, err, "(YOI-READY, name, socket")
	target.Lines = logOf()
	_, _, err = await(t, l, target)
	mustSay(t, err, `the ready line "YOI-READY"`)
}

// A prefix that no line can begin with, or that would be taken for two fields,
// is refused before the log is read, and before anything is written.
func TestReadyLineBadPrefix(t *testing.T) {
	for _, prefix := range []string{"A\tB", "A\n", "A\r", "A\x00"} {
		l := readiness.ReadyLine{Prefix: prefix}
		_, took, err := await(t, l, target(t, logOf(prefix+"\tpod\t/run/sock")))
		if took != 0 || err == nil {
			t.Errorf("%q: after %v: %v", prefix, took, err)
		}
		mustSay(t, err, "prefix", fmt.Sprintf("%q", prefix))
		var w writes
		if err := l.Announce(&w, "pod", "/run/sock"); err == nil || w != nil {
			t.Errorf("%q: Announce wrote %q, %v", prefix, w, err)
		}
	}
}

// A19-A22, A24, row 8: a log that arrives cut anywhere, in single bytes, with
// CRLF, or with a character split in two, gives the full values.
func TestReadyLineCut(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		text := "noise é" + end + "INSOMNIA-READY\tpod\t/run/é/sock" + end + "more" + end
		readers := []io.Reader{iotest.OneByteReader(strings.NewReader(text))}
		for cut := range len(text) + 1 {
			readers = append(readers, io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:])))
		}
		for i, r := range readers {
			e, err := readiness.ReadyLine{}.Wait(t.Context(), target(t, framed(r)))
			if want := (readiness.Endpoint{Network: "unix", Address: "/run/é/sock"}); err != nil || e != want {
				t.Errorf("reader %d: got %q, %v, want %q", i, e, err, want)
			}
		}
	}
}

// A20, row 8: a ready line that has arrived in part is waited for, neither
// malformed nor taken for a shorter one.
func TestReadyLineInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var got readiness.Endpoint
		var err error
		returned := false
		go func() {
			got, err = readiness.ReadyLine{}.Wait(t.Context(), target(t, framed(r)))
			returned = true
		}()
		for _, part := range []string{"INSOMNIA-", "READY", "\t", "po", "d\t", "/run", "/sock"} {
			io.WriteString(w, part)
			synctest.Wait()
			if returned {
				t.Fatalf("at %q Wait returned %v, %v", part, got, err)
			}
		}
		io.WriteString(w, "\n")
		synctest.Wait()
		if !returned || err != nil || got.Address != "/run/sock" {
			t.Errorf("returned: %v, %v, %v", returned, got, err)
		}
		w.Close()
	})
}

// A34: a ready line without its newline is none when the log ends, and as long
// as nobody has said that the pod is gone it is waited for.
func TestReadyLineUnterminated(t *testing.T) {
	log := framed(strings.NewReader("starting\nINSOMNIA-READY\tpod\t/run/sock"))
	_, took, err := await(t, readiness.ReadyLine{}, target(t, log))
	pending(t, err, errOver)
	if took != patience {
		t.Errorf("it took %v", took)
	}
}

// A log that cannot be read is the probe's own verdict, with the reason.
func TestReadyLineLogFails(t *testing.T) {
	broken := errors.New("the disk is gone")
	log := framed(io.MultiReader(strings.NewReader("starting\n"), iotest.ErrReader(broken)))
	_, took, err := await(t, readiness.ReadyLine{}, target(t, log))
	mustBe(t, err, broken)
	mustSay(t, err, "read the log for the ready line")
	if took != 0 || errors.Is(err, errOver) {
		t.Errorf("after %v: %v", took, err)
	}
	if _, _, err := await(t, readiness.ReadyLine{}, target(t, nil)); err == nil || errors.Is(err, errOver) {
		t.Errorf("without Lines: %v", err)
	}
}

// A16: what is in the log counts even if the context is done already, and the
// error wraps its cause if nothing is there.
func TestReadyLineContextDone(t *testing.T) {
	cause := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	e, err := readiness.ReadyLine{}.Wait(ctx, target(t, logOf("INSOMNIA-READY\tpod\t/run/sock")))
	if err != nil || e.Address != "/run/sock" {
		t.Errorf("got %v, %v", e, err)
	}
	_, err = readiness.ReadyLine{}.Wait(ctx, target(t, logOf("starting")))
	pending(t, err, cause)
}

// Rule 10: one value serves any number of waits at once.
func TestReadyLineConcurrent(t *testing.T) {
	l := readiness.ReadyLine{Lenient: true}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			target := target(t, logOf("INSOMNIA-READY\tother\t/x", fmt.Sprintf("INSOMNIA-READY\tpod\t/run/%d", i)))
			e, err := l.Wait(t.Context(), target)
			if want := fmt.Sprintf("/run/%d", i); err != nil || e.Address != want {
				t.Errorf("got %v, %v, want %v", e, err, want)
			}
		})
	}
	all.Wait()
}

// writes keeps what was written, one element for each write.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// Row 10: Announce writes the whole line at once, so that nothing can come
// between.
func TestAnnounce(t *testing.T) {
	var w writes
	if err := readiness.Announce(&w, "my pod", "/run/a\tb"); err != nil {
		t.Error(err)
	}
	if err := (readiness.ReadyLine{Prefix: "YOI-READY"}).Announce(&w, "pod", "sock"); err != nil {
		t.Error(err)
	}
	want := writes{"INSOMNIA-READY\tmy pod\t/run/a\tb\n", "YOI-READY\tpod\tsock\n"}
	if !slices.Equal(w, want) {
		t.Errorf("wrote %q, want %q", w, want)
	}
}

// A4, A5, A25, A30, A33: what could not be read back is refused, and nothing
// is written.
func TestAnnounceRefuses(t *testing.T) {
	for _, c := range []struct{ fault, name, socket, says string }{
		{"empty name", "", "/run/sock", "empty name"},
		{"empty socket", "pod", "", "empty socket"},
		{"tab in the name", "a\tb", "/run/sock", `"a\tb"`},
		{"newline in the name", "a\nb", "/run/sock", `"a\nb"`},
		{"CR in the name", "a\rb", "/run/sock", `"a\rb"`},
		{"NUL in the name", "a\x00b", "/run/sock", `a\x00b`},
		{"newline in the socket", "pod", "/run/\nsock", `"/run/\nsock"`},
		{"newline at the end of the socket", "pod", "/run/sock\n", `"/run/sock\n"`},
		{"CR at the end of the socket", "pod", "/run/sock\r", `"/run/sock\r"`},
		{"NUL in the socket", "pod", "/run/\x00sock", `/run/\x00sock`},
		{"abstract socket", "pod", "@pod", "abstract"},
		{"too long", "pod", "/" + strings.Repeat("p", 8<<10), "8212 bytes"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			var w writes
			err := readiness.Announce(&w, c.name, c.socket)
			if err == nil || w != nil {
				t.Fatalf("wrote %q, %v", w, err)
			}
			mustSay(t, err, "announce", c.says)
		})
	}
}

// A34: a line that did not get out is an error, also where the writer itself
// keeps quiet about it.
func TestAnnounceWriterFails(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	mustBe(t, readiness.Announce(w, "pod", "/run/sock"), io.ErrClosedPipe)
	mustBe(t, readiness.Announce(short{}, "pod", "/run/sock"), io.ErrShortWrite)
}

// short takes a part and says nothing about it.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) / 2, nil }

// ReadyLine reads a line that Announce writes back to the same name and socket. A line
// that Announce refuses leaves nothing behind. For any log Wait and OwnsLine agree, and
// a ready line that was read prints back to itself.
func FuzzReadyLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, prefix, name, socket string, log []byte) {
		l := readiness.ReadyLine{Prefix: prefix}
		target := readiness.Target{Name: name, RuntimeDir: "/nowhere", WorkDir: "/srv/pod"}
		done, cancel := context.WithCancel(t.Context())
		cancel()

		var w writes
		err := l.Announce(&w, name, socket)
		switch {
		case err != nil && w != nil:
			t.Errorf("Announce failed (%v) and wrote %q", err, w)
		case err == nil && len(w) != 1:
			t.Errorf("Announce wrote %q", w)
		case err == nil:
			target.Lines = framed(strings.NewReader(w[0]))
			e, err := l.Wait(done, target)
			if err != nil || !sameSocket(e, socket) {
				t.Errorf("%q was read back as %q, %v", w[0], e, err)
			}
		}

		for line := range framed(bytes.NewReader(log))(done) {
			target.Lines = logOf(string(line))
			e, err := l.Wait(done, target)
			if owned := l.OwnsLine(target, line); owned != (err == nil) && !strings.ContainsAny(prefix, "\t\r\n\x00") {
				t.Errorf("%q: owned: %v, Wait: %v", line, owned, err)
			}
			if err != nil {
				continue
			}
			_, rest, _ := strings.Cut(string(line), "\t")
			_, path, _ := strings.Cut(rest, "\t")
			if !sameSocket(e, path) {
				t.Errorf("%q gave %q", line, e)
			}
			if strings.Contains(name, "\r") || strings.HasSuffix(path, "\r") {
				continue // Announce is stricter: what ends a line for somebody is in neither
			}
			var again writes
			if err := l.Announce(&again, name, path); err != nil || !slices.Equal(again, writes{string(line) + "\n"}) {
				t.Errorf("%q was printed back as %q, %v", line, again, err)
			}
		}
	})
}

// sameSocket reports whether e is what a ready line with socket gives to a pod
// in /srv/pod.
func sameSocket(e readiness.Endpoint, socket string) bool {
	if !strings.HasPrefix(socket, "/") {
		socket = inWorkDir(socket)
	}
	return e == readiness.Endpoint{Network: "unix", Address: socket}
}
