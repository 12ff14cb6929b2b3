package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/podlaunch/podlaunch/readiness"
)

// A pod that cannot go on says why, in any text, and exits.
func ExampleAnnounceFail() {
	var stderr strings.Builder // os.Stderr in a pod
	err := &os.PathError{Op: "open", Path: "/no/such/model", Err: os.ErrNotExist}
	if err := readiness.AnnounceFail(&stderr, "web", err.Error()+"\nis it installed?"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", stderr.String())
	// Output: "INSOMNIA-FAIL\tweb\topen /no/such/model: file does not exist is it installed?\n"
}

// A slow pod says how far it has come. A launcher shows the text as progress; a
// launcher that does not know such lines shows the line.
func ExampleAnnounceStatus() {
	var stderr strings.Builder // os.Stderr in a pod
	if err := readiness.AnnounceStatus(&stderr, "web", "loading, 40 %"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", stderr.String())

	line := []byte(strings.TrimSuffix(stderr.String(), "\n"))
	text, ok := readiness.StatusOf(readiness.ReadyLine{}, readiness.Target{Name: "web"}, line)
	fmt.Printf("%s %v\n", text, ok)
	// Output:
	// "INSOMNIA-STATUS\tweb\tloading, 40 %\n"
	// loading, 40 % true
}

// What a pod says of its own failure is the verdict of the probe that
// understands it.
func ExampleFailedError() {
	_, err := readiness.ReadyLine{}.Wait(context.Background(), readiness.Target{
		Name:  "web",
		Lines: written("reading configuration", "INSOMNIA-FAIL\tweb\tport 80 is taken"),
	})
	var failed *readiness.FailedError
	if errors.As(err, &failed) {
		fmt.Println(failed.Reason)
	}
	fmt.Println(err)
	// Output:
	// port 80 is taken
	// pod says that it has failed: port 80 is taken
}
