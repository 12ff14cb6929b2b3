package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// withExec is the code of many programs: start, poll, kill.
func withExec(ctx context.Context, situation string) (ended string, err error) {
	dir, err := os.MkdirTemp("", "server")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	sock := filepath.Join(dir, "sock")
	output, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return "", err
	}
	defer output.Close()
	self, err := os.Executable()
	if err != nil {
		return "", err
	}

	cmd := exec.CommandContext(ctx, self, "serve", situation, sock)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		ended = cmd.ProcessState.String()
	}()

	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("unix", sock)
		if err == nil {
			return "", ping(conn)
		}
	}
	return "", fmt.Errorf("the server did not answer within %v", patience)
}
