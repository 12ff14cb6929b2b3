// Package broker_test has a plugin call back its host. It is apart from the other tests
// because go-plugin's examples cannot be in one program: two of them have a file
// proto/kv.proto.
package broker_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/bidirectional/shared"

	"github.com/podlaunch/podlaunch/examples/goplugin"
)

type sum struct{}

func (sum) Sum(a, b int64) (int64, error) { return a + b, nil }

// A plugin calls back this program, on a socket of its own and on that of the client.
func TestBroker(t *testing.T) {
	program := filepath.Join(t.TempDir(), "counter")
	out, err := exec.Command("go", "build", "-o", program, "github.com/hashicorp/go-plugin/examples/bidirectional/plugin-go-grpc").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, multiplexed := range map[string]bool{"a socket of its own": false, "multiplexed": true} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Dir = t.TempDir() // where it keeps the count
			client := plugin.NewClient(&plugin.ClientConfig{
				HandshakeConfig:     shared.Handshake,
				Plugins:             shared.PluginMap,
				RunnerFunc:          goplugin.Plugin{Cmd: cmd}.Run,
				AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
				GRPCBrokerMultiplex: multiplexed,
				Logger:              hclog.NewNullLogger(),
			})
			defer client.Kill()
			protocol, err := client.Client()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := protocol.Dispense("counter")
			if err != nil {
				t.Fatal(err)
			}
			counter := raw.(shared.Counter)
			for range 2 {
				if err := counter.Put("it", 21, sum{}); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := counter.Get("it"); err != nil || n != 42 {
				t.Errorf("Get: %d, %v", n, err)
			}
		})
	}
}
