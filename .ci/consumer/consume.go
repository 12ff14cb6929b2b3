package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// needed are the modules that the library needs for its own code. Its users get
// these, what these bring, and nothing else.
var needed = []string{
	"github.com/cenkalti/backoff/v4",
	"github.com/fsnotify/fsnotify",
	"github.com/google/uuid",
	"github.com/hashicorp/go-hclog",
	"golang.org/x/sys",
}

// A consumer is somebody else's machine: its module cache is its own, and empty
// at first.
type consumer struct {
	home string
	env  []string
}

// newConsumer returns a consumer with the directory home, who gets modules from
// the proxy in the directory proxy, and the modules that are not there from
// wherever this machine does.
func newConsumer(home, proxy string) (*consumer, error) {
	c := &consumer{home: home, env: os.Environ()}
	machine := map[string]string{}
	for _, name := range []string{"GOPROXY", "GONOSUMDB", "GOFLAGS"} {
		value, err := c.command(home, "go", "env", name)
		if err != nil {
			return nil, err
		}
		machine[name] = strings.TrimSpace(value)
	}
	c.env = append(c.env,
		"GOPROXY=file://"+filepath.ToSlash(proxy)+","+machine["GOPROXY"],
		"GOPRIVATE=", // else the go command asks no proxy for what is cached
		"GONOPROXY=",
		"GONOSUMDB="+strings.TrimPrefix(machine["GONOSUMDB"]+","+library, ","),
		"GOMODCACHE="+filepath.Join(home, "modcache"),
		// A module cache is read-only by default, and could not be removed.
		"GOFLAGS="+strings.TrimSpace(machine["GOFLAGS"]+" -mod=mod -modcacherw"),
		"GOWORK=off",
	)
	return c, nil
}

// useLibrary gets the library into an empty module, and builds, runs and tests
// the program in the directory program with it.
func (c *consumer) useLibrary(version, program string) error {
	dir, err := c.newModule("program", library+"@"+version)
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(program, "*.go"))
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no program in %s: %v", program, err)
	}
	for _, source := range sources {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(source)), data, 0o600); err != nil {
			return err
		}
	}
	if err := c.commands(dir, "go mod tidy", "go vet .", "go build -o program ."); err != nil {
		return err
	}
	if err := c.getsNothingElse(dir); err != nil {
		return err
	}
	said, err := c.command(dir, filepath.Join(dir, "program"))
	if err != nil {
		return err
	}
	if want := "contract says hello\n"; said != want {
		return fmt.Errorf("the program said %q, want %q", said, want)
	}
	return c.commands(dir, "go test -count=1 ./...")
}

// getsNothingElse fails if the library brings a module to the module in dir that
// the modules which it needs do not bring.
func (c *consumer) getsNothingElse(dir string) error {
	const paths = "go list -m -f {{.Path}} all"
	got, err := c.command(dir, strings.Fields(paths)...)
	if err != nil {
		return err
	}
	versions := []string{}
	for _, need := range needed {
		v, err := c.command(dir, "go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", need)
		if err != nil {
			return fmt.Errorf("is it still needed? %w", err)
		}
		versions = append(versions, strings.TrimSpace(v))
	}
	without, err := c.newModule("without", versions...)
	if err != nil {
		return err
	}
	allowed, err := c.command(without, strings.Fields(paths)...)
	if err != nil {
		return err
	}
	expected := append(strings.Fields(allowed), "example.com/program", library)
	extra := slices.DeleteFunc(strings.Fields(got), func(m string) bool { return slices.Contains(expected, m) })
	if len(extra) > 0 {
		return fmt.Errorf("go.mod of the library brings its users what only its tests need: %s", strings.Join(extra, ", "))
	}
	fmt.Printf("brings %s\n", strings.Join(strings.Fields(got)[1:], ", "))
	return nil
}

// useNested gets a nested module into an empty module, builds it, and asks it
// for help if it is a command.
func (c *consumer) useNested(module, version string) error {
	name := path.Base(module)
	dir, err := c.newModule(name, module+"@"+version)
	if err != nil {
		return err
	}
	if err := c.commands(dir, "go build "+module+"/..."); err != nil || name != "podctl" {
		return err
	}
	if err := c.commands(dir, "go get -tool "+module+"@"+version); err != nil {
		return err
	}
	said, err := c.command(dir, "go", "tool", name, "help")
	if err != nil {
		return err
	}
	if !strings.Contains(said, "Usage:\n  "+name) {
		return fmt.Errorf("%s help said %q", name, said)
	}
	return nil
}

// newModule makes an empty module, gets versions of others, and returns its
// directory.
func (c *consumer) newModule(name string, versions ...string) (string, error) {
	dir := filepath.Join(c.home, "modules", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, c.commands(dir, "go mod init example.com/"+name, "go get "+strings.Join(versions, " "))
}

// commands runs each command in dir, up to the first that fails.
func (c *consumer) commands(dir string, commands ...string) error {
	for _, command := range commands {
		fmt.Println("$", command)
		if _, err := c.command(dir, strings.Fields(command)...); err != nil {
			return err
		}
	}
	return nil
}

// command runs a command in dir, and returns its output. What the command says
// besides is in the error, if it fails.
func (c *consumer) command(dir string, args ...string) (string, error) {
	var out, complaint bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, c.env, &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, &out, &complaint)
	}
	return out.String(), nil
}
