// Command consumer does what somebody does who uses this repository's modules
// and has no clone of it: it fetches them by their versions, builds them, and
// runs what it built. A clone hides mistakes: its go.mod files have replace
// directives, its files may have any name, and the module cache is full.
//
// The command makes the zip of each module, lays the zips out as a module proxy,
// and uses that proxy with an empty module cache. All modules get one version:
// the one at which the nested modules require the library.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"
)

// library is the path of the main module. A nested module is published if its
// path is below this one.
const library = "github.com/podlaunch/podlaunch"

func main() {
	log.SetFlags(0)
	log.SetPrefix("consumer: ")
	scratch, err := os.MkdirTemp("", "podlaunch-consumer")
	if err != nil {
		log.Fatal(err)
	}
	err = check(filepath.Join("..", ".."), scratch)
	if err := errors.Join(err, os.RemoveAll(scratch)); err != nil {
		log.Fatal(err)
	}
}

// check publishes the modules of the repository at root, and uses each of them.
// It writes below scratch only.
func check(root, scratch string) error {
	published, err := findModules(root)
	if err != nil {
		return err
	}
	version, err := commonVersion(published)
	if err != nil {
		return err
	}
	proxy := filepath.Join(scratch, "proxy")
	for _, m := range published {
		if err := publish(proxy, m, version); err != nil {
			return fmt.Errorf("publish %s: %w", m.path, err)
		}
	}
	c, err := newConsumer(scratch, proxy)
	if err != nil {
		return err
	}
	for _, m := range published {
		began := time.Now()
		fmt.Printf("\n--- %s@%s\n", m.path, version)
		if m.path == library {
			err = c.useLibrary(version, filepath.Join(root, "examples", "consumer"))
		} else {
			err = c.useNested(m.path, version)
		}
		if err != nil {
			return fmt.Errorf("use %s: %w", m.path, err)
		}
		fmt.Printf("holds, after %.1f s\n", time.Since(began).Seconds())
	}
	return nil
}
