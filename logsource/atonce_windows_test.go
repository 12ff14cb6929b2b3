package logsource_test

import (
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/logsource"
)

// Launches of one name that open their logs at the same time, while the logs before are
// open, get a file each.
func TestLogsOpenedAtOnce(t *testing.T) {
	dir := t.TempDir()
	openLog(t, dir)
	openLog(t, dir)
	type opened struct {
		log *logsource.Log
		err error
	}
	all := make(chan opened)
	const n = 8
	for range n {
		go func() {
			log, err := logsource.File{}.Open(t.Context(), logsource.Launch{Name: "web", Dir: dir, ID: uuid.New()})
			all <- opened{log, err}
		}()
	}
	var logs []*logsource.Log
	for range n {
		o := <-all
		if o.err != nil {
			t.Error(o.err)
			continue
		}
		logs = append(logs, o.log)
	}
	for i, log := range logs {
		fi, err := log.Sink.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range logs[:i] {
			otherFi, err := other.Sink.Stat()
			if err != nil || os.SameFile(fi, otherFi) {
				t.Errorf("two launches share a log: %v", err)
			}
		}
	}
	for _, log := range logs {
		log.Sink.Close()
		log.Close()
	}
}
