package logsourcetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// notOnWindows are the faults that cannot be tried there. Another one breaks the same rule.
var notOnWindows = map[string]string{
	"a symbolic link at Path": "no symbolic link can be made in Wine 8",
	"ignores Launch.Root":     "Windows does not let anybody move a directory that is open",
	"Tend never returns":      "Wine 8 keeps the name of a file that is open, and with it the directory of the test",
}

// The kit finds each fault, by the rule that is there for it, and by no other;
// and there is a fault for each rule.
func TestWrongSources(t *testing.T) {
	proof := conformance.NewProof(logsourcetest.Rules())
	defer os.Unsetenv("LOGSOURCETEST_DIR") // one of them sets it
	for _, c := range wrongs {
		t.Run(c.fault, func(t *testing.T) {
			if why := notOnWindows[c.fault]; why != "" && runtime.GOOS == "windows" {
				proof.Skip(t, c.rule, why)
			}
			proof.Finds(t, func(only ...string) map[string]error { return logsourcetest.Broken(t, c.source, only...) }, c.rule)
		})
	}
	proof.Complete(t)
}

// This is a Source whose author has not read the contract: a plain file, opened by
// each reader. It ends where there is nothing more, and ignores the context.
func TestPlainFile(t *testing.T) {
	rules := []string{"end-cause", "end-final", "fresh", "open-context", "reader-close", "reader-context", "waits"}
	broken := logsourcetest.Broken(t, func(*testing.T) logsource.Source {
		return logsource.SourceFunc(func(_ context.Context, launch logsource.Launch) (*logsource.Log, error) {
			path := filepath.Join(launch.Dir, "log")
			sink, err := os.Create(path)
			if err != nil {
				return nil, err
			}
			return &logsource.Log{Sink: sink, Path: path, Follow: func(context.Context) (io.ReadCloser, error) {
				return os.Open(path)
			}}, nil
		})
	}, rules...)
	for _, rule := range rules {
		if broken[rule] == nil {
			t.Errorf("the rule %q does not complain", rule)
		}
	}
}

// The kit finds nothing wrong with the fake, nor with a file, in a bubble.
func TestRightSources(t *testing.T) {
	for name, newSource := range map[string]func(*testing.T) logsource.Source{
		"Memory":       func(*testing.T) logsource.Source { return new(logsourcetest.Memory) },
		"File":         func(*testing.T) logsource.Source { return polled },
		"by path":      func(*testing.T) logsource.Source { return logsource.SourceFunc(openByPath) },
		"the last MiB": func(*testing.T) logsource.Source { return lastMiB() },
		"seven bytes at a time": func(*testing.T) logsource.Source {
			return read(func(_ context.Context, p []byte, again func([]byte) (int, error)) (int, error) {
				return again(p[:min(len(p), 7)])
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "seven bytes at a time" {
				t.Skip("skipped with -short: a long log in small pieces")
			}
			for rule, err := range logsourcetest.Broken(t, newSource) {
				t.Errorf("%s: %v", rule, err)
			}
		})
	}
}

// lastMiB is a Memory whose readers lose what is more than a MiB old, and count it.
func lastMiB() logsource.Source {
	var written sync.Map // launch → *atomic.Int64
	return &bent{
		deliver: func(launch logsource.Launch, w io.WriteCloser) io.WriteCloser {
			size, _ := written.Load(launch)
			return sink{func(p []byte) (int, error) {
				size.(*atomic.Int64).Add(int64(len(p)))
				return w.Write(p)
			}, w.Close}
		},
		log: func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			size, follow := new(atomic.Int64), log.Follow
			written.Store(launch, size)
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := follow(ctx)
				var place, lost int64
				return losing{changed{r, func(p []byte) (int, error) {
					n, _ := io.CopyN(io.Discard, r, max(0, size.Load()-1<<20-place))
					place, lost = place+n, lost+n
					m, err := r.Read(p)
					place += int64(m)
					return m, err
				}, r.Close}, func() int64 { return lost }}, err
			}
		},
	}
}

// openByPath opens a log that is a file for each launch, which readers open again and
// again.
func openByPath(_ context.Context, launch logsource.Launch) (*logsource.Log, error) {
	name := launch.ID.String() + ".log"
	path, open := filepath.Join(launch.Dir, name), os.OpenFile
	if launch.Root == nil {
		name = path
	} else {
		open = launch.Root.OpenFile
	}
	sink, err := open(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &logsource.Log{Sink: sink, Path: path, Follow: func(ctx context.Context) (io.ReadCloser, error) {
		return &byPath{path: path, ctx: ctx, end: -1}, nil
	}}, nil
}

// A byPath reads a file by its path.
type byPath struct {
	path    string
	ctx     context.Context
	at, end int64 // end is where the file ended when ctx was done; -1: it is not
}

func (r *byPath) Close() error { return nil }

func (r *byPath) Read(p []byte) (int, error) {
	for {
		n, err := r.look(p)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-r.ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *byPath) look(p []byte) (int, error) {
	file, err := os.Open(r.path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if r.end < 0 && r.ctx.Err() != nil {
		fi, err := file.Stat()
		if err != nil {
			return 0, err
		}
		r.end = fi.Size()
	}
	if r.end >= 0 {
		p = p[:min(int64(len(p)), r.end-r.at)]
	}
	n, err := file.ReadAt(p, r.at)
	r.at += int64(n)
	switch {
	case n > 0 || errors.Is(err, io.EOF) && r.end < 0:
		return n, nil
	case r.at == r.end:
		return 0, context.Cause(r.ctx)
	}
	return 0, err
}

// The fake passes the kit as anybody's Source does.
func TestMemory(t *testing.T) {
	t.Parallel()
	logsourcetest.Test(t, func(*testing.T) logsource.Source { return new(logsourcetest.Memory) })
}

// What people see: each broken rule is a subtest that failed, with what was
// seen and the rule in words; a rule can be left out by its name; a rule that
// does not apply is skipped with the reason; if the first one is broken the
// others are not tried.
func TestReport(t *testing.T) {
	t.Parallel()
	play := conformance.Plays(t, map[string]func(t *testing.T){
		"ends": func(t *testing.T) {
			logsourcetest.Test(t, func(*testing.T) logsource.Source { return emptyEnds(io.EOF) })
		},
		"unopened": func(t *testing.T) {
			logsourcetest.Test(t, func(*testing.T) logsource.Source {
				return logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) {
					return nil, errors.New("no log today")
				})
			})
		},
	})
	if play == nil {
		return
	}
	if _, passed := play(t, "ends", "",
		"--- FAIL: TestReport/waits", `Read returned "", EOF although there may be more`, "The rule: Read blocks until there is more.",
		"--- PASS: TestReport/fresh", "--- SKIP: TestReport/end-wakes", "does not apply: Read does not wait",
	); passed {
		t.Error("the test of a wrong Source passed")
	}
	if out, passed := play(t, "ends", "^TestReport$/^waits$"); !passed {
		t.Errorf("it failed without the broken rule:\n%s", out)
	}
	rest := len(maps.Collect(logsourcetest.Rules())) - 1
	out, passed := play(t, "unopened", "", "--- FAIL: TestReport/opens", "no log today", fmt.Sprintf("the other %d rules were not tried", rest))
	if passed || strings.Contains(out, "TestReport/fresh") {
		t.Errorf("it was not the end when nothing could be opened:\n%s", out)
	}
}
