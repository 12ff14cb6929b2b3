//go:build unix

package runtimedir_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// The zero User finds its base through the environment.
func ExampleUser() {
	base, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	os.Setenv("INSOMNIA_RUNTIME_DIR", base)
	defer os.Unsetenv("INSOMNIA_RUNTIME_DIR")

	dir, err := runtimedir.User{}.RuntimeDir(context.Background(), "web")
	if err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Name(), info.Mode())
	// Output: web drwx------
}

// Another application has variables and directories of its own.
func ExampleUser_app() {
	os.Setenv("MY_APP_RUNTIME_DIR", "/srv/pods")
	defer os.Unsetenv("MY_APP_RUNTIME_DIR")

	base, err := runtimedir.User{App: "my-app"}.Base(context.Background())
	fmt.Println(base, err)
	// Output: /srv/pods <nil>
}
