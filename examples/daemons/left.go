package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
)

// waitLeft waits until nobody is left who has anything to do with the place: a
// helper may take a moment to end after the daemon.
func (p *place) waitLeft(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pid, sign, err := p.left()
		if pid == 0 || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return &leftError{pid, sign}
		case <-time.After(20 * time.Millisecond): // a process that is no child cannot be waited for everywhere
		}
	}
}

// A leftError says that a process is left which has sign of a place.
type leftError struct {
	pid  int
	sign string
}

func (e *leftError) Error() string {
	return fmt.Sprintf("process %d, which has %s, is still there after %v", e.pid, e.sign, patience)
}

// left returns a process that has the place in its arguments, its environment,
// its directory or its files, and where; 0 if there is none.
func (p *place) left() (pid int, sign string, err error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, "", err
	}
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if sign := p.sign(process); sign != "" {
			return pid, sign, nil
		}
	}
	return 0, "", nil
}

// sign returns what a process has of the place.
func (p *place) sign(process string) string {
	for _, name := range []string{"cmdline", "environ"} {
		if text, _ := os.ReadFile(filepath.Join(process, name)); strings.Contains(string(text), p.base) { // it may have gone, or be another user's
			return "the place in its " + name
		}
	}
	links, _ := filepath.Glob(process + "/fd/*") // the pattern is well-formed
	for _, link := range append(links, process+"/cwd") {
		if path, _ := os.Readlink(link); strings.HasPrefix(path, p.base) {
			return path + " open"
		}
	}
	return ""
}

// give gives what is in the daemon's directory to the user whom it runs as.
func (r row) give(p *place) error {
	if r.as == "" || os.Geteuid() != 0 {
		return nil
	}
	owner, err := user.Lookup(r.as)
	if err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(owner.Uid)
	gid, gidErr := strconv.Atoi(owner.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return err
	}
	return filepath.WalkDir(p.data, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}

func environ(spec launcher.Spec) []string {
	if spec.Env == nil {
		return os.Environ()
	}
	return spec.Env
}
