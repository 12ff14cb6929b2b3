package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OverlayName is the name of the file, beside the witnesses of the pod called
// name, that holds its overlay until it is ready.
func OverlayName(name string) string { return "." + name + ".overlay" }

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

// RemoveOverlay removes the file that WriteOverlay has made, if it did, and if
// nobody has put another in its place. When that fails it can be tried again.
func (c *Claim) RemoveOverlay() error {
	if c.overlay == nil {
		return nil
	}
	there, err := c.place.base.lstat(OverlayName(c.place.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && there.same(*c.overlay):
		err = c.place.removeOverlay()
	}
	if err != nil {
		return fmt.Errorf("the overlay is still in the file %q: %w", filepath.Join(c.place.base.path, OverlayName(c.place.name)), err)
	}
	c.overlay = nil
	return nil
}

// removeOverlay deletes the overlay's file, which a launcher that was killed may
// have left. It does not follow a link.
func (p *Place) removeOverlay() error { return p.base.remove(OverlayName(p.name)) }
