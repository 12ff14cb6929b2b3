// Command customprobe replaces one strategy: its pod is a web server that writes no ready
// line, and is ready once it answers GET /healthz with 200.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

func main() {
	if len(os.Args) > 1 { // this is the pod
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		log.Print("serving on http://", l.Addr())
		log.Fatal(http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	}
	l := launcher.Launcher{Command: launcher.Self{Args: []string{"pod"}}, Ready: readiness.ProbeFunc(healthy)}
	pod, err := l.Launch(context.Background(), launcher.Spec{Name: "customprobe"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("healthy at", pod.Endpoint())
	if err := pod.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.RemoveAll(pod.RuntimeDir()) // nobody needs its log
}

// healthy learns from the log where the server is, and asks for its health.
func healthy(ctx context.Context, t readiness.Target) (at readiness.Endpoint, err error) {
	for line, err := range t.Lines(ctx) {
		if err != nil {
			return at, err
		}
		if _, addr, ok := strings.Cut(string(line), "serving on http://"); ok {
			req := &http.Request{URL: &url.URL{Scheme: "http", Host: addr, Path: "/healthz"}}
			resp, err := http.DefaultClient.Do(req.WithContext(ctx))
			if err != nil {
				return at, err
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				return at, fmt.Errorf("not healthy: %s", resp.Status)
			}
			return readiness.Endpoint{Network: "tcp", Address: addr}, nil
		}
	}
	return at, fmt.Errorf("the log has ended")
}
