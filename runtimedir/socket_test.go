package runtimedir_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A7: the limit is this system's, and an error tells path, length and limit.
func TestCheckSocketPath(t *testing.T) {
	limit := 103
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		limit = 107
	}
	if runtimedir.MaxSocketPath != limit {
		t.Errorf("MaxSocketPath is %d, want %d", runtimedir.MaxSocketPath, limit)
	}
	for _, length := range []int{0, 1, 103, 104, 107, 108, 200} {
		path := strings.Repeat("p", length)
		err := runtimedir.CheckSocketPath(path)
		if length <= limit {
			if err != nil {
				t.Errorf("%d bytes: %v", length, err)
			}
			continue
		}
		var e *runtimedir.SocketPathError
		if !errors.As(err, &e) || e.Path != path || e.Max != limit {
			t.Errorf("%d bytes: the error is %#v", length, err)
			continue
		}
		mustBe(t, err, runtimedir.ErrSocketPathTooLong, syscall.ENAMETOOLONG)
		mustSay(t, err, path, strconv.Itoa(length)+" bytes", "limit is "+strconv.Itoa(limit), "shorter runtime directory")
	}
}

// A7, A36: a path that a terminal would read as more than text is quoted.
func TestSocketPathErrorIsPrintable(t *testing.T) {
	err := runtimedir.CheckSocketPath("/\x1b[31m\n\xff" + strings.Repeat("p", 200))
	mustSay(t, err, `"/\x1b[31m\n\xffppp`)
}

// noSockets is WSAEAFNOSUPPORT of Windows.
const noSockets = syscall.Errno(10047)

// A7: the check agrees with the system: the longest path that passes can be
// bound, and one byte more cannot.
func TestSocketPathLimitIsTheSystems(t *testing.T) {
	// Not the test's own directory: its name may be too long already.
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	path += strings.Repeat("s", runtimedir.MaxSocketPath-len(path))
	for _, path := range []string{path, path + "s"} {
		checked := runtimedir.CheckSocketPath(path)
		l, bound := net.Listen("unix", path)
		if bound == nil {
			l.Close()
		} else if runtime.GOOS == "windows" && errors.Is(bound, noSockets) {
			t.Skip("not run: Wine 8 has no AF_UNIX")
		}
		if (checked == nil) != (bound == nil) {
			t.Errorf("%d bytes: CheckSocketPath says %v, bind says %v", len(path), checked, bound)
		}
	}
}
