//go:build linux

package ending_test

import (
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// W17: a socket by another name than sock, which a crash has left behind, does not keep
// the pod from starting again, although it removes nothing itself.
func TestStartsAgainAfterACrash(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.shell(`exec perl -e 'use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Local => "$ENV{POD_RUNTIME_DIR}/x.sock", Listen => 5) or die "bind: $!\n"; sleep 1000'`)
	r.L.Ready = readiness.Unix{Path: "x.sock"}
	for range 2 {
		podrig.Kill(t, r.Launch(podrig.Alice))
	}
}
