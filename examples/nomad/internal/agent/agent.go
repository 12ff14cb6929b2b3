// Package agent builds the agent of the engine that the tests run: Nomad 1.6.3,
// the last release under the MPL that the Go module proxy has.
//
// It is not a dependency of anything: it is built in a module of its own, which
// exists for the length of the build. That module is Nomad's own go.mod and
// go.sum, for they say with what the release was built; what differs is that
// they replace the module github.com/hashicorp/nomad/api by a directory beside
// them, which "go install" refuses, and here by a version of it that is
// published.
package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	nomad   = "github.com/hashicorp/nomad"
	version = "v1.6.3"

	// apiVersion is the first published one of nomad/api, of those that the proxy
	// has, with all that this release uses.
	apiVersion = "v0.0.0-20240306004928-3e7191ccb702"

	// sums pins both, as a go.sum does.
	sums = `github.com/hashicorp/nomad v1.6.3 h1:M22raG/TH11N5XNRd/uQn64R/oeqQkwvQ/fvpoCvRCQ=
github.com/hashicorp/nomad v1.6.3/go.mod h1:B1H0umrJZPs5dBqjwMKmBkjKpsH9HhMOW6S8rnpXu44=
github.com/hashicorp/nomad/api v0.0.0-20240306004928-3e7191ccb702 h1:fI1LXuBaS1d9z1kmb++Og6YD8uMRwadXorCwE+xgOFA=
github.com/hashicorp/nomad/api v0.0.0-20240306004928-3e7191ccb702/go.mod h1:z71gkJdrkAt/Rl6C7Q79VE7AwJ5lUF+M+fzFTyIHYB0=
`
)

// ErrNotBuilt says that there is no agent yet.
var ErrNotBuilt = errors.New(`the Nomad agent is not built; build it, which takes minutes the first time, with "go run ./agent" in examples/nomad`)

// Path returns where the agent is: in Go's build cache, so that a cache that is kept keeps
// the agent. The error wraps [ErrNotBuilt] if it is not there.
func Path(ctx context.Context) (string, error) {
	path, err := target(ctx)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotBuilt, err)
	}
	return path, nil
}

// target is where it is, once it is built. Its name has all that it depends on.
func target(ctx context.Context) (string, error) {
	cache, err := run(ctx, "", nil, "go", "env", "GOCACHE", "GOVERSION")
	if err != nil {
		return "", err
	}
	dir, goVersion, _ := strings.Cut(strings.TrimSpace(cache), "\n")
	return filepath.Join(dir, fmt.Sprintf("podlaunch-nomad-%s-%s-%s-%s", version, strings.ReplaceAll(goVersion, " ", "_"), runtime.GOOS, runtime.GOARCH)), nil
}

// Build builds the agent, if it is not there yet, and returns its path. What the
// go command has to say while it works goes to progress. It needs a C compiler.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	path, err := Path(ctx)
	if !errors.Is(err, ErrNotBuilt) {
		return path, err
	}
	if path, err = target(ctx); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "nomad-agent")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := module(ctx, dir, progress); err != nil {
		return "", err
	}
	built := fmt.Sprintf("%s.%d", path, os.Getpid()) // beside it, so that it can be renamed
	defer os.Remove(built)
	if _, err := run(ctx, dir, progress, "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", built, nomad); err != nil {
		return "", fmt.Errorf("build the agent: %w", err)
	}
	return path, os.Rename(built, path)
}

// module makes dir a module in which the agent can be built.
func module(ctx context.Context, dir string, progress io.Writer) error {
	out, err := run(ctx, dir, progress, "go", "mod", "download", "-json", nomad+"@"+version)
	if err != nil {
		return fmt.Errorf("download %s %s: %w", nomad, version, err)
	}
	var source struct{ Dir, Sum, GoModSum string }
	if err := json.Unmarshal([]byte(out), &source); err != nil {
		return fmt.Errorf("download %s %s: %w", nomad, version, err)
	}
	for _, sum := range []string{source.Sum, source.GoModSum} {
		if sum == "" || !strings.Contains(sums, " "+sum+"\n") {
			return fmt.Errorf("download %s %s: its sum is %q, which is not the one that is pinned", nomad, version, sum)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(source.Dir, name))
		if err != nil {
			return err
		}
		if name == "go.sum" {
			data = append(data, sums...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	_, err = run(ctx, dir, progress, "go", "mod", "edit", "-module=agent",
		"-require="+nomad+"@"+version, "-replace="+nomad+"/api="+nomad+"/api@"+apiVersion)
	return err
}

// run runs a command in dir, and returns its stdout; its stderr goes to
// progress, and into the error.
func run(ctx context.Context, dir string, progress io.Writer, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The agent's Linux executor is partly in C.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if progress != nil {
		cmd.Stderr = io.MultiWriter(progress, &stderr)
	}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
