package nofile_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/nofile"
)

func TestOfChild(t *testing.T) {
	type limit struct{ soft, hard uint64 }
	for _, c := range []struct {
		first, now limit
		unknown    bool
		want       uint64
	}{
		{first: limit{1024, 5000}, now: limit{4999, 5000}, want: 1024},
		{first: limit{1024, 5000}, now: limit{5000, 5000}, want: 5000}, // by the program
		{first: limit{1024, 5000}, now: limit{2000, 5000}, want: 2000},
		{first: limit{1024, 5000}, now: limit{2999, 3000}, want: 2999}, // by another one
		{first: limit{5000, 5000}, now: limit{5000, 5000}, want: 5000}, // it is not raised
		{first: limit{5000, 5000}, now: limit{4999, 5000}, want: 4999},
		{first: limit{4999, 5000}, now: limit{4999, 5000}, unknown: true}, // read too late
	} {
		got, known := nofile.OfChildOf(c.first.soft, c.first.hard, c.now.soft, c.now.hard)
		if got != c.want || known == c.unknown {
			t.Errorf("started with %v, and now %v: the child gets %d (known: %v), want %d", c.first, c.now, got, known, c.want)
		}
	}
}

// What is read is the limit before package syscall has raised it.
func TestFirst(t *testing.T) {
	if os.Getenv("NOFILE_TELL") != "" {
		soft, hard := nofile.First()
		fmt.Printf("first %d/%d\n", soft, hard)
		return
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("nothing is read on this system")
	}
	for limits, want := range map[string]string{
		"ulimit -Sn 100; ulimit -Hn 300": "first 100/300",
		"ulimit -Sn 300; ulimit -Hn 300": "first 300/300",
	} {
		cmd := exec.Command("/bin/sh", "-c", limits+`; exec "$0" -test.run=TestFirst`, os.Args[0])
		cmd.Env = append(os.Environ(), "NOFILE_TELL=1")
		out, err := cmd.Output()
		if got, _, _ := strings.Cut(string(out), "\n"); err != nil || got != want {
			t.Errorf("%s: it has read %q (%v), want %q", limits, got, err, want)
		}
	}
}
