package readiness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

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
		Lines:   written("reading configuration", "INSOMNIA-READY\tweb\t/srv/web/run/sock"),
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

// A program that knows nothing of ready lines says on its log where it listens.
func ExamplePattern() {
	python := readiness.Pattern{Regexp: regexp.MustCompile(`Serving HTTP on (?P<host>\S+) port (?P<port>\d+)`)}
	target := readiness.Target{
		Name:  "files",
		Lines: written("Serving HTTP on 0.0.0.0 port 8000 (http://0.0.0.0:8000/) ..."),
	}
	fmt.Println(python.Wait(context.Background(), target))

	misspelt := readiness.Pattern{Regexp: regexp.MustCompile(`on (?P<adress>\S+)`)}
	_, err := misspelt.Wait(context.Background(), target)
	fmt.Println(err)
	// Output:
	// tcp:127.0.0.1:8000 <nil>
	// readiness.Pattern.Regexp: "on (?P<adress>\\S+)" has a group called "adress"; those with a meaning are network, address, host, port, and others must have no name
}

// A port that is known beforehand. Who answers on it before the pod is started
// would be taken for the pod.
func ExampleTCP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	probe := readiness.TCP{Address: l.Addr().String()}
	e, err := probe.Wait(context.Background(), readiness.Target{Name: "web"})
	fmt.Println(e.Address == l.Addr().String(), err)

	_, err = readiness.Prepare(context.Background(), probe, &readiness.Setup{Name: "web"})
	fmt.Println(errors.Is(err, readiness.ErrForeignPeer))
	// Output:
	// true <nil>
	// true
}

// The log says where, and the server whether it is healthy.
func ExampleHTTP() {
	healthy := false
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy {
			http.Error(w, "replaying the journal", http.StatusServiceUnavailable)
		}
		healthy = true
	}))
	defer pod.Close()

	probe := readiness.Sequence{
		readiness.Pattern{Regexp: regexp.MustCompile(`listening on (?P<address>\S+)`)},
		readiness.HTTP{URL: "/healthz", Schedule: readiness.Schedule{Successes: 2}},
	}
	fmt.Println(probe[1])
	e, err := probe.Wait(context.Background(), readiness.Target{Name: "web", Lines: written("listening on " + pod.Listener.Addr().String())})
	fmt.Println(e.Address == pod.Listener.Addr().String(), err)
	// Output:
	// 2xx in answer to GET /healthz
	// true <nil>
}

// A file that the pod makes, with the port in it.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "DevToolsActivePort"), []byte("9222\n/devtools/browser/1"), 0o600); err != nil {
		log.Fatal(err)
	}
	probe := readiness.File{Path: "DevToolsActivePort", Match: regexp.MustCompile(`^(?P<port>\d+)\n/`)}
	fmt.Println(probe.Wait(context.Background(), readiness.Target{Name: "browser", RuntimeDir: dir}))
	// Output: tcp:127.0.0.1:9222 <nil>
}

// All of them at once, one of them with a limit of its own: the end says which
// were still waiting.
func ExampleAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := readiness.All{
		readiness.Pattern{Regexp: regexp.MustCompile("ready")},
		readiness.Timeout{Probe: readiness.Pattern{Regexp: regexp.MustCompile("leader elected")}, Limit: time.Hour},
	}.Wait(ctx, readiness.Target{Name: "db", Lines: written("ready")})
	fmt.Println(err)
	// Output: still waiting for 1 of 2: a line that matches "leader elected": context deadline exceeded
}

// Whichever comes first.
func ExampleAny() {
	fmt.Println(readiness.Any{
		readiness.Pattern{Regexp: regexp.MustCompile("no such line")},
		readiness.Pattern{Regexp: regexp.MustCompile(`port (?P<port>\d+)`)},
	}.Wait(context.Background(), readiness.Target{Name: "web", Lines: written("port 80")}))
	// Output: tcp:127.0.0.1:80 <nil>
}

// A check of one's own, made again until it has succeeded three times in a row.
func ExamplePoll() {
	checks := 0
	probe := readiness.Poll{
		What: "a quorum",
		Check: func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			if checks++; checks == 2 {
				return readiness.Endpoint{}, errors.New("1 of 3 members")
			}
			return readiness.Endpoint{}, nil
		},
		Schedule: readiness.Schedule{Successes: 3},
	}
	_, err := probe.Wait(context.Background(), readiness.Target{Name: "db"})
	fmt.Println(probe, checks, err)
	// Output: a quorum 5 <nil>
}
