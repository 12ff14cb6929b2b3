package logsource_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
)

// past is what is known later of log.
func past(t *testing.T, log *logsource.Log) logsource.Past {
	t.Helper()
	id, err := logsource.IdentifyFile(log.Path)
	must(t, err)
	return logsource.Past{Name: "pod", Dir: filepath.Dir(log.Path), Path: log.Path, File: id}
}

// Any Source whose logs have a path can follow a log later, also a Source that has no
// Refollow.
func TestRefollow(t *testing.T) {
	leavesNothing(t)
	for name, source := range map[string]logsource.Source{
		"File": logsource.File{}, "SourceFunc": logsource.SourceFunc(logsource.File{}.Open),
	} {
		t.Run(name, func(t *testing.T) {
			log, err := source.Open(t.Context(), logsource.Launch{Dir: t.TempDir()})
			must(t, err)
			put(t, log, "before ")
			must(t, log.Close())
			for fromStart, want := range map[bool]string{true: "before after", false: "after"} {
				must(t, os.Truncate(log.Path, int64(len("before "))))
				ctx, cancel := context.WithCancelCause(t.Context())
				r, err := logsource.Refollow(ctx, source, past(t, log), fromStart)
				must(t, err)
				put(t, log, "after")
				f := follower{t, r}
				f.mustRead(want)
				cancel(errTest)
				f.mustEnd("", errTest)
				must(t, r.Close())
			}
			must(t, log.Sink.Close())
		})
	}
}

// What cannot be followed: a log without a path, and one whose Source says neither
// what it is nor why not.
func TestRefollowUnsupported(t *testing.T) {
	for source, want := range map[logsource.Source]error{logsource.File{}: errors.ErrUnsupported, mute{}: nil} {
		r, err := logsource.Refollow(t.Context(), source, logsource.Past{Name: "pod"}, true)
		if r != nil || err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%T: %v, %v", source, r, err)
		}
	}
}

// A mute Source returns nothing.
type mute struct{ logsource.File }

func (mute) Refollow(context.Context, logsource.Past, bool) (io.ReadCloser, error) { return nil, nil }

// What is opened is what is looked at, and nothing holds that up: not another file,
// not a FIFO that nobody writes to, not a link. Where the log is not known any file
// will do, but nothing else.
func TestRefollowOfAnotherFile(t *testing.T) {
	leavesNothing(t)
	for _, c := range []struct {
		what           string
		put            func(path string) error
		known, unknown error // with File, and without
	}{
		{"another file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, fs.ErrNotExist, nil},
		{"nothing", func(string) error { return nil }, fs.ErrNotExist, fs.ErrNotExist},
		{"a FIFO", func(path string) error { return syscall.Mkfifo(path, 0o600) }, logsource.ErrNotRegular, logsource.ErrNotRegular},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, logsource.ErrNotRegular, logsource.ErrNotRegular},
		{"a link to it", func(path string) error { return os.Symlink(path+".moved", path) }, logsource.ErrNotRegular, logsource.ErrNotRegular},
	} {
		t.Run(c.what, func(t *testing.T) {
			log := opened(t, logsource.File{}, t.TempDir())
			known := past(t, log)
			must(t, os.Rename(log.Path, log.Path+".moved"))
			must(t, c.put(log.Path))
			unknown := known
			unknown.File = logsource.FileID{}
			for p, want := range map[*logsource.Past]error{&known: c.known, &unknown: c.unknown} {
				within(t, "Refollow", func() {
					r, err := logsource.File{}.Refollow(t.Context(), *p, true)
					if err == nil {
						r.Close()
					}
					if !errors.Is(err, want) || p == &known && !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("with File %v: %v, want %v", p.File != logsource.FileID{}, err, want)
					}
				})
			}
			known.Path += ".moved" // it is the file that counts
			r, err := logsource.File{}.Refollow(t.Context(), known, true)
			must(t, err)
			must(t, r.Close())
		})
	}
}

// A FileID is that of the file, not of its name. The FileID of a removed file is not
// that of the next file, which gets the same inode on some filesystems.
func TestIdentifyFile(t *testing.T) {
	path, seen := filepath.Join(t.TempDir(), "log"), make(map[logsource.FileID]bool)
	must(t, os.Symlink("log", path+".link"))
	for range 20 {
		must(t, os.WriteFile(path, nil, 0o600))
		id, err := logsource.IdentifyFile(path)
		must(t, err)
		if same, err := logsource.IdentifyFile(path + ".link"); same != id || err != nil {
			t.Errorf("through a link it is %v, %v, want %v", same, err, id)
		}
		if seen[id] || id == (logsource.FileID{}) {
			t.Errorf("%v was there before", id)
		}
		seen[id] = true
		untilLater(t, path)
		must(t, os.Remove(path))
	}
	if id, err := logsource.IdentifyFile(path); !errors.Is(err, fs.ErrNotExist) || id != (logsource.FileID{}) {
		t.Errorf("where nothing is: %v, %v", id, err)
	}
}

// untilLater returns when a file that is made gets a later time than the one at path,
// for the kernel's clock for files goes in steps.
func untilLater(t *testing.T, path string) {
	t.Helper()
	before, err := os.Stat(path)
	must(t, err)
	for tick := path + ".tick"; ; {
		must(t, os.WriteFile(tick, nil, 0o600))
		fi, err := os.Stat(tick)
		must(t, errors.Join(err, os.Remove(tick)))
		if fi.ModTime().After(before.ModTime()) {
			return
		}
	}
}
