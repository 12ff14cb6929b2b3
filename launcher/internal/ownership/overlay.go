package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteOverlay writes text to a new file called OverlayName, and returns the file, to be
// read from its beginning. Its mode is 0600, no matter what the umask is. The caller
// closes the file; RemoveOverlay removes it.
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
	// The claim has removed what an earlier launcher left, and holds the launch lock:
	// if there is a file now, it is not a launcher's.
	f, err := p.base.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err = f.Chmod(0o600); err == nil { // the umask may have cleared these bits
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), p.base.remove(name))
	}
	return f, nil
}
