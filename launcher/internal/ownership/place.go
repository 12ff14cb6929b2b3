package ownership

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A Place is where the witnesses of one name are kept. It is not safe for use
// by several goroutines; each opens its own.
type Place struct {
	// Elsewhere is asked about processes of other machines. Nil: nobody can say
	// anything about them.
	Elsewhere Elsewhere

	// Kept reports whether a pod that this program launched, and that ends with it, is still to:
	// not if the program has executed another in its place. Nil: it is.
	Kept func(launch uuid.UUID) bool

	// Reclaim says which processes Claim ends that an earlier pod has left behind, and
	// Grace how long they have between SIGTERM and SIGKILL; negative: no time at all.
	Reclaim Reclaim
	Grace   time.Duration

	// EndMarked says for which pods that are gone a Claim with ReclaimAll ends also those who
	// have the launch's id in their environment, and not the lock. Nil: none.
	EndMarked func(Record) bool

	// Hurry ends the grace when it is closed. Nil: nothing does.
	Hurry <-chan struct{}

	// GivenUp keeps Claim from signalling anybody more when it is closed: nobody waits for it
	// any longer. Nil: somebody does.
	GivenUp <-chan struct{}

	// Signalled, if it is not nil, is called for each of them, with each signal that it was
	// sent, SIGCONT aside, and when.
	Signalled func(id osproc.Identity, sig syscall.Signal, at time.Time)

	// Of, if it is not uuid.Nil, makes Claim fail with ErrAnother if the record is not
	// that of the launch.
	Of uuid.UUID

	// KeepRecord makes Claim leave the record of the earlier pod where it is. Nothing
	// can be launched with such a Claim.
	KeepRecord bool

	private bool // of a private pod: see Private
	base    *dir
	baseIs  status // when it was opened
	name    string
	euid    int         // who we are
	record  *openRecord // that we have written; nil: none

	may func() error // see Claim.AskBefore; nil: an addition may always be written
}

// Reclaim says which processes are ended that hold the name of a pod although it does
// not run.
type Reclaim int

const (
	ReclaimNone Reclaim = iota // none: a [*HeldError] names them
	ReclaimGone                // those of a pod that is proven to be gone
	ReclaimAll                 // those of a pod without a record, too: one of them may be the pod
)

// Elsewhere knows the processes that run on other machines.
type Elsewhere interface {
	// Check returns nil if the process of r is alive, an error wrapping
	// osproc.ErrGone if it is not, and any other error if Check cannot tell.
	Check(r Record) error

	// End begins to end it. The error wraps osproc.ErrGone if it is gone already.
	End(r Record) error
}

// Open returns the Place of name, a valid one, below base, which must exist and
// be no symbolic link.
func Open(base, name string) (*Place, error) {
	d, s, err := openBase(base)
	if err != nil {
		return nil, err
	}
	return &Place{base: d, baseIs: s, name: name, euid: os.Geteuid()}, nil
}

// mayWrite reports why an addition to the record must not be written.
func (p *Place) mayWrite() error {
	if p.may == nil {
		return nil
	}
	return p.may()
}

// Base returns the base directory.
func (p *Place) Base() string { return p.base.path }

// Close frees what the Place holds. Where there is a Claim, ending that does it.
func (p *Place) Close() {
	p.forget()
	p.base.close()
}

// path returns the path of the file called name.
func (p *Place) path(name string) string { return filepath.Join(p.base.path, name) }

func (p *Place) recordName() string { return "." + p.name + recordSuffix }
func (p *Place) nextName() string   { return "." + p.name + recordSuffix + ".new" } // see replace
func (p *Place) launchName() string { return "." + p.name + launchSuffix }

func (p *Place) podName() string {
	if p.private {
		return "." + p.name + privateSuffix
	}
	return "." + p.name + podSuffix
}

// forget closes the record that we have written.
func (p *Place) forget() {
	if p.record != nil {
		closeFD(p.record.fd)
		p.record = nil
	}
}

// ErrNotOursAlone says that the base is another user's, or that others may write to
// it. What wraps it wraps [runtimedir.ErrInsecure] too.
var ErrNotOursAlone = errors.New("it is not ours alone")

// checkBase makes sure that nobody but us, or who may do anything anyway, can
// put a file of his own in the place of one of ours.
func (p *Place) checkBase() error {
	if err := p.baseIs.checkOwner(p.euid); err != nil {
		return fmt.Errorf("the base directory %q: %w: %w", p.base.path, ErrNotOursAlone, err)
	}
	return nil
}

// OverlayName is the name of the file, beside the witnesses of the pod called
// name, that holds its overlay until it is ready.
func OverlayName(name string) string { return "." + name + ".overlay" }

// removeOverlay deletes the overlay's file, which a launcher that was killed may
// have left. It does not follow a link.
func (p *Place) removeOverlay() error { return p.base.remove(OverlayName(p.name)) }

// private are the names of the private pods that this program has, and removes itself. Sweep does
// not look at them: with 800 of these a launch took five times as long.
var private sync.Map

// LeavePrivate says that this program does not remove what a private pod leaves behind: a Sweep
// does.
func LeavePrivate(name string) { private.Delete(name) }
