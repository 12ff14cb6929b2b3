package runtimedir_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/runtimedir"
)

func ExampleDir() {
	base, err := os.MkdirTemp("", "pods")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)

	dir, err := runtimedir.Dir(base).RuntimeDir(context.Background(), "web")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.IsAbs(dir), filepath.Base(dir))
	// Output: true web
}

// A resolver of one's own: a base for each tenant, and the checks of Dir.
func ExampleResolverFunc() {
	base, err := os.MkdirTemp("", "tenants")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)

	var resolver runtimedir.Resolver = runtimedir.ResolverFunc(func(ctx context.Context, name string) (string, error) {
		tenant, pod, ok := strings.Cut(name, "@")
		if !ok {
			return "", fmt.Errorf("%w %q: want tenant@pod", runtimedir.ErrInvalidName, name)
		}
		if err := runtimedir.ValidateName(tenant); err != nil {
			return "", err
		}
		return runtimedir.Dir(filepath.Join(base, tenant)).RuntimeDir(ctx, pod)
	})

	dir, err := resolver.RuntimeDir(context.Background(), "acme@web")
	fmt.Println(filepath.Base(filepath.Dir(dir)), filepath.Base(dir), err)
	_, err = resolver.RuntimeDir(context.Background(), "web")
	fmt.Println(err)
	// Output:
	// acme web <nil>
	// invalid pod name "web": want tenant@pod
}

func ExampleValidateName() {
	fmt.Println(runtimedir.ValidateName("my pod"))
	fmt.Println(runtimedir.ValidateName("../../etc"))
	fmt.Println(runtimedir.ValidateName("a/b"))
	// Output:
	// <nil>
	// invalid pod name "../../etc": it begins with a dot
	// invalid pod name "a/b": it holds '/' at byte 1, and a name is one element of a path
}

func ExampleCheckSocketPath() {
	fmt.Println(runtimedir.CheckSocketPath("/run/user/1000/insomnia/web/sock"))

	err := runtimedir.CheckSocketPath("/srv/" + strings.Repeat("deep/", 40) + "sock")
	var tooLong *runtimedir.SocketPathError
	fmt.Println(errors.As(err, &tooLong), len(tooLong.Path))
	// Output:
	// <nil>
	// true 209
}
