package logsource_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/podlaunch/podlaunch/logsource"
)

// A launcher opens the log, hands the sink to the process, and follows what it
// writes.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log, err := logsource.File{}.Open(ctx, logsource.Launch{Name: "web", Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	r, err := log.Follow(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()

	// Here a process would write, long after its launcher has closed the sink.
	fmt.Fprint(log.Sink, "starting\nlistening\nhalf a li")
	log.Sink.Close()

	for line, err := range logsource.Lines(r) {
		if err != nil {
			fmt.Printf("unfinished: %s (%v)\n", line, err)
			break
		}
		fmt.Printf("line: %s\n", line)
		if string(line) == "listening" {
			stop() // from here on: only what is there already
		}
	}
	// Output:
	// line: starting
	// line: listening
	// unfinished: half a li (context canceled)
}

// The last value tells how the reader ended, and holds what was not finished.
func ExampleLines() {
	r := strings.NewReader("first\nwith CR\r\n\nhalf")
	for line, err := range logsource.Lines(r) {
		if err != nil {
			fmt.Printf("%q: %v\n", line, err)
			break
		}
		fmt.Printf("%q\n", line)
	}
	// Output:
	// "first"
	// "with CR"
	// ""
	// "half": EOF
}

// A Source may keep the log anywhere. This one has it in memory, for a test of
// something that reads logs.
func ExampleSourceFunc() {
	var source logsource.Source = logsource.SourceFunc(
		func(_ context.Context, launch logsource.Launch) (*logsource.Log, error) {
			output := "hello from " + launch.Name + "\n"
			return &logsource.Log{
				Follow: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader(output)), nil
				},
			}, nil
		})

	ctx := context.Background()
	log, err := source.Open(ctx, logsource.Launch{Name: "web"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // every reader begins at the first byte
		r, err := log.Follow(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(os.Stdout, r)
		r.Close()
	}
	// Output:
	// hello from web
	// hello from web
}
