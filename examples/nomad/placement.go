package nomad

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Placement says where the engine has put a pod. A [Starter] leaves it in the
// pod's runtime directory, on the machine that launched it, once the program
// runs.
type Placement struct {
	Job        string            `json:"job"`
	Allocation string            `json:"allocation"`
	NodeID     string            `json:"node_id"`
	Node       string            `json:"node"`
	Addresses  map[string]string `json:"addresses"` // host:port, by the port's label
}

// placementFile is where it is, in the runtime directory.
const placementFile = "placement.json"

// ReadPlacement reads what a Starter has left in a pod's runtime directory.
func ReadPlacement(runtimeDir string) (Placement, error) {
	var p Placement
	data, err := os.ReadFile(filepath.Join(runtimeDir, placementFile))
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("%s: %w", placementFile, err)
	}
	return p, nil
}

// Address returns that of the port with the label; the error wraps [ErrNoPort]
// if there is none.
func (p Placement) Address(label string) (string, error) {
	if address, ok := p.Addresses[label]; ok {
		return address, nil
	}
	var labels []string
	for l := range p.Addresses {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	has := "none"
	if len(labels) > 0 {
		has = strings.Join(labels, ", ")
	}
	return "", fmt.Errorf("%w %q: the job %s has these: %s; name it in Starter.Ports", ErrNoPort, label, p.Job, has)
}

// placement is where the allocation is.
func (p *process) placement() Placement {
	a := p.last()
	place := Placement{Job: p.job, Allocation: a.ID, NodeID: a.NodeID, Node: a.NodeName, Addresses: make(map[string]string)}
	for _, port := range a.AllocatedResources.Shared.Ports {
		place.Addresses[port.Label] = port.address()
	}
	return place
}

// write puts p into a runtime directory, whole or not at all.
func (p Placement) write(runtimeDir string) error {
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(runtimeDir, placementFile)
	temp := path + "." + p.Allocation
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return nil
}
