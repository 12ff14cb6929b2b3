package ownership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// unclear returns an ErrUnclear about the record, for the reason why. remedy is what to do: one
// of a healthy record's is not to remove it, for its pod may run.
func (p *Place) unclear(why error, remedy string) error {
	return fmt.Errorf("%w from its record %q: %w; %s", ErrUnclear, p.path(p.recordName()), why, remedy)
}

// The remedies for a record that cannot be believed.
const (
	removeIt     = "it is damaged or not podlaunch's: end the pod if it runs, and remove the file"
	askAsOwner   = "ask as the user whose pod it is"
	askByNewer   = "ask by a program with that version of podlaunch"
	askElsewhere = "ask in that base"
)

// read returns the record, ErrNoRecord or ErrUnclear.
func (p *Place) read() (Record, error) {
	data, s, err := p.base.read(p.recordName(), maxRecord)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, fmt.Errorf("%w: %w", ErrNoRecord, err)
	case isPassing(err):
		return Record{}, fmt.Errorf("%w, for its record cannot be read now: %w", ErrUnclear, err)
	case errors.Is(err, fs.ErrPermission):
		return Record{}, p.unclear(err, askAsOwner)
	case err != nil:
		return Record{}, p.unclear(err, removeIt)
	case !s.mode.IsRegular():
		return Record{}, p.unclear(fmt.Errorf("it is not a regular file (%v)", s.mode), removeIt)
	case s.size > maxRecord:
		return Record{}, p.unclear(fmt.Errorf("it is too large (%d bytes)", s.size), removeIt)
	}
	if err := s.checkOwner(p.euid); err != nil {
		remedy := removeIt
		if errors.Is(err, errAnothers) {
			remedy = askAsOwner
		}
		return Record{}, p.unclear(err, remedy)
	}
	r, err := parseRecord(data, p.name)
	switch {
	case err == nil, errors.Is(err, ErrNoRecord):
		return r, err
	case errors.Is(err, errors.ErrUnsupported):
		return Record{}, p.unclear(err, askByNewer)
	}
	return Record{}, p.unclear(err, removeIt)
}

// write creates the record, which must not be there, and keeps it open.
// It is not synced to the disk: after a crash of the machine no record is worth
// anything. A reader that comes in the middle finds a torn one, and so none.
func (p *Place) write(r Record) error {
	p.forget()
	record, err := p.create(p.recordName(), r)
	p.record = record
	if err != nil {
		return errors.Join(err, p.remove())
	}
	return nil
}

// create is write to the file called name. It returns the file also if it could not write
// all of r; nil if there is none.
func (p *Place) create(name string, r Record) (*openRecord, error) {
	r.Version, r.Name = Version, p.name
	if r.Elsewhere {
		r.Version = versionElsewhere
	}
	data, err := r.lines()
	if err != nil {
		return nil, err
	}
	fd, err := p.base.openFD(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	record := &openRecord{in: p.base, name: name, fd: fd}
	if err = record.write(data); err != nil {
		return record, fmt.Errorf("write %q: %w", p.path(name), err)
	}
	_, err = record.isThere() // which makes it ours alone
	return record, err
}

// errNotWritten says that the file is not the record that this Place wrote.
var errNotWritten = errors.New("the record was deleted or replaced")

// add appends an object to the record that this Place wrote. This happens between the
// ready line and the launch's return, so add does not replace the record: many filesystems
// flush a file that is renamed over another.
func (p *Place) add(object any) error {
	data, err := json.Marshal(object)
	switch {
	case err != nil:
		return err
	case p.record == nil:
		return errNotWritten
	}
	if there, err := p.record.isInPlace(); !there || err != nil {
		return errors.Join(errNotWritten, err)
	}
	if err := p.mayWrite(); err != nil {
		return err
	}
	return p.record.write(append(data, '\n'))
}

// replace writes r in place of the record that this Place wrote: beside it, and then over
// it. A launcher that dies in between leaves the file beside it, which the next replace, or
// Claim.Remove, removes.
func (p *Place) replace(r Record) error {
	if p.record == nil {
		return errNotWritten
	}
	if there, err := p.record.isInPlace(); !there || err != nil {
		return errors.Join(errNotWritten, err)
	}
	next := p.nextName()
	if err := p.base.remove(next); err != nil {
		return err
	}
	record, err := p.create(next, r)
	if err == nil {
		err = p.mayWrite()
	}
	if err == nil {
		err = p.base.rename(next, p.recordName())
	}
	if err != nil {
		if record != nil {
			closeFD(record.fd)
			err = errors.Join(err, p.base.remove(next))
		}
		return err
	}
	p.forget()
	record.name = p.recordName()
	p.record = record
	return nil
}

// remove deletes the record that we have written, and no other.
func (p *Place) remove() error {
	if p.record == nil {
		return nil
	}
	there, err := p.record.isThere()
	if there && err == nil {
		err = p.base.remove(p.recordName())
	}
	if err == nil {
		p.forget()
	}
	return err
}
