package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
)

// getRoot asks for the page at /.
func getRoot(ctx context.Context, pod *launcher.Pod) (string, error) {
	body, err := get(ctx, pod, "/")
	return "GET /: " + strings.TrimSpace(body), err
}

// get asks for a page over the pod's endpoint, of any network.
func get(ctx context.Context, pod *launcher.Pod, path string) (body string, err error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return pod.Dial(ctx) },
	}
	defer transport.CloseIdleConnections()
	// localhost: Chromium answers nobody who calls it by another name.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return string(page), err
}
