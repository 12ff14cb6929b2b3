//go:build linux

package program

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// goProgram is a program that the go command has built, this test: its path, and what
// is in it.
func goProgram(t testing.TB) (path string, text []byte) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, text
}

// putFile puts text, a program, into a file of its own.
func putFile(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustIdentify(t *testing.T, path string) ID {
	t.Helper()
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// note is one of a build id, as it is in a program.
func note(owner string, kind uint32, text string) []byte {
	var n []byte
	for _, field := range []uint32{uint32(len(owner)), uint32(len(text)), kind} {
		n = binary.NativeEndian.AppendUint32(n, field)
	}
	return append(append(n, owner...), text...)
}

// goID returns the Go build id of a program, as the go command tells it.
func goID(t testing.TB, path string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "buildid", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// withGoID returns a program whose Go build id is another one, of at most the same
// length.
func withGoID(t *testing.T, text []byte, old, id string) []byte {
	t.Helper()
	from := note(goOwner, goBuildID, old)
	to := note(goOwner, goBuildID, id)
	changed := bytes.Replace(text, from, append(to, make([]byte, len(from)-len(to))...), 1)
	if bytes.Equal(text, changed) && id != old {
		t.Fatal("the program has no such note")
	}
	return changed
}

// A program has the build id of the linker; else the one of the go command, unless
// somebody has set it to say nothing.
func TestBuildID(t *testing.T) {
	path, text := goProgram(t)
	id := goID(t, path)
	whole := mustIdentify(t, path)
	if !strings.HasPrefix(whole.Build, "gnu:") {
		t.Errorf("the build id of a program of the go command is %q", whole.Build)
	}
	noGNU := bytes.Replace(text, []byte("\x03\x00\x00\x00GNU\x00"), []byte("\x63\x00\x00\x00GNU\x00"), 1)
	if got := mustIdentify(t, putFile(t, noGNU)).Build; got != "go:"+id {
		t.Errorf("without a GNU one it is %q, want that of the go command, %q", got, id)
	}
	for _, same := range []string{"redacted", "x"} {
		if got := mustIdentify(t, putFile(t, withGoID(t, text, id, same))).Build; got != "" {
			t.Errorf("a build id that is set to %q counts: %q", same, got)
		}
	}
	if got := mustIdentify(t, putFile(t, text)); got.Build != whole.Build || got.Size != whole.Size {
		t.Errorf("a copy is %+v, want %+v", got, whole)
	}
}

// What has no build id, or none that can be read, is no error, and nothing waits for
// what is in a FIFO. That there is no file is one.
func TestNoBuildID(t *testing.T) {
	path, text := goProgram(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(text)
	copy(damaged[16:], bytes.Repeat([]byte{0xff}, 48)) // all that follows the magic number
	for name, path := range map[string]string{
		"script":    putFile(t, []byte("#!/bin/sh\nexit 0\n")),
		"empty":     putFile(t, nil),
		"cut":       putFile(t, text[:100]),
		"damaged":   putFile(t, damaged),
		"FIFO":      fifo,
		"directory": filepath.Dir(path),
	} {
		if got := mustIdentify(t, path); got.Build != "" || got.Modified.IsZero() {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := mustIdentify(t, putFile(t, []byte("#!/bin/sh\n"))); got.Size != 10 || time.Since(got.Modified) > time.Hour {
		t.Errorf("a script of 10 bytes: %+v", got)
	}
	if _, err := Identify(path + "-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

// A program that may be executed and not read has no build id, and that is no error.
func TestUnreadable(t *testing.T) {
	_, text := goProgram(t)
	path := putFile(t, text)
	if err := os.Chmod(path, 0o111); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // who reads everything, but as another user of the filesystem
		for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.SetfsuidRetUid(0)
	}
	if f, err := os.Open(path); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("it can be read: %v, %v", f, err)
	}
	if got := mustIdentify(t, path); got.Build != "" || got.Size != int64(len(text)) {
		t.Errorf("%+v", got)
	}
}

// A file that was read is not read again until it changes.
func TestRemembered(t *testing.T) {
	path, text := goProgram(t)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := stampOf(fi)
	want := mustIdentify(t, path).Build
	remembered.put(s, "what is remembered")
	t.Cleanup(func() { remembered.put(s, want) })
	if got := mustIdentify(t, path).Build; got != "what is remembered" {
		t.Errorf("it was read again: %q", got)
	}
	fresh := putFile(t, text)
	mustIdentify(t, fresh)
	fi, err = os.Stat(fresh)
	if err != nil {
		t.Fatal(err)
	}
	s, _ = stampOf(fi)
	if _, ok := remembered.get(s); ok && !s.settled() {
		t.Error("a file that has changed just now, and may change again unseen, is remembered")
	}
	s.ctime -= int64(time.Hour)
	if !s.settled() {
		t.Error("a file that has not changed for an hour would never be remembered")
	}
}

// A memory does not grow.
func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range 3 * maxRemembered {
		m.put(stamp{ino: uint64(i)}, "x")
		if _, ok := m.get(stamp{ino: uint64(i)}); !ok || len(m.builds) > maxRemembered {
			t.Fatalf("after %d files it knows %d, the last one: %v", i+1, len(m.builds), ok)
		}
	}
}

// An error of the file is kept, for then it was not seen whether there is a build id; the
// end of a file, or too much of it, is no such error.
func TestBoundedReader(t *testing.T) {
	text := strings.Repeat("x", 100)
	r := &boundedReader{from: strings.NewReader(text), left: 80}
	if n, err := r.ReadAt(make([]byte, 50), 70); n != 30 || err != io.EOF || r.err != nil {
		t.Errorf("beyond the end: %d, %v, %v", n, err, r.err)
	}
	for range 2 {
		if n, err := r.ReadAt(make([]byte, 31), 0); n != 0 || err != errTooMuch || r.err != nil {
			t.Errorf("beyond the bound: %d, %v, %v", n, err, r.err)
		}
	}
	r = &boundedReader{from: broken{}, left: 80}
	if buildID(r); r.err != error(syscall.EIO) {
		t.Errorf("what went wrong with the file is %v", r.err)
	}
}

// A broken file cannot be read.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// FuzzBuildID: no matter what is in a file, buildID returns, reads no more than it may, and
// does not panic.
func FuzzBuildID(f *testing.F) {
	_, text := goProgram(f)
	head := bytes.Clone(text[:4096])
	copy(head[0x28:], make([]byte, 8))    // e_shoff: without sections the head is a whole program
	copy(head[0x3c:], []byte{0, 0, 0, 0}) // e_shnum, e_shstrndx
	if buildID(bytes.NewReader(head)) == "" && elfIs64(text) {
		f.Error("the head of a program has no build id")
	}
	f.Add(head)
	f.Add([]byte("#!/bin/sh\n"))
	f.Add([]byte(elf.ELFMAG))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &counter{from: bytes.NewReader(text)}
		id := buildID(&boundedReader{from: r, left: maxRead})
		if len(id) > len("gnu:")+2*maxBuild || r.asked > maxRead {
			t.Errorf("%d bytes were asked for; the id is %q", r.asked, id)
		}
	})
}

func elfIs64(text []byte) bool { return text[elf.EI_CLASS] == byte(elf.ELFCLASS64) }

// A counter counts the bytes that it is asked for.
type counter struct {
	from  io.ReaderAt
	asked int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.asked += len(p)
	return c.from.ReadAt(p, off)
}

// A launch of a program that was launched before costs one stat(2).
func BenchmarkIdentify(b *testing.B) {
	path, _ := goProgram(b)
	b.Run("again", func(b *testing.B) {
		fi, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		s, _ := stampOf(fi)
		id, err := Identify(path)
		if err != nil {
			b.Fatal(err)
		}
		remembered.put(s, id.Build)
		for b.Loop() {
			Identify(path)
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			remembered = memory{}
			Identify(path)
		}
	})
}
