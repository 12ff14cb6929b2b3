package runtimedir_test

import (
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/runtimedirtest"
)

// Dir keeps the contract of every Resolver, whether its base is there yet or
// not, and with no more methods than a ResolverFunc has.
func TestDirConforms(t *testing.T) {
	for name, newResolver := range map[string]func(t *testing.T) runtimedir.Resolver{
		"base is there": func(t *testing.T) runtimedir.Resolver { return runtimedir.Dir(t.TempDir()) },
		"base is made": func(t *testing.T) runtimedir.Resolver {
			return runtimedir.Dir(filepath.Join(t.TempDir(), "run", "pods"))
		},
		"ResolverFunc": func(t *testing.T) runtimedir.Resolver {
			return runtimedir.ResolverFunc(runtimedir.Dir(t.TempDir()).RuntimeDir)
		},
	} {
		t.Run(name, func(t *testing.T) { runtimedirtest.Test(t, newResolver) })
	}
}

// User keeps it too, by whichever variable the base is found.
func TestUserConforms(t *testing.T) {
	for _, variable := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "XDG_RUNTIME_DIR", home} {
		t.Run(variable, func(t *testing.T) {
			runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
				setChain(t, "INSOMNIA", map[string]string{variable: t.TempDir()})
				return runtimedir.User{}
			})
		})
	}
	t.Run("App", func(t *testing.T) {
		runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
			setChain(t, "MY_APP", map[string]string{"XDG_RUNTIME_DIR": t.TempDir()})
			return runtimedir.User{App: "my-app"}
		})
	})
}
