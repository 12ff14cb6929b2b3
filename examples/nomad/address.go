package nomad

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// Address learns the address that the engine has given the pod's port, and waits
// until somebody answers there. No other pod has that port on its node, so
// what answers is the pod. The engine knows the address before the pod's first
// line has come through its log, so this is often the faster sign:
//
//	readiness.Any{
//		readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
//		nomad.Address{},
//	}
//
// A pod that listens before it is ready should not be asked so.
type Address struct {
	// Port is the label of the port. Empty means [DefaultPort].
	Port string

	// Schedule of the attempts to connect. An attempt takes two seconds at most
	// unless the schedule says otherwise.
	readiness.Schedule
}

var _ readiness.Probe = Address{}

// Wait implements [readiness.Probe].
func (a Address) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	place, err := ReadPlacement(t.RuntimeDir)
	if errors.Is(err, fs.ErrNotExist) && ctx.Err() != nil {
		// Start was cut short.
		return readiness.Endpoint{}, &readiness.PendingError{Waiting: a.String(), Last: err, Cause: context.Cause(ctx)}
	}
	if err != nil {
		return readiness.Endpoint{}, fmt.Errorf("nomad.Address: where is the pod? %w", err)
	}
	address, err := place.Address(a.port())
	if err != nil {
		return readiness.Endpoint{}, fmt.Errorf("nomad.Address.Port: %w", err)
	}
	if a.Attempt == 0 {
		a.Attempt = 2 * time.Second
	}
	return readiness.Poll{
		What: "an answer on " + address,
		Check: func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return readiness.Endpoint{}, err
			}
			return readiness.Endpoint{Network: "tcp", Address: address}, conn.Close()
		},
		Schedule: a.Schedule,
	}.Wait(ctx, t)
}

// String describes the probe.
func (a Address) String() string { return fmt.Sprintf("an answer on the port %q", a.port()) }

func (a Address) port() string {
	if a.Port == "" {
		return DefaultPort
	}
	return a.Port
}
