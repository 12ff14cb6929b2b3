package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// The pod's own words end the wait at once, with its reason. A line of another pod, or
// that lacks fields, is noise, and the error names it when the time is over.
func TestPodSaysThatItFailed(t *testing.T) {
	yoi := readiness.ReadyLine{Prefix: "YOI-READY"}
	for _, c := range []struct {
		name   string
		probe  readiness.ReadyLine
		line   string
		reason string // "": it is noise
		noted  string // what the error says of it
	}{
		{"a reason", readiness.ReadyLine{}, "INSOMNIA-FAIL\tpod\tno model", "no model", ""},
		{"tabs are the reason's", readiness.ReadyLine{}, "INSOMNIA-FAIL\tpod\ta\tb", "a\tb", ""},
		{"any bytes", readiness.ReadyLine{}, "INSOMNIA-FAIL\tpod\t\xff\x00", "\xff\x00", ""},
		{"lenient", readiness.ReadyLine{Lenient: true}, "INSOMNIA-FAIL\tpod\tno model", "no model", ""},
		{"another prefix", yoi, "YOI-FAIL\tpod\tno model", "no model", ""},
		{"a prefix that is all READY", readiness.ReadyLine{Prefix: "-READY"}, "-FAIL\tpod\tx", "x", ""},
		{"the default prefix under another", yoi, "INSOMNIA-FAIL\tpod\tno model", "", ""},
		{"a prefix without READY", readiness.ReadyLine{Prefix: "UP"}, "UP-FAIL\tpod\tno model", "", ""},
		{"another pod's", readiness.ReadyLine{}, "INSOMNIA-FAIL\tdb\tno model", "", `it names "db", this is "pod"`},
		{"no name", readiness.ReadyLine{}, "INSOMNIA-FAIL", "", "1 of 3 fields"},
		{"no reason field", readiness.ReadyLine{}, "INSOMNIA-FAIL\tpod", "", "2 of 3 fields"},
		{"another pod's status", readiness.ReadyLine{}, "INSOMNIA-STATUS\tdb\tx", "", `it names "db"`},
		{"a status", readiness.ReadyLine{}, "INSOMNIA-STATUS\tpod\tx", "", ""},
		{"longer word", readiness.ReadyLine{}, "INSOMNIA-FAILED\tpod\tx", "", ""},
		{"spaces", readiness.ReadyLine{}, "INSOMNIA-FAIL pod x", "", ""},
		{"leading space", readiness.ReadyLine{}, " INSOMNIA-FAIL\tpod\tx", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := target(t, logOf("loading", c.line, "later"))
			_, took, err := await(t, c.probe, target)
			owns := c.probe.OwnsLine(target, []byte(c.line))
			if c.reason == "" {
				p := pending(t, err, errOver)
				if notes := strings.Join(p.Notes, "; "); !strings.Contains(notes, c.noted) || (c.noted == "") != (notes == "") {
					t.Errorf("the notes are %q, want %q", notes, c.noted)
				}
				if owns {
					t.Error("it owns a line that is noise")
				}
				return
			}
			failed := failedWith(t, err)
			if failed.Reason != c.reason || took != 0 || !owns {
				t.Errorf("reason %q after %v, owned: %v", failed.Reason, took, owns)
			}
		})
	}
}

// failedWith fails the test unless err is a FailedError, and returns it.
func failedWith(t *testing.T, err error) *readiness.FailedError {
	t.Helper()
	mustBe(t, err, readiness.ErrFailed)
	var failed *readiness.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("no *FailedError: %v", err)
	}
	return failed
}

// A pod that fails without a reason has failed all the same.
func TestPodFailsWithoutReason(t *testing.T) {
	_, _, err := await(t, readiness.ReadyLine{}, target(t, logOf("INSOMNIA-FAIL\tpod\t")))
	failedWith(t, err)
	mustSay(t, err, "without a reason")
}

// A status is shown without what marks it; what does not concern the pod is no
// status.
func TestStatusOfThePod(t *testing.T) {
	for line, want := range map[string]string{
		"INSOMNIA-STATUS\tpod\tloading, 30 %": "loading, 30 %",
		"INSOMNIA-STATUS\tpod\ta\tb":          "a\tb",
		"INSOMNIA-STATUS\tpod\t":              "",
		"INSOMNIA-STATUS\tpod":                "none",
		"INSOMNIA-STATUS\tdb\tx":              "none",
		"INSOMNIA-STATUSES\tpod\tx":           "none",
		"INSOMNIA-FAIL\tpod\tx":               "none",
		"loading":                             "none",
		"":                                    "none",
	} {
		probe := readiness.Timeout{Probe: readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}, Limit: 1}
		text, ok := readiness.StatusOf(probe, readiness.Target{Name: "pod"}, []byte(line))
		if got := string(text); ok != (want != "none") || ok && got != want {
			t.Errorf("%q is the status %q, %v; want %q", line, got, ok, want)
		}
	}
}

// What a pod in trouble says is never refused: it is made to fit into one line,
// written at once, and understood. With a prefix that has no such lines it is
// an ordinary one.
func TestAnnounceSiblings(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	for _, c := range []struct {
		name, reason string
		want         string // "": not understood
		line         string // what is written then
		probe        readiness.ReadyLine
	}{
		{name: "plain", reason: "no model", want: "no model"},
		{name: "line breaks", reason: "one\ntwo\r\nthree\rfour\n", want: "one two three four "},
		{name: "tabs", reason: "a\tb", want: "a\tb"},
		{name: "empty"},
		{name: "invalid", reason: "\xff\x00", want: "\xff\x00"},
		{name: "another prefix", reason: "no model", want: "no model", probe: readiness.ReadyLine{Prefix: "YOI-READY"}},
		{name: "no such lines", reason: "no\nmodel", line: "no model\n", probe: readiness.ReadyLine{Prefix: "UP"}},
		{name: "a prefix that cannot be", reason: "no\nmodel", line: "no model\n", probe: readiness.ReadyLine{Prefix: "A\n-READY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, say := range map[string]func(io.Writer, string, string) error{
				"fail": c.probe.AnnounceFail, "status": c.probe.AnnounceStatus,
			} {
				var w writes
				if err := say(&w, "pod", c.reason); err != nil || len(w) != 1 {
					t.Fatalf("%s: %q, %v", what, w, err)
				}
				line, ended := strings.CutSuffix(w[0], "\n")
				if !ended || strings.ContainsAny(line, "\r\n") || c.line != "" && w[0] != c.line {
					t.Errorf("%s wrote %q, want %q", what, w[0], c.line)
				}
				if c.line == "" {
					understood(t, c.probe, what, line, c.want)
				}
			}
		})
	}
	var w writes
	if err := readiness.AnnounceFail(&w, "pod", long); err != nil || len(w[0]) > 4<<10+64 || !strings.HasSuffix(w[0], "ä…\n") {
		t.Errorf("%d bytes, %v", len(w[0]), err)
	}
	if err := readiness.AnnounceStatus(&w, "a\tname\n", "x"); err != nil || w[1] != "INSOMNIA-STATUS\ta name \tx\n" {
		t.Errorf("%q, %v", w[1], err)
	}
	if err := readiness.AnnounceFail(fullDisk{}, "pod", "x"); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
}

// understood fails the test unless probe takes line for what the pod said.
func understood(t *testing.T, probe readiness.ReadyLine, what, line, want string) {
	t.Helper()
	target := target(t, logOf(line))
	if what == "status" {
		if text, ok := probe.Status(target, []byte(line)); !ok || string(text) != want {
			t.Errorf("%q is the status %q, %v", line, text, ok)
		}
		return
	}
	_, _, err := await(t, probe, target)
	if failed := failedWith(t, err); failed.Reason != want {
		t.Errorf("%q is the reason %q", line, failed.Reason)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A reason that is too long for a line is cut, not refused.
func TestLongReasonIsCut(t *testing.T) {
	_, _, err := await(t, readiness.ReadyLine{}, target(t, logOf("INSOMNIA-FAIL\tpod\t"+strings.Repeat("x", 50<<10))))
	if failed := failedWith(t, err); len(failed.Reason) > 4<<10 || !strings.HasSuffix(failed.Reason, "x…") {
		t.Errorf("%d bytes", len(failed.Reason))
	}
}

// The message of a failure says all that the pod has told, and errors.Is does
// not take the pod's own errors for the launcher's.
func TestFailedError(t *testing.T) {
	three := 3
	for want, e := range map[string]*readiness.FailedError{
		"pod says that it has failed, without a reason": {},
		"pod says that it has failed: no model":         {Reason: "no model"},
		fmt.Sprintf("pod says that it has failed: no model (errno 2: %v, exit status 3, it is stopping)", syscall.ENOENT): {
			Reason: "no model", Errno: syscall.ENOENT, ExitStatus: &three, Stopping: true},
		"pod says that it has failed (it is stopping)": {Stopping: true},
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
		if !errors.Is(e, readiness.ErrFailed) || errors.Is(e, syscall.ENOENT) {
			t.Errorf("errors.Is finds the wrong things in %v", e)
		}
	}
}

// A pod says any text about itself in one line and one write. The probe understands the
// text as it was, except for line breaks and what is over 4 KiB. About another pod the
// line says nothing.
func FuzzWords(f *testing.F) {
	f.Fuzz(func(t *testing.T, name, text string) {
		if strings.ContainsAny(name, "\t\r\n") {
			return // no pod is called so
		}
		want := strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ").Replace(text)
		for what, say := range map[string]func(io.Writer, string, string) error{
			"fail": readiness.AnnounceFail, "status": readiness.AnnounceStatus,
		} {
			var w writes
			if err := say(&w, name, text); err != nil || len(w) != 1 || strings.IndexByte(w[0], '\n') != len(w[0])-1 {
				t.Fatalf("%s: %q, %v", what, w, err)
			}
			line := strings.TrimSuffix(w[0], "\n")
			got, ok := "", false
			if what == "status" {
				var status []byte
				status, ok = readiness.ReadyLine{}.Status(readiness.Target{Name: name}, []byte(line))
				got = string(status)
			} else {
				got, ok = reasonIn(t, name, line)
			}
			switch whole := len(text) <= 4<<10; {
			case !ok || whole && got != want:
				t.Errorf("%s: %q was understood as %q, %v", what, line, got, ok)
			case !whole && (len(got) > 4<<10+len("…") || !strings.HasSuffix(got, "…")):
				t.Errorf("%s: of %d bytes %d were kept: %q", what, len(text), len(got), got)
			}
			if _, ok := (readiness.ReadyLine{}).Status(readiness.Target{Name: name + "x"}, []byte(line)); ok {
				t.Errorf("%q is another pod's status", line)
			}
			if _, ok := reasonIn(t, name+"x", line); ok {
				t.Errorf("%q is another pod's failure", line)
			}
		}
	})
}

// reasonIn returns why the pod called name has failed, if line says so.
func reasonIn(t *testing.T, name, line string) (string, bool) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := readiness.ReadyLine{}.Wait(done, readiness.Target{Name: name, Lines: logOf(line)})
	var failed *readiness.FailedError
	if !errors.As(err, &failed) {
		return "", false
	}
	return failed.Reason, true
}
