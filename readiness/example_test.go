package readiness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
)

// A pod announces itself on its stderr, once its socket accepts connections.
func ExampleAnnounce() {
	var stderr strings.Builder // os.Stderr in a pod
	if err := readiness.Announce(&stderr, "web", "/run/user/1000/insomnia/web/sock"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", stderr.String())

	fmt.Println(readiness.Announce(&stderr, "web", "@web"))
	// Output:
	// "INSOMNIA-READY\tweb\t/run/user/1000/insomnia/web/sock\n"
	// announce: malformed ready line: "INSOMNIA-READY\tweb\t@web" names an abstract socket, which anybody may take; a path is needed
}

// written is a log that holds these lines; package launcher provides the real
// one.
func written(lines ...string) func(context.Context) iter.Seq2[[]byte, error] {
	return func(context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for _, line := range lines {
				if !yield([]byte(line), nil) {
					return
				}
			}
		}
	}
}

func ExampleReadyLine() {
	target := readiness.Target{
		Name:    "web",
		WorkDir: "/srv/web",
		Lines:   written("reading configuration", "INSOMNIA-READY\tweb\trun/sock"),
	}
	fmt.Println(readiness.ReadyLine{}.Wait(context.Background(), target))

	// A line of another pod ends the wait, unless the probe is lenient.
	target.Lines = written("INSOMNIA-READY\tdb\t/run/db/sock", "INSOMNIA-READY\tweb\t/run/web/sock")
	_, err := readiness.ReadyLine{}.Wait(context.Background(), target)
	fmt.Println(err, errors.Is(err, readiness.ErrNameMismatch))
	fmt.Println(readiness.ReadyLine{Lenient: true}.Wait(context.Background(), target))
	// Output:
	// unix:/srv/web/run/sock <nil>
	// ready line of another pod: the line names "db", this is "web" true
	// unix:/run/web/sock <nil>
}

// Socket dials what an earlier probe learned, and makes sure who answers. Here
// this very process plays the pod.
func ExampleSocket() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()

	target := readiness.Target{
		Name:     "web",
		PID:      os.Getpid(),
		Endpoint: readiness.Endpoint{Network: "unix", Address: pod.Addr().String()},
	}
	e, err := readiness.Socket{}.Wait(context.Background(), target)
	fmt.Println(e == target.Endpoint, err)

	// Nobody listens here, and it will never be a socket.
	target.Endpoint.Address = strings.Repeat("long/", 50)
	_, err = readiness.Socket{}.Wait(context.Background(), target)
	fmt.Println(err != nil)
	// Output:
	// true <nil>
	// true
}

// The default of package launcher: the line, then the socket that it names.
func ExampleSequence() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pod, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer pod.Close()

	probe := readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}
	e, err := probe.Wait(context.Background(), readiness.Target{
		Name:    "web",
		WorkDir: dir, // the line's path is relative
		PID:     os.Getpid(),
		Lines:   written("INSOMNIA-READY\tweb\tsock"),
	})
	fmt.Println(probe)
	fmt.Println(e.Network, filepath.Base(e.Address), err)
	// Output:
	// the ready line "INSOMNIA-READY", then an answer on the socket
	// unix sock <nil>
}

// A probe of one's own, for a program that knows nothing of ready lines: it
// looks for what the program says when it listens.
func ExampleProbeFunc() {
	probe := readiness.ProbeFunc(func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
		for line, err := range t.Lines(ctx) {
			if err != nil {
				return readiness.Endpoint{}, err // why there will be no more lines
			}
			if _, port, ok := bytes.Cut(line, []byte("Ready to accept connections on port ")); ok {
				return readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:" + string(port)}, nil
			}
		}
		<-ctx.Done() // the log has ended, and the pod perhaps not
		return readiness.Endpoint{}, context.Cause(ctx)
	})

	fmt.Println(probe.Wait(context.Background(), readiness.Target{
		Name:  "cache",
		Lines: written("Loading data", "Ready to accept connections on port 6379"),
	}))
	// Output: tcp:127.0.0.1:6379 <nil>
}
