package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// docs/lifecycle.md has the line that goes on reading where a writer has ended.
func Example_followFrom() {
	defer inTemp()()
	ctx := context.Background()
	l := launcher.Launcher{Command: launcher.Exec(server, "--listen", "{sock}"), Ready: readiness.Unix{}}
	var written bytes.Buffer
	pod, err := l.Launch(ctx, launcher.Spec{Name: "worker", Stderr: &written})
	if err != nil {
		log.Fatal(err)
	}
	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	if err := pod.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	rest, err := pod.FollowFrom(ctx, pod.Offset())
	if err != nil {
		log.Fatal(err)
	}
	defer rest.Close()
	left, err := io.ReadAll(rest)
	fmt.Printf("%s%q %v", &written, left, err)
	// Output:
	// listening
	// bye
	// "" <nil>
}
