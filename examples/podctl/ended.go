package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// An endedLog learns which processes the launcher has ended that a pod had left behind. The
// launcher tells that to its Logger alone. The script stop.txtar fails when its words change.
type endedLog struct {
	mu   sync.Mutex
	pids []int
}

// logger returns a Logger for a Launcher. It prints nothing.
func (e *endedLog) logger() hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Warn, Output: io.Discard})
	logger.RegisterSink(e)
	return logger
}

// Accept implements [hclog.SinkAdapter].
func (e *endedLog) Accept(_ string, _ hclog.Level, message string, args ...any) {
	if !strings.HasPrefix(message, "ended what an earlier pod had left behind") {
		return
	}
	for i := 0; i+1 < len(args); i += 2 {
		if pids, ok := args[i+1].([]int); ok && args[i] == "pids" {
			e.mu.Lock()
			e.pids = append(e.pids, pids...)
			e.mu.Unlock()
		}
	}
}

// ended returns the pids of these processes, in their order.
func (e *endedLog) ended() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	slices.Sort(e.pids)
	return slices.Compact(slices.Clone(e.pids))
}

// pidsText is pids for a person, as "pid 12" or "pids 12, 13".
func pidsText(pids []int) string {
	words := make([]string, len(pids))
	for i, pid := range pids {
		words[i] = fmt.Sprint(pid)
	}
	if len(words) == 1 {
		return "pid " + words[0]
	}
	return "pids " + strings.Join(words, ", ")
}
