//go:build unix

package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/readiness"
)

// s6: a newline on the descriptor is readiness. It does not matter what came before it,
// how many writes it took, or if it was written just as the time was over.
func TestNotifyFD(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		ready  bool
	}{
		{"a newline", []string{"\n"}, true},
		{"more", []string{"ready at last\nand more\n"}, true},
		{"in pieces", []string{"rea", "dy", "\n"}, true},
		{"far away", []string{strings.Repeat("x", 20_000), "\n"}, true},
		{"any bytes", []string{"\x00\xff\n"}, true},
		{"nothing", nil, false},
		{"no newline", []string{"ready\r"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, readiness.NotifyFD{})
			for _, text := range c.writes {
				if _, err := p.setup.Files[0].WriteString(text); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // asked again, it says the same
				e, err := p.over(t)
				if !c.ready {
					pending(t, err, errOver)
				} else if err != nil || e != p.target.Endpoint {
					t.Errorf("got %v, %v", e, err)
				}
			}
		})
	}
}

// The newline ends the wait when it comes.
func TestNotifyFDWaits(t *testing.T) {
	p := prepare(t, readiness.NotifyFD{})
	done := make(chan error, 1)
	go func() {
		_, err := p.probe.Wait(t.Context(), p.target)
		done <- err
	}()
	for _, text := range []string{"not ", "yet", ": now\n"} {
		if _, err := p.setup.Files[0].WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// If a pod closes the descriptor without a newline, and runs on, the error says that.
// A pod that exits closes the descriptor too, and the error says that it exited.
func TestNotifyFDClosed(t *testing.T) {
	t.Parallel()
	p := prepare(t, readiness.NotifyFD{FD: 5})
	fmt.Fprint(p.setup.Files[2], "almost")
	p.setup.CloseFiles()
	_, err := p.probe.Wait(t.Context(), p.target)
	mustBe(t, err, readiness.ErrNotifyFDClosed)
	mustSay(t, err, "descriptor 5")

	exited := errors.New("it has exited")
	p = prepare(t, readiness.NotifyFD{})
	ctx, exit := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := p.probe.Wait(ctx, p.target)
		done <- err
	}()
	p.setup.CloseFiles()
	exit(exited)
	if e := pending(t, <-done, exited); e.Tried() {
		t.Errorf("it has something to add: %v", e)
	}
}

// A pod that floods the descriptor does not keep the probe from noticing that
// the time is over.
func TestNotifyFDFlood(t *testing.T) {
	p := prepare(t, readiness.NotifyFD{})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		chunk := []byte(strings.Repeat("x", 64<<10))
		for i := 0; ; i++ {
			if i == 100 {
				cancel(errOver)
			}
			if _, err := p.setup.Files[0].Write(chunk); err != nil {
				return
			}
		}
	}()
	_, err := p.probe.Wait(ctx, p.target)
	pending(t, err, errOver)
	p.setup.Close() // who writes gets EPIPE now
	<-ended
}

// The descriptor is the first free one, or that of the field FD. An impossible FD is an
// error that names the field.
func TestNotifyFDNumber(t *testing.T) {
	p := prepare(t, readiness.Sequence{readiness.NotifyFD{}, readiness.NotifyFD{FD: 7}, readiness.NotifyFD{}})
	for fd, want := range map[int]bool{3: true, 4: true, 5: false, 6: false, 7: true} {
		if got := p.setup.Files[fd-3] != nil; got != want {
			t.Errorf("descriptor %d is handed over: %v", fd, got)
		}
	}
	if s := readiness.Describe(p.probe); s != "a newline on descriptor 3, then a newline on descriptor 7, then a newline on descriptor 4" {
		t.Error(s)
	}
	for _, fd := range []int{-1, 2, 3, 19} {
		_, err := readiness.NotifyFD{FD: fd}.Prepare(t.Context(), p.setup)
		mustSay(t, err, "readiness.NotifyFD.FD", fmt.Sprint(fd))
	}
	_, err := readiness.NotifyFD{}.Wait(t.Context(), readiness.Target{})
	mustSay(t, err, "readiness.NotifyFD", "not prepared")
}

// The pod's end is one whose writes block, as a program expects it.
func TestNotifyFDBlocks(t *testing.T) {
	p := prepare(t, readiness.NotifyFD{})
	blocks(t, p.setup.Files[0])
}

// blocks fails the test unless reads and writes of f block.
func blocks(t *testing.T, f *os.File) {
	t.Helper()
	raw, err := f.SyscallConn() // not Fd, which might change what is asked for
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("the flags of %s are %#x, %v", f.Name(), flags, err)
		}
	}); err != nil {
		t.Error(err)
	}
}

// W26: what a daemon writes there is its address, in one write or several, with a
// newline or as the last thing before it closes the descriptor.
func TestNotifyFDMatch(t *testing.T) {
	display := readiness.NewFact[string]("the display")
	bus := readiness.NotifyFD{Match: regexp.MustCompile(`^(?P<network>unix):path=(?P<address>[^,]+)`)}
	x := readiness.NotifyFD{Match: regexp.MustCompile(`^(?P<value>\d+)$`), Value: display}
	for _, c := range []struct {
		name   string
		p      readiness.NotifyFD
		writes []string
		closes bool
		want   string // endpoint, or display; empty: not ready
	}{
		{"a bus", bus, []string{"unix:path=/tmp/dbus-1,guid=0\n"}, false, "unix:/tmp/dbus-1"},
		{"two lines", bus, []string{"hello\nunix:path=/tmp/dbus-1,guid=0\n"}, false, "unix:/tmp/dbus-1"},
		{"the second line counts no more", bus, []string{"unix:path=/1\nunix:path=/2\n"}, false, "unix:/1"},
		{"in pieces", bus, []string{"unix:pa", "th=/tmp/db", "us-1\n"}, false, "unix:/tmp/dbus-1"},
		{"without a newline", bus, []string{"unix:path=/tmp/d"}, false, ""},
		{"closed without a newline", bus, []string{"unix:path=/tmp/d"}, true, "unix:/tmp/d"},
		{"X in two writes", x, []string{"99", "\n"}, false, "99"},
		{"a line that is too long", x, []string{strings.Repeat("1", 40<<10), strings.Repeat("1", 40<<10) + "x\n"}, false, strings.Repeat("1", 64<<10)},
		{"nothing that matches", x, []string{"\n"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, c.p)
			facts := new(readiness.Facts)
			p.target.Facts = facts
			for _, text := range c.writes {
				if _, err := p.setup.Files[0].WriteString(text); err != nil {
					t.Fatal(err)
				}
				if c.want != "" && text != c.writes[len(c.writes)-1] {
					_, err := p.over(t)
					pending(t, err, errOver)
				}
			}
			if c.closes {
				p.setup.CloseFiles()
			}
			for range 2 {
				e, err := p.over(t)
				if c.want == "" {
					pending(t, err, errOver)
					continue
				}
				got := e.String()
				if c.p.Value == display {
					got, _ = display.Of(facts)
				}
				if err != nil || got != c.want {
					t.Errorf("got %.100s, %v", got, err)
				}
			}
		})
	}
	bad := prepare(t, readiness.NotifyFD{Match: regexp.MustCompile(`port (?P<port>\d+)`)})
	fmt.Fprintln(bad.setup.Files[0], "port 0")
	_, err := bad.over(t)
	mustSay(t, err, "readiness.NotifyFD.Match", "the port 0")
	for says, p := range map[string]readiness.NotifyFD{
		"readiness.NotifyFD.Match: ": {Match: regexp.MustCompile(`(?P<adress>x)`)},
		"readiness.NotifyFD.Value":   {Value: display},
	} {
		_, err := readiness.Prepare(t.Context(), p, &readiness.Setup{})
		mustSay(t, err, says)
	}
}

// W26 with the real one.
func TestNotifyFDOfDbus(t *testing.T) {
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	dir := shortDir(t)
	p := prepareIn(t, dir, readiness.Sequence{
		readiness.NotifyFD{Match: regexp.MustCompile(`^(?P<network>unix):path=(?P<address>[^,]+)`)},
		readiness.Socket{},
	})
	c := exec.Command(path, "--session", "--nofork", "--nopidfile", "--nosyslog", "--address=unix:path="+dir+"/bus", "--print-address=3")
	c.ExtraFiles, c.Stderr = p.setup.Files, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	p.setup.CloseFiles()
	p.target.PID = c.Process.Pid
	if e, err := p.probe.Wait(t.Context(), p.target); err != nil || e != address(dir+"/bus") {
		t.Errorf("got %v, %v", e, err)
	}
}
