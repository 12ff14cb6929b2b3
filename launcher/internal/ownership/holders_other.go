//go:build !linux

package ownership

import (
	"errors"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// holders finds nobody: there is no way to ask here.
func (p *Place) holders() ([]holder, error) { return nil, nil }

func (p *Place) holds(proc.Identity) bool { return false }

func endGroup(id proc.Identity) error { return endProcess(id) }

// takerLives reports nobody, for the same reason; and nobody is ended here.
func (p *Place) takerLives() (bool, error) { return false, nil }

// endProcess ends nobody: an Identity is no proof here.
func endProcess(id proc.Identity) error {
	if err := id.Check(); err != nil {
		return err
	}
	return errors.ErrUnsupported
}
