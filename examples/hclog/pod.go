package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// pod is what this program does as a pod. It plays a program of many parts that
// each log in their own way.
func pod(ctx context.Context) error {
	dir, err := runtimedir.User{}.RuntimeDir(ctx, name)
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		return err
	}
	defer l.Close()
	hclog.New(&hclog.LoggerOptions{Name: "store", JSONFormat: true, TimeFormat: "15:04"}).Warn("the cache is cold", "entries", 0)
	fmt.Fprintln(os.Stderr, "[DEBUG] store: open: path=/var/lib/store")
	if err := readiness.Announce(os.Stderr, name, l.Addr().String()); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		n, _ := conn.Read(make([]byte, 80))
		conn.Close()
		if n == 0 {
			continue // the launcher wants to know whether we answer
		}
		fmt.Fprintln(os.Stderr, `level=INFO msg="a request" via=logfmt`)
		fmt.Fprintln(os.Stderr, "<3>disk is full")
		fmt.Fprint(os.Stderr, "a last word, of no level")
		return nil
	}
}
