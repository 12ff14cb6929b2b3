package logsourcetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
)

var errTest = errors.New("why the context has ended")

// Lines keeps the contract of a readiness.Target's: complete lines from the
// first at every call, then the cause of the context's end, or nothing once
// the output has ended. The unterminated end is no line.
func TestOutputLines(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(out *logsourcetest.Output, cancel context.CancelCauseFunc)
		want []string
	}{
		{"context", func(_ *logsourcetest.Output, cancel context.CancelCauseFunc) { cancel(errTest) },
			[]string{"one", "two", "error: " + errTest.Error()}},
		{"Close", func(out *logsourcetest.Output, _ context.CancelCauseFunc) { out.Close() }, []string{"one", "two"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var out logsourcetest.Output
				fmt.Fprint(&out, "one\r\n")
				early := lines(ctx, &out)
				synctest.Wait()
				fmt.Fprint(&out, "two\nhal")
				synctest.Wait()
				c.end(&out, cancel)
				for _, got := range [][]string{<-early, <-lines(ctx, &out)} {
					if !slices.Equal(got, c.want) {
						t.Errorf("got %q, want %q", got, c.want)
					}
				}
			})
		})
	}
}

// lines reads all lines of out in a goroutine.
func lines(ctx context.Context, out *logsourcetest.Output) <-chan []string {
	read := make(chan []string)
	go func() {
		var got []string
		for line, err := range out.Lines(ctx) {
			if err != nil {
				line = fmt.Append(nil, "error: ", err)
			}
			got = append(got, string(line))
		}
		read <- got
	}()
	return read
}

// A caller who has seen enough stops.
func TestOutputLinesStop(t *testing.T) {
	var out logsourcetest.Output
	fmt.Fprint(&out, "one\ntwo\n")
	for line := range out.Lines(t.Context()) {
		if string(line) != "one" {
			t.Errorf("got %q", line)
		}
		break
	}
}

// What has ended takes nothing more, and a reader that was closed reads
// nothing more, at once if it waits.
func TestOutputClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logsourcetest.Output
		r, err := out.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		if n, err := r.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
		mustBe(t, r.Close(), nil)
		mustBe(t, <-read, fs.ErrClosed)
		mustBe(t, r.Close(), fs.ErrClosed)
		mustBe(t, out.Close(), nil)
		mustBe(t, out.Close(), fs.ErrClosed)
		_, err = io.WriteString(&out, "x")
		mustBe(t, err, fs.ErrClosed)
	})
}

// Only a launch whose log is open has somewhere to write; the later of two
// logs of one launch is its log, and the end of the earlier does not close it.
func TestMemoryDeliver(t *testing.T) {
	var m logsourcetest.Memory
	launch := logsource.Launch{Name: "web", Dir: "/run/web", ID: uuid.New()}
	_, err := m.Deliver(launch)
	mustBe(t, err, fs.ErrNotExist)
	var logs []*logsource.Log
	for range 2 {
		log, err := m.Open(t.Context(), launch)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, log)
	}
	mustBe(t, logs[0].Close(), nil)
	w, err := m.Deliver(launch)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "hello")
	mustBe(t, w.Close(), nil)
	mustBe(t, logs[1].Close(), nil)
	_, err = m.Deliver(launch)
	mustBe(t, err, fs.ErrNotExist)
	for i, want := range []string{"", "hello"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		r, err := logs[i].Follow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		mustBe(t, err, errTest)
		if string(got) != want {
			t.Errorf("log %d holds %q, want %q", i, got, want)
		}
	}
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}
