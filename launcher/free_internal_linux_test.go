package launcher

import (
	"os/exec"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// Who finds, when he is about to stop a pod, that it has just ended, has not looked at who is left of
// it: Stop and Remove look then.
func TestStopRecordedOfWhoHasJustEnded(t *testing.T) {
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := osproc.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	n := newLaunch(&Launcher{Grace: time.Second}, opStop, Spec{Name: "alice"})
	looked, err := n.stopRecorded(t.Context(), t.TempDir(), ownership.Record{Identity: id})
	if looked || err != nil {
		t.Errorf("it returned %v, %v", looked, err)
	}
}
