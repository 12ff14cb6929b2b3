package launcher_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// Starting a program that ends at once, and learning of its end through its
// pidfd.
func BenchmarkLocal(b *testing.B) {
	path, err := exec.LookPath("true")
	if err != nil {
		b.Fatal(err)
	}
	ctx, dir := context.Background(), b.TempDir()
	req := launcher.StartRequest{Name: "alice", ID: uuid.New(), Command: launcher.Command{Path: path}, WorkDir: dir, RuntimeDir: dir}
	b.ReportAllocs()
	for b.Loop() {
		p, err := launcher.Local{}.Start(ctx, req)
		if err != nil {
			b.Fatal(err)
		}
		if exit, err := p.Wait(ctx); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
		if err := p.(launcher.Reaper).Reap(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// The same with package os: what BenchmarkLocal is to be compared with.
func BenchmarkStartProcess(b *testing.B) {
	path, err := exec.LookPath("true")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		p, err := os.StartProcess(path, []string{path}, &os.ProcAttr{Dir: dir, Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
