package launchertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A pod that fails as it starts: what does the program under test make of it?
func ExampleFakePod() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l := launcher.Launcher{
		Command: launchertest.FakePod("say loading", "say no space left", "exit 3"),
		Dir:     runtimedir.Dir(dir),
	}
	_, err = l.Launch(context.Background(), launcher.Spec{Name: "db"})
	var e *launcher.Error
	if errors.As(err, &e) {
		fmt.Printf("%v %q\n", e.Exit, e.Tail)
	}
	// Output:
	// exit status 3 ["loading" "no space left"]
}

// A pod that is well until somebody wants it to end.
func ExampleFakePod_ignoresSIGTERM() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l := launcher.Launcher{
		Command: launchertest.FakePod("ignore TERM", "listen", "ready", "hang"),
		Dir:     runtimedir.Dir(dir),
		Grace:   50 * time.Millisecond,
	}
	ctx := context.Background()
	pod, err := l.Launch(ctx, launcher.Spec{Name: "db"})
	if err != nil {
		log.Fatal(err)
	}
	if err := pod.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	exit, err := pod.Wait(ctx)
	fmt.Println(exit, err)
	// Output:
	// signal: killed <nil>
}
