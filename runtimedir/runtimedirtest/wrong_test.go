package runtimedirtest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

// A bent is a Dir that does one thing otherwise. Each of the functions may be
// nil, and may call the right one.
type bent struct {
	base    runtimedir.Dir
	resolve func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error)
	theBase func(right func() (string, error)) (string, error)
}

func (b bent) RuntimeDir(ctx context.Context, name string) (string, error) {
	if b.resolve == nil {
		return b.base.RuntimeDir(ctx, name)
	}
	return b.resolve(ctx, name, b.base.RuntimeDir)
}

func (b bent) Base(ctx context.Context) (string, error) {
	right := func() (string, error) { return b.base.Base(ctx) }
	if b.theBase == nil {
		return right()
	}
	return b.theBase(right)
}

// path is where the directory of the pod called name is, or would be; empty if
// the name cannot be used.
func (b *bent) path(name string) string {
	if runtimedir.ValidateName(name) != nil {
		return ""
	}
	return filepath.Join(string(b.base), name)
}

// wrongs are Resolvers with a fault each, and the one rule that finds it. Each
// changes a Resolver that is right.
var wrongs = []struct {
	fault, rule string
	bend        func(t *testing.T, b *bent)
}{
	{"tells it to the program by a variable", "surroundings", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			os.Setenv("RUNTIMEDIRTEST_DIR", dir)
			return dir, err
		}
	}},
	{"nothing is made", "exists", func(_ *testing.T, b *bent) {
		b.resolve = func(_ context.Context, name string, _ runtimedir.ResolverFunc) (string, error) {
			return b.path(name), nil
		}
	}},
	{"it never returns", "exists", func(t *testing.T, b *bent) {
		over := t.Context()
		b.resolve = func(context.Context, string, runtimedir.ResolverFunc) (string, error) {
			<-over.Done()
			return "", over.Err()
		}
	}},
	{"it calls FailNow", "exists", func(_ *testing.T, b *bent) {
		b.resolve = func(context.Context, string, runtimedir.ResolverFunc) (string, error) {
			runtime.Goexit()
			return "", nil
		}
	}},
	{"a relative path", "absolute", func(t *testing.T, b *bent) {
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if err != nil {
				return "", err
			}
			return filepath.Rel(here, dir)
		}
	}},
	{"made for everybody", "private", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			_, before := os.Lstat(b.path(name))
			dir, err := right(ctx, name)
			if errors.Is(before, fs.ErrNotExist) && err == nil {
				err = runtimedirtest.LetOthersIn(dir)
			}
			return dir, err
		}
	}},
	{"private when made, and never again", "narrows", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			path := b.path(name)
			fi, before := os.Lstat(path)
			open := before == nil && fi.IsDir() && runtimedirtest.MayOthersIn(path)
			dir, err := right(ctx, name)
			if open && err == nil {
				err = runtimedirtest.LetOthersIn(dir)
			}
			return dir, err
		}
	}},
	{"what the group may do is not looked at", "narrows", leavesModes(0o007)},
	{"a group that may pass through is not looked at", "narrows", leavesModes(0o067)},
	{"spaces become underscores", "apart", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			return right(ctx, strings.ReplaceAll(name, " ", "_"))
		}
	}},
	{"the CRC-32 of the name", "apart", renamed(func(name string) string {
		return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(name)))
	})},
	{"16 bits of a hash of the name", "apart", renamed(func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return fmt.Sprintf("h%x", sum[:2])
	})},
	{"spaces are escaped, and percent signs are not", "apart", renamed(func(name string) string {
		return strings.ReplaceAll(name, " ", "%20")
	})},
	{"names are unescaped", "apart", renamed(func(name string) string {
		if unescaped, err := url.PathUnescape(name); err == nil && runtimedir.ValidateName(unescaped) == nil {
			return unescaped
		}
		return name
	})},
	{"dots at the end are cut", "apart", renamed(func(name string) string { return strings.TrimRight(name, ".") })},
	{"a new directory each time", "same", func(_ *testing.T, b *bent) {
		var n atomic.Int64
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			return right(ctx, fmt.Sprintf("%s-%d", name, n.Add(1)))
		}
	}},
	{"in the working directory of the moment", "same", func(t *testing.T, b *bent) {
		start, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if here, err := os.Getwd(); err == nil && here != start {
				return runtimedir.Dir(filepath.Join(here, "pods")).RuntimeDir(ctx, name)
			}
			return right(ctx, name)
		}
	}},
	{"sockets and pidfiles are cleared away", "keeps", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			for _, old := range []string{"sock", "*.sock", "*.pid"} {
				found, _ := filepath.Glob(filepath.Join(dir, old))
				for _, path := range found {
					os.Remove(path)
				}
			}
			return dir, err
		}
	}},
	{"the directory is emptied", "keeps", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if err != nil {
				return "", err
			}
			old, err := os.ReadDir(dir)
			for _, e := range old {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
			return dir, err
		}
	}},
	{"it remembers what it has made", "again", func(_ *testing.T, b *bent) {
		var made sync.Map
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			_, err := os.Lstat(b.path(name))
			if _, known := made.Load(name); known && errors.Is(err, fs.ErrNotExist) {
				return b.path(name), nil
			}
			dir, err := right(ctx, name)
			if err == nil {
				made.Store(name, true)
			}
			return dir, err
		}
	}},
	{"it looks, and then makes", "concurrent", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if path := b.path(name); path != "" {
				if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
					time.Sleep(time.Millisecond)
					if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
						return "", err
					}
					if err := os.Mkdir(path, 0o700); err != nil {
						return "", fmt.Errorf("%w: %w", runtimedir.ErrUnavailable, err)
					}
				}
			}
			return right(ctx, name)
		}
	}},
	{"ctx.Err()", "context", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			return right(ctx, name)
		}
	}},
	{"a descriptor is forgotten", "leaves-nothing", func(t *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			forget(t)
			return right(ctx, name)
		}
	}},
	{"a goroutine is forgotten", "leaves-nothing", func(t *testing.T, b *bent) {
		over := t.Context()
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			go func() { <-over.Done() }()
			return right(ctx, name)
		}
	}},
	{"a descriptor is forgotten where a link is refused", "leaves-nothing", func(t *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if errors.Is(err, runtimedir.ErrInsecure) {
				forget(t)
			}
			return dir, err
		}
	}},
	{"a descriptor is forgotten where a name is refused", "leaves-nothing", func(t *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if errors.Is(err, runtimedir.ErrInvalidName) {
				forget(t)
			}
			return dir, err
		}
	}},
	{"Base forgets a descriptor", "leaves-nothing", func(t *testing.T, b *bent) {
		b.theBase = func(right func() (string, error)) (string, error) {
			forget(t)
			return right()
		}
	}},

	{"a bad name is no ErrInvalidName", "invalid-name", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if b.path(name) == "" {
				return "", errors.New("bad name")
			}
			return right(ctx, name)
		}
	}},
	{"a dash comes first", "invalid-name", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if strings.HasPrefix(name, "-") {
				name = "_" + name
			}
			return right(ctx, name)
		}
	}},
	{"the base is made before the name is looked at", "invalid-name-clean", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if err := os.MkdirAll(string(b.base), 0o700); err != nil {
				return "", fmt.Errorf("%w: %w", runtimedir.ErrUnavailable, err)
			}
			return right(ctx, name)
		}
	}},
	{"a name leaves the base before it is refused", "invalid-name-clean", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if strings.HasPrefix(name, "../") {
				os.Mkdir(filepath.Join(string(b.base), name), 0o700)
			}
			return right(ctx, name)
		}
	}},
	{"a link is followed", "symlink", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if fi, err := os.Lstat(b.path(name)); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
				return b.path(name), nil
			}
			return right(ctx, name)
		}
	}},
	{"what a link leads to is narrowed", "symlink", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if path := b.path(name); path != "" {
				os.Chmod(path, 0o700)
			}
			return right(ctx, name)
		}
	}},
	{"a file is no ErrInsecure", "not-a-directory", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if fi, err := os.Lstat(b.path(name)); err == nil && fi.Mode().IsRegular() {
				return "", syscall.ENOTDIR
			}
			return right(ctx, name)
		}
	}},
	{"the owner is not looked at", "foreign", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if errors.Is(err, runtimedir.ErrInsecure) && strings.Contains(err.Error(), "belongs to") {
				return b.path(name), os.Chown(b.path(name), 1, 1)
			}
			return dir, err
		}
	}},
	{"the base is not looked at", "open-base", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			_, before := os.Stat(string(b.base))
			open := before == nil && runtimedirtest.MayOthersIn(string(b.base))
			dir, err := right(ctx, name)
			if open && (err == nil || errors.Is(err, runtimedir.ErrInsecure)) {
				dir, err = b.path(name), runtimedirtest.LetOthersIn(string(b.base))
			}
			return dir, err
		}
	}},
	{"a group that may write to the base is not looked at", "open-base", func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			fi, before := os.Stat(string(b.base))
			dir, err := right(ctx, name)
			if before == nil && fi.Mode().Perm()&0o022 == 0o020 && (err == nil || errors.Is(err, runtimedir.ErrInsecure)) {
				dir, err = b.path(name), os.Chmod(string(b.base), fi.Mode().Perm())
			}
			return dir, err
		}
	}},
	{"no ErrUnavailable", "unavailable", unavailableAs(func(err error) error {
		return errors.New(err.Error())
	})},
	{"ErrUnavailable without the system's error", "unavailable", unavailableAs(func(err error) error {
		return fmt.Errorf("%w (%v)", runtimedir.ErrUnavailable, err)
	})},
	{"ErrUnavailable without the place", "unavailable", unavailableAs(func(error) error {
		return fmt.Errorf("%w: %w", runtimedir.ErrUnavailable, syscall.ENOTDIR)
	})},

	{"a relative Base", "base-resolved", func(t *testing.T, b *bent) {
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		b.theBase = func(right func() (string, error)) (string, error) {
			base, err := right()
			if err != nil {
				return "", err
			}
			return filepath.Rel(here, base)
		}
	}},
	{"Base as it was given", "base-resolved", func(_ *testing.T, b *bent) {
		b.theBase = func(func() (string, error)) (string, error) { return string(b.base), nil }
	}},
	{"another Base", "base-holds", func(_ *testing.T, b *bent) {
		b.theBase = func(right func() (string, error)) (string, error) {
			base, err := right()
			return base + "-other", err
		}
	}},
	{"Base makes the base", "base-creates-nothing", func(_ *testing.T, b *bent) {
		b.theBase = func(right func() (string, error)) (string, error) {
			os.MkdirAll(string(b.base), 0o700)
			return right()
		}
	}},
	{"Base's own error", "base-error", func(_ *testing.T, b *bent) {
		b.theBase = func(right func() (string, error)) (string, error) {
			base, err := right()
			if err != nil {
				err = errors.New("no base")
			}
			return base, err
		}
	}},
}

// renamed calls the directories otherwise.
func renamed(rename func(name string) string) func(t *testing.T, b *bent) {
	return func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			if err := runtimedir.ValidateName(name); err != nil {
				return "", err
			}
			return right(ctx, rename(name))
		}
	}
}

// leavesModes narrows a directory only if its mode has one of these bits.
func leavesModes(looks fs.FileMode) func(t *testing.T, b *bent) {
	return func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			fi, before := os.Lstat(b.path(name))
			dir, err := right(ctx, name)
			if before == nil && fi.IsDir() && fi.Mode().Perm()&looks == 0 && err == nil {
				err = os.Chmod(dir, fi.Mode().Perm())
			}
			return dir, err
		}
	}
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

// unavailableAs changes the error that wraps ErrUnavailable.
func unavailableAs(change func(error) error) func(t *testing.T, b *bent) {
	return func(_ *testing.T, b *bent) {
		b.resolve = func(ctx context.Context, name string, right runtimedir.ResolverFunc) (string, error) {
			dir, err := right(ctx, name)
			if errors.Is(err, runtimedir.ErrUnavailable) {
				err = change(err)
			}
			return dir, err
		}
	}
}
