package readinesstest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/readiness/readinesstest"
)

// A probe is tested against a log that nobody writes but the test.
func ExampleLog() {
	log := new(readinesstest.Log)
	fmt.Fprint(log, "loading\nINSOMNIA-READY\tweb\t/srv/web/sock\n")
	fmt.Println(readiness.ReadyLine{}.Wait(context.Background(), readiness.Target{
		Name: "web", WorkDir: "/srv/web", Lines: log.Lines,
	}))

	broken := new(readinesstest.Log)
	broken.Fail(errors.New("input/output error"))
	_, err := readiness.ReadyLine{}.Wait(context.Background(), readiness.Target{Name: "web", Lines: broken.Lines})
	fmt.Println(err)
	// Output:
	// unix:/srv/web/sock <nil>
	// read the log for the ready line: input/output error
}

// A Switch takes the place of a probe, where a test is about what is made of
// its answer.
func ExampleSwitch() {
	cache, web := new(readinesstest.Switch), new(readinesstest.Switch)
	both := readiness.All{cache, web}
	web.Ready(readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"})
	cache.Fail(errors.New("no memory"))
	_, err := both.Wait(context.Background(), readiness.Target{Name: "web"})
	fmt.Println(err)
	// Output: no memory
}

// Never is for what happens when the time is over.
func ExampleNever() {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the user has gone"))
	_, err := readiness.Any{readinesstest.Never{}}.Wait(ctx, readiness.Target{Name: "web"})
	fmt.Println(err)
	// Output: still waiting for what never comes: the user has gone
}

// What the kit asks of a probe, in words.
func ExampleRules() {
	for name, says := range readinesstest.Rules() {
		if name == "waits" {
			fmt.Println(says)
		}
	}
	// Output: Wait does not return before the pod is ready.
}
