package logsourcetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
)

// A bent is a Memory that does one thing otherwise.
type bent struct {
	logsourcetest.Memory

	// What becomes of what Memory does; each may be nil.
	open    func(ctx context.Context, launch logsource.Launch) error
	log     func(ctx context.Context, launch logsource.Launch, log *logsource.Log)
	deliver func(launch logsource.Launch, w io.WriteCloser) io.WriteCloser
}

func (b *bent) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	if b.open != nil {
		if err := b.open(ctx, launch); err != nil {
			return nil, err
		}
	}
	log, err := b.Memory.Open(ctx, launch)
	if err == nil && b.log != nil {
		b.log(ctx, launch, log)
	}
	return log, err
}

func (b *bent) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
	w, err := b.Memory.Deliver(launch)
	if err == nil && b.deliver != nil {
		w = b.deliver(launch, w)
	}
	return w, err
}

// followed is a Memory whose Follow does something before, and whose readers
// are changed.
func followed(change func(ctx context.Context, log *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error)) *bent {
	return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) {
		right := *log
		log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
			wrap, err := change(ctx, &right)
			if err != nil {
				return nil, err
			}
			r, err := right.Follow(ctx)
			return wrap(r), err
		}
	}}
}

// read is a Memory whose readers' Read is another. again is the right one.
func read(wrong func(ctx context.Context, p []byte, again func([]byte) (int, error)) (int, error)) *bent {
	return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
		return func(r io.ReadCloser) io.ReadCloser {
			return changed{r, func(p []byte) (int, error) { return wrong(ctx, p, r.Read) }, r.Close}
		}, nil
	})
}

// A changed is a reader or a writer with other functions.
type changed struct {
	io.ReadCloser
	read  func([]byte) (int, error)
	close func() error
}

func (c changed) Read(p []byte) (int, error) { return c.read(p) }
func (c changed) Close() error               { return c.close() }

// A sink is a writer with other functions.
type sink struct {
	write func([]byte) (int, error)
	close func() error
}

func (s sink) Write(p []byte) (int, error) { return s.write(p) }
func (s sink) Close() error                { return s.close() }

// A seeking is a reader whose Seek does nothing.
type seeking struct{ io.ReadCloser }

func (s seeking) Seek(offset int64, _ int) (int64, error) { return offset, nil }

// A skipping is a reader with another SkipToLast.
type skipping struct {
	io.ReadCloser
	skip func(n int64) error
}

func (s skipping) SkipToLast(n int64) error { return s.skip(n) }

// A losing is a reader that counts what it has lost.
type losing struct {
	io.ReadCloser
	lost func() int64
}

func (l losing) Lost() int64 { return l.lost() }

// wrapped is a File whose readers are others.
func wrapped(wrap func(ctx context.Context, r io.ReadCloser) io.ReadCloser) logsource.Source {
	return filed(func(log *logsource.Log) {
		follow := log.Follow
		log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
			r, err := follow(ctx)
			if err != nil {
				return nil, err
			}
			return wrap(ctx, r), nil
		}
	})
}

// A printing is a File with another standard output.
type printing struct {
	logsource.File
	open func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error)
}

func (p printing) OpenStdout(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	return p.open(ctx, launch)
}

// printed is a File whose standard output is changed.
func printed(change func(launch logsource.Launch, log *logsource.Log)) logsource.Source {
	return printing{polled, func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
		log, err := polled.OpenStdout(ctx, launch)
		if err == nil {
			change(launch, log)
		}
		return log, err
	}}
}

// appends opens a standard output that is one file for all launches.
func appends(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	path := filepath.Join(launch.Dir, logsource.StdoutName)
	sink, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &logsource.Log{Sink: sink, Path: path, Follow: func(ctx context.Context) (io.ReadCloser, error) {
		return polled.Refollow(ctx, logsource.Past{Path: path}, true)
	}}, nil
}

// A mixing is a File whose standard output goes to the log.
type mixing struct{ logsource.File }

func (m mixing) OpenStdout(_ context.Context, launch logsource.Launch) (*logsource.Log, error) {
	path := filepath.Join(launch.Dir, logsource.DefaultName)
	sink, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return &logsource.Log{Sink: sink, Path: path, Follow: func(ctx context.Context) (io.ReadCloser, error) {
		return m.Refollow(ctx, logsource.Past{Path: path}, true)
	}}, nil
}

// wrongs are Sources with a fault each, and the one rule that finds it.
var wrongs = []struct {
	fault, rule string
	source      func(t *testing.T) logsource.Source
}{
	{"tells it to the program by a variable", "surroundings", func(*testing.T) logsource.Source {
		return &bent{open: func(_ context.Context, launch logsource.Launch) error {
			return os.Setenv("LOGSOURCETEST_DIR", launch.Dir)
		}}
	}},
	{"a Log without Follow", "opens", func(*testing.T) logsource.Source {
		return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) { log.Follow = nil }}
	}},
	{"no Log, and no error", "opens", func(*testing.T) logsource.Source {
		return logsource.SourceFunc(func(context.Context, logsource.Launch) (*logsource.Log, error) { return nil, nil })
	}},
	{"Open never returns", "opens", func(t *testing.T) logsource.Source {
		over := t.Context()
		return &bent{open: func(context.Context, logsource.Launch) error { <-over.Done(); return over.Err() }}
	}},
	{"Open calls FailNow", "opens", func(*testing.T) logsource.Source {
		return &bent{open: func(context.Context, logsource.Launch) error { runtime.Goexit(); return nil }}
	}},
	{"no Sink, and no Deliverer", "opens", func(*testing.T) logsource.Source {
		return logsource.SourceFunc(new(logsourcetest.Memory).Open)
	}},
	{"output that goes nowhere", "opens", func(*testing.T) logsource.Source {
		return &bent{deliver: func(_ logsource.Launch, w io.WriteCloser) io.WriteCloser {
			return sink{func(p []byte) (int, error) { return len(p), nil }, w.Close}
		}}
	}},
	{"one descriptor and one offset for all readers", "offset", func(t *testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			log.Follow = oneOffset(t, log.Path)
		})
	}},
	{"readers end with Open's context", "open-context", func(*testing.T) logsource.Source {
		return &bent{log: func(opening context.Context, _ logsource.Launch, log *logsource.Log) {
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				ctx, cancel := context.WithCancelCause(ctx)
				context.AfterFunc(opening, func() { cancel(context.Canceled) })
				return follow(ctx)
			}
		}}
	}},
	{"Open returns ctx.Err()", "open-cancelled", func(*testing.T) logsource.Source {
		return &bent{open: func(ctx context.Context, _ logsource.Launch) error { return ctx.Err() }}
	}},
	{"a failing Open forgets a descriptor", "open-fails-clean", func(t *testing.T) logsource.Source {
		return &bent{open: func(ctx context.Context, _ logsource.Launch) error {
			if ctx.Err() != nil {
				forget(t)
			}
			return nil
		}}
	}},
	{"one Open at a time", "open-concurrent", func(*testing.T) logsource.Source {
		var busy atomic.Bool
		return &bent{open: func(context.Context, logsource.Launch) error {
			if !busy.CompareAndSwap(false, true) {
				return errors.New("busy")
			}
			time.Sleep(time.Millisecond)
			busy.Store(false)
			return nil
		}}
	}},
	{"one log for a directory", "fresh", func(*testing.T) logsource.Source { return new(perDirectory) }},
	{"Follow of the name's latest launch", "apart", func(*testing.T) logsource.Source {
		var latest sync.Map
		return &bent{log: func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			latest.Store(launch.Name, log.Follow)
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				follow, _ := latest.Load(launch.Name)
				return follow.(func(context.Context) (io.ReadCloser, error))(ctx)
			}
		}}
	}},

	{"late readers get the last 64 KiB", "first-byte", func(*testing.T) logsource.Source {
		var written sync.Map // *logsource.Log's launch → *atomic.Int64
		b := &bent{deliver: func(launch logsource.Launch, w io.WriteCloser) io.WriteCloser {
			n, _ := written.Load(launch)
			return sink{func(p []byte) (int, error) {
				n.(*atomic.Int64).Add(int64(len(p)))
				return w.Write(p)
			}, w.Close}
		}}
		b.log = func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			n, follow := new(atomic.Int64), log.Follow
			written.Store(launch, n)
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := follow(ctx)
				io.CopyN(io.Discard, r, max(0, n.Load()-64<<10))
				return r, err
			}
		}
		return b
	}},
	{"CR LF becomes LF", "any-bytes", func(*testing.T) logsource.Source {
		return &bent{deliver: func(_ logsource.Launch, w io.WriteCloser) io.WriteCloser {
			return sink{func(p []byte) (int, error) {
				_, err := w.Write(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")))
				return len(p), err
			}, w.Close}
		}}
	}},
	{"a large write is cut", "large-write", func(*testing.T) logsource.Source {
		return &bent{deliver: func(_ logsource.Launch, w io.WriteCloser) io.WriteCloser {
			return sink{func(p []byte) (int, error) {
				_, err := w.Write(p[:min(len(p), 256<<10)])
				return len(p), err
			}, w.Close}
		}}
	}},
	{"writing waits for the first reader", "unread", waitsForReader},
	{"eight readers at most", "readers", func(*testing.T) logsource.Source {
		return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) {
			var open atomic.Int64
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				if open.Add(1) > 8 {
					return nil, errors.New("too many readers")
				}
				r, err := follow(ctx)
				return changed{r, r.Read, func() error { open.Add(-1); return r.Close() }}, err
			}
		}}
	}},
	{"the end of any context ends all", "reader-context", func(*testing.T) logsource.Source {
		return sharedEnd(func(ctx context.Context, _ io.ReadCloser, end func()) func() error {
			context.AfterFunc(ctx, end)
			return func() error { return nil }
		})
	}},
	{"closing one reader closes all", "reader-close", func(*testing.T) logsource.Source {
		return sharedEnd(func(_ context.Context, r io.ReadCloser, end func()) func() error {
			return func() error { end(); return r.Close() }
		})
	}},
	{"Follow with a context that is done forgets a descriptor", "reader-close-frees", func(t *testing.T) logsource.Source {
		return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			if ctx.Err() != nil {
				forget(t)
			}
			return func(r io.ReadCloser) io.ReadCloser { return r }, nil
		})
	}},
	{"a goroutine until the context ends", "reader-close-frees", func(t *testing.T) logsource.Source {
		over := t.Context()
		return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			go func() {
				select {
				case <-ctx.Done():
				case <-over.Done():
				}
			}()
			return func(r io.ReadCloser) io.ReadCloser { return r }, nil
		})
	}},
	{"a reader keeps what it has read", "memory", func(*testing.T) logsource.Source {
		return followed(func(context.Context, *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			return func(r io.ReadCloser) io.ReadCloser {
				return changed{r, io.TeeReader(r, new(bytes.Buffer)).Read, r.Close}
			}, nil
		})
	}},
	{"a file, and a copy in memory", "memory", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			var held atomic.Bool
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := follow(ctx)
				if err == nil && held.CompareAndSwap(false, true) { // one reader's copy is enough
					r = changed{r, io.TeeReader(r, new(bytes.Buffer)).Read, r.Close}
				}
				return r, err
			}
		})
	}},

	{"an empty log has an end", "waits", func(*testing.T) logsource.Source { return emptyEnds(io.EOF) }},
	{"an empty log is read without an error", "waits", func(*testing.T) logsource.Source { return emptyEnds(nil) }},
	{"one last Read", "end-rest", func(*testing.T) logsource.Source {
		return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			last := false
			return func(r io.ReadCloser) io.ReadCloser {
				return changed{r, func(p []byte) (int, error) {
					if last {
						return 0, context.Cause(ctx)
					}
					last = ctx.Err() != nil
					return r.Read(p)
				}, r.Close}
			}, nil
		})
	}},
	{"ctx.Err()", "end-cause", func(*testing.T) logsource.Source {
		return read(func(ctx context.Context, p []byte, again func([]byte) (int, error)) (int, error) {
			n, err := again(p)
			if err != nil && err == context.Cause(ctx) {
				err = ctx.Err()
			}
			return n, err
		})
	}},
	{"the cause once, then EOF", "end-cause", func(*testing.T) logsource.Source {
		return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			told := false
			return func(r io.ReadCloser) io.ReadCloser {
				return changed{r, func(p []byte) (int, error) {
					if told {
						return 0, io.EOF
					}
					n, err := r.Read(p)
					told = err != nil
					return n, err
				}, r.Close}
			}, nil
		})
	}},
	{"who waits for the first byte waits", "end-wakes", neverWakes},
	{"Follow refuses a context that is done", "end-late", func(*testing.T) logsource.Source {
		return followed(func(ctx context.Context, _ *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			return func(r io.ReadCloser) io.ReadCloser { return r }, context.Cause(ctx)
		})
	}},
	{"no end while there is more", "end-final", func(*testing.T) logsource.Source {
		return followed(func(ctx context.Context, log *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
			return func(r io.ReadCloser) io.ReadCloser {
				read := int64(0)
				return changed{r, func(p []byte) (int, error) {
					n, err := r.Read(p)
					if err != nil && ctx.Err() != nil { // what has come since?
						now, followErr := log.Follow(ctx)
						if followErr != nil {
							return 0, followErr
						}
						io.CopyN(io.Discard, now, read)
						n, err = now.Read(p)
					}
					read += int64(n)
					return n, err
				}, r.Close}
			}, nil
		})
	}},
	{"the end is fs.ErrClosed", "output-end", func(*testing.T) logsource.Source {
		return read(func(_ context.Context, p []byte, again func([]byte) (int, error)) (int, error) {
			n, err := again(p)
			if err == io.EOF {
				err = fs.ErrClosed
			}
			return n, err
		})
	}},
	{"no reader after the Sink is closed", "sink-closed", func(*testing.T) logsource.Source {
		var ended sync.Map
		return &bent{
			deliver: func(launch logsource.Launch, w io.WriteCloser) io.WriteCloser {
				return sink{w.Write, func() error { ended.Store(launch, true); return w.Close() }}
			},
			log: func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
				follow := log.Follow
				log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
					if _, ok := ended.Load(launch); ok {
						return nil, fs.ErrClosed
					}
					return follow(ctx)
				}
			},
		}
	}},

	{"Close closes the readers", "close-readers", func(*testing.T) logsource.Source {
		return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) {
			closing, closed := context.WithCancelCause(context.Background())
			follow := log.Follow
			log.Close = func() error { closed(fs.ErrClosed); return nil }
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := follow(ctx)
				return changed{r, func(p []byte) (int, error) {
					if err := context.Cause(closing); err != nil {
						return 0, err
					}
					return r.Read(p)
				}, r.Close}, err
			}
		}}
	}},
	{"Close closes the Sink", "close-sink", func(*testing.T) logsource.Source {
		b := new(bent)
		b.log = func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			log.Close = func() error {
				w, err := b.Memory.Deliver(launch)
				w.Close()
				return err
			}
		}
		return b
	}},
	{"Close forgets a descriptor", "close-frees", func(t *testing.T) logsource.Source {
		return &bent{log: func(context.Context, logsource.Launch, *logsource.Log) { forget(t) }}
	}},
	{"Close forgets a goroutine", "close-frees", func(t *testing.T) logsource.Source {
		over := t.Context()
		return &bent{log: func(context.Context, logsource.Launch, *logsource.Log) {
			go func() { <-over.Done() }()
		}}
	}},
	{"Close fails", "close-frees", func(*testing.T) logsource.Source {
		return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) {
			log.Close = func() error { return errors.New("it cannot be closed") }
		}}
	}},
	{"a Seek that goes nowhere", "seek", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				r, err := follow(ctx)
				return seeking{r}, err
			}
		})
	}},
	{"Tend never returns", "tend", func(t *testing.T) logsource.Source {
		over := t.Context()
		return filed(func(log *logsource.Log) {
			log.Tend = func(context.Context) (func() error, error) {
				return func() error { <-over.Done(); return nil }, nil
			}
		})
	}},
	{"Tend ends with Close", "tend", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			right, closed := log.Close, make(chan struct{})
			log.Tend = func(context.Context) (func() error, error) {
				return func() error { <-closed; return nil }, nil
			}
			log.Close = func() error { close(closed); return right() }
		})
	}},
	{"a SkipToLast that skips nothing", "skip", func(*testing.T) logsource.Source {
		return wrapped(func(_ context.Context, r io.ReadCloser) io.ReadCloser {
			return skipping{r, func(int64) error { return nil }}
		})
	}},
	{"a SkipToLast that leaves a byte more", "skip", func(*testing.T) logsource.Source {
		return wrapped(func(_ context.Context, r io.ReadCloser) io.ReadCloser {
			return skipping{r, func(n int64) error { return r.(logsource.Skipper).SkipToLast(n + 1) }}
		})
	}},
	{"a SkipToLast that fails where the log is short", "skip", func(*testing.T) logsource.Source {
		return wrapped(func(_ context.Context, r io.ReadCloser) io.ReadCloser {
			return skipping{r, func(n int64) error {
				_, err := r.(io.Seeker).Seek(-n, io.SeekEnd)
				return err
			}}
		})
	}},
	{"fewer than none are lost", "lost", func(*testing.T) logsource.Source {
		return wrapped(func(_ context.Context, r io.ReadCloser) io.ReadCloser {
			return losing{r, func() int64 { return -7 }}
		})
	}},
	{"all that was returned is lost", "lost", func(*testing.T) logsource.Source {
		return wrapped(func(_ context.Context, r io.ReadCloser) io.ReadCloser {
			return losing{r, func() int64 {
				place, _ := r.(io.Seeker).Seek(0, io.SeekCurrent)
				return place
			}}
		})
	}},
	{"one file for both", "stdout-apart", func(*testing.T) logsource.Source { return mixing{polled} }},
	{"one descriptor and one offset for all readers of stdout", "stdout", func(t *testing.T) logsource.Source {
		return printed(func(_ logsource.Launch, log *logsource.Log) { log.Follow = oneOffset(t, log.Path) })
	}},
	{"one standard output for all launches", "stdout", func(*testing.T) logsource.Source { return printing{polled, appends} }},
	{"stdout ends at its present end", "stdout", func(*testing.T) logsource.Source {
		return printed(func(_ logsource.Launch, log *logsource.Log) {
			path := log.Path
			log.Follow = func(context.Context) (io.ReadCloser, error) { return os.Open(path) }
		})
	}},
	{"OpenStdout forgets a descriptor", "stdout", func(t *testing.T) logsource.Source {
		return printed(func(logsource.Launch, *logsource.Log) { forget(t) })
	}},
	{"a relative Path", "path", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) { log.Path = filepath.Base(log.Path) })
	}},
	{"the Path of another file", "path", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) { log.Path += ".other" })
	}},

	{"a copy at Path", "path", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			original, right := log.Path, log.Close
			log.Path += ".copy"
			log.Close = func() error {
				data, err := os.ReadFile(original)
				return errors.Join(err, os.WriteFile(log.Path, data, 0o600), right())
			}
		})
	}},
	{"a symbolic link at Path", "path", func(*testing.T) logsource.Source {
		return filed(func(log *logsource.Log) {
			if _, err := os.Stat(log.Path); err != nil {
				return // another directory has the place of the log's
			}
			link := log.Path + ".link"
			os.Remove(link)
			if err := os.Symlink(log.Path, link); err == nil {
				log.Path = link
			}
		})
	}},
	{"another directory, and Launch.Root", "path", func(t *testing.T) logsource.Source {
		dir := t.TempDir()
		return logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
			launch.Dir = dir
			return logsource.File{Name: launch.ID.String(), Poll: polled.Poll}.Open(ctx, launch)
		})
	}},
	{"ignores Launch.Root", "root", func(*testing.T) logsource.Source {
		return logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
			launch.Root = nil
			return polled.Open(ctx, launch)
		})
	}},
	{"closes Launch.Root", "root", func(*testing.T) logsource.Source {
		return &bent{open: func(_ context.Context, launch logsource.Launch) error {
			if launch.Root != nil {
				return launch.Root.Close()
			}
			return nil
		}}
	}},
	{"keeps Launch.Root", "root", func(*testing.T) logsource.Source {
		return &bent{log: func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				if launch.Root != nil {
					if _, err := launch.Root.Stat("."); err != nil {
						return nil, err
					}
				}
				return follow(ctx)
			}
		}}
	}},
	{"Refollow needs the Log", "later", func(*testing.T) logsource.Source {
		var closed sync.Map // Path
		return refollows{filed(func(log *logsource.Log) {
			path, right := log.Path, log.Close
			log.Close = func() error { closed.Store(path, true); return right() }
		}), func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			if _, ok := closed.Load(past.Path); ok {
				return nil, fs.ErrClosed
			}
			return polled.Refollow(ctx, past, fromStart)
		}}
	}},
	{"Refollow reads all, always", "later-now", func(*testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, _ bool) (io.ReadCloser, error) {
			return polled.Refollow(ctx, past, true)
		}}
	}},
	{"Refollow believes the path", "later-own", func(*testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			past.File = logsource.FileID{}
			return polled.Refollow(ctx, past, fromStart)
		}}
	}},
	{"the log of a launch that never was is empty", "later-unknown", func(*testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			if _, err := os.Stat(past.Path); err != nil {
				return io.NopCloser(new(bytes.Buffer)), nil
			}
			return polled.Refollow(ctx, past, fromStart)
		}}
	}},
	{"Refollow's reader says ctx.Err()", "later-end", func(*testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			r, err := polled.Refollow(ctx, past, fromStart)
			return changed{r, func(p []byte) (int, error) {
				n, err := r.Read(p)
				if err != nil && err == context.Cause(ctx) {
					err = ctx.Err()
				}
				return n, err
			}, func() error { return r.Close() }}, err
		}}
	}},
	{"Refollow forgets a descriptor", "later-frees", func(t *testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			forget(t)
			return polled.Refollow(ctx, past, fromStart)
		}}
	}},
	{"a Refollow that fails forgets a descriptor", "later-frees", func(t *testing.T) logsource.Source {
		return refollows{polled, func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
			r, err := polled.Refollow(ctx, past, fromStart)
			if err != nil {
				forget(t)
			}
			return r, err
		}}
	}},
}

// oneOffset is a Follow whose readers all read from one descriptor.
func oneOffset(t *testing.T, path string) func(ctx context.Context) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { file.Close() })
	return func(ctx context.Context) (io.ReadCloser, error) {
		nobody := func() error { return nil }
		return changed{nil, func(p []byte) (int, error) {
			for {
				if n, err := file.Read(p); n > 0 || err != io.EOF {
					return n, err
				}
				select {
				case <-ctx.Done():
					return 0, context.Cause(ctx)
				case <-time.After(time.Millisecond):
				}
			}
		}, nobody}, nil
	}
}

// A refollows is a Source with another Refollow.
type refollows struct {
	logsource.Source
	refollow func(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error)
}

func (r refollows) Refollow(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
	return r.refollow(ctx, past, fromStart)
}

// forget opens something that is closed when the test is over.
func forget(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { file.Close() })
}

// filed is a File whose Log is changed.
func filed(change func(log *logsource.Log)) logsource.Source {
	return logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
		log, err := polled.Open(ctx, launch)
		if err == nil {
			change(log)
		}
		return log, err
	})
}

// polled is a File that can be used in a bubble: it has no watcher, which waits
// for the kernel.
var polled = logsource.File{Poll: time.Millisecond}

// sharedEnd is a Memory each of whose readers may end all of one log; begin
// returns what its Close is.
func sharedEnd(begin func(ctx context.Context, r io.ReadCloser, end func()) (close func() error)) logsource.Source {
	return &bent{log: func(_ context.Context, _ logsource.Launch, log *logsource.Log) {
		follow := log.Follow
		var mu sync.Mutex
		var stops []func()
		end := func() {
			mu.Lock()
			defer mu.Unlock()
			for _, stop := range stops {
				stop()
			}
			stops = nil
		}
		log.Follow = func(own context.Context) (io.ReadCloser, error) {
			ctx, stop := context.WithCancelCause(own)
			mu.Lock()
			stops = append(stops, func() {
				if own.Err() == nil { // else own's cause is on its way to ctx
					stop(errors.New("another reader has ended"))
				}
			})
			mu.Unlock()
			r, err := follow(ctx)
			return changed{r, r.Read, begin(own, r, end)}, err
		}
	}}
}

// emptyEnds is a Memory where the first Read, if there is nothing to read yet,
// returns err at once.
func emptyEnds(err error) logsource.Source {
	return followed(func(ctx context.Context, log *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
		return func(r io.ReadCloser) io.ReadCloser {
			first := true
			return changed{r, func(p []byte) (int, error) {
				done, cancel := context.WithCancel(ctx)
				cancel()
				there, followErr := log.Follow(done)
				if followErr != nil {
					return 0, followErr
				}
				n, _ := there.Read(make([]byte, 1))
				if first && n == 0 {
					first = false
					return 0, err
				}
				first = false
				return r.Read(p)
			}, r.Close}
		}, nil
	})
}

// neverWakes is a Memory where a Read that waits for the first byte does not
// mind the context.
func neverWakes(t *testing.T) logsource.Source {
	over := t.Context()
	return followed(func(_ context.Context, log *logsource.Log) (func(io.ReadCloser) io.ReadCloser, error) {
		return func(r io.ReadCloser) io.ReadCloser {
			first := true
			return changed{r, func(p []byte) (int, error) {
				if first {
					first = false
					probe, err := log.Follow(over)
					if err != nil {
						return 0, err
					}
					probe.Read(make([]byte, 1))
				}
				return r.Read(p)
			}, r.Close}
		}, nil
	})
}

// waitsForReader is a Memory that takes 256 KiB, and more only once somebody
// has read.
func waitsForReader(t *testing.T) logsource.Source {
	var followers sync.Map // launch → chan struct{}, closed by the first of them
	return &bent{
		log: func(_ context.Context, launch logsource.Launch, log *logsource.Log) {
			come := make(chan struct{})
			first := sync.OnceFunc(func() { close(come) })
			context.AfterFunc(t.Context(), first)
			followers.Store(launch, come)
			follow := log.Follow
			log.Follow = func(ctx context.Context) (io.ReadCloser, error) {
				first()
				return follow(ctx)
			}
		},
		deliver: func(launch logsource.Launch, w io.WriteCloser) io.WriteCloser {
			come, _ := followers.Load(launch)
			room := 256 << 10
			return sink{func(p []byte) (int, error) {
				if room -= len(p); room < 0 {
					<-come.(chan struct{})
				}
				return w.Write(p)
			}, w.Close}
		},
	}
}

// perDirectory appends to one log for each directory, for ever.
type perDirectory struct{ outputs sync.Map }

func (d *perDirectory) output(launch logsource.Launch) *logsourcetest.Output {
	out, _ := d.outputs.LoadOrStore(launch.Dir, new(logsourcetest.Output))
	return out.(*logsourcetest.Output)
}

func (d *perDirectory) Open(_ context.Context, launch logsource.Launch) (*logsource.Log, error) {
	return &logsource.Log{Follow: d.output(launch).Follow}, nil
}

func (d *perDirectory) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
	return sink{d.output(launch).Write, func() error { return nil }}, nil
}
