package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteOverlay writes text to a new file called OverlayName, with mode 0600
// whatever the umask, and returns it, to be read from its beginning. The caller
// closes it; RemoveOverlay removes it.
func (c *Claim) WriteOverlay(text string) (*os.File, error) {
	name := OverlayName(c.place.name)
	f, err := c.place.createOverlay(name, text)
	if err != nil {
		return nil, fmt.Errorf("write the overlay, %d bytes, to %q: %w", len(text), filepath.Join(c.place.base.path, name), err)
	}
	made, err := fileStatus(f)
	if err != nil {
		return nil, errors.Join(err, f.Close(), c.place.removeOverlay())
	}
	c.overlay = &made
	return f, nil
}

func (p *Place) createOverlay(name, text string) (*os.File, error) {
	// The claim has removed what an earlier launcher left, and the launch lock
	// is ours: whatever is there now somebody else has put there.
	f, err := p.base.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err = f.Chmod(0o600); err == nil { // whatever the umask
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), p.base.remove(name))
	}
	return f, nil
}
