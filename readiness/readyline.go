package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// DefaultPrefix is what a ready line begins with unless [ReadyLine.Prefix]
// says otherwise.
const DefaultPrefix = "INSOMNIA-READY"

// maxReadyLine is far more than a ready line can need (a name of 255 bytes, a
// path of 4096). A longer line, such as a line that was cut for its length, is never
// taken for a ready line.
const maxReadyLine = 8 << 10

// ReadyLine waits for the line with which the pod says on its log that it is
// ready, and where: the prefix, the pod's name, and the path of its unix
// socket, separated by tabs. The path is the rest of the line, tabs included;
// a relative one is taken from the pod's working directory. On Windows, where no probe
// dials a unix socket, tcp:host:port in place of the path is an address, as with Network.
// The zero value is ready to use.
//
// A line that begins with the prefix and a tab, or is just the prefix, must be
// such a line. A line that lacks a field, or whose socket is in the abstract
// namespace (a leading @), ends the wait with [ErrMalformedReadyLine]. A line with
// another name ends it with [ErrNameMismatch]. A line that holds a NUL, or is longer
// than 8 KiB, is no ready line even if it begins with the prefix; the probe only
// reports it when the time is over.
//
// A pod that fails may say so, instead of just exiting: it writes a line with -FAIL in
// place of the prefix's -READY, then its name and the reason. That line ends the wait
// with a [*FailedError]. A line with -STATUS says how far the pod has come; see
// [ReadyLine.Status]. See [AnnounceFail] and [AnnounceStatus].
type ReadyLine struct {
	// Prefix of the line. Empty means [DefaultPrefix]. If it does not end in -READY
	// there are no -FAIL and -STATUS lines.
	Prefix string

	// Lenient makes a malformed line, or another pod's, mere noise: the wait
	// goes on for the true one, and the error tells of them if that never
	// comes. For a pod whose output holds that of other pods.
	Lenient bool

	// Network of the address in the line. Empty means "unix", and the line has the
	// path of a socket. With "tcp", "tcp4" or "tcp6" it has host:port instead, for a
	// pod that may run elsewhere; a host that is empty or stands for all means the
	// loopback, and the port must be a number other than 0. The probe does not ask
	// which process answers there: put [TCP] after it.
	Network string
}

var (
	_ Probe        = ReadyLine{}
	_ LineOwner    = ReadyLine{}
	_ StatusReader = ReadyLine{}
)

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (l ReadyLine) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if err := l.check(); err != nil {
		return Endpoint{}, err
	}
	if t.Lines == nil {
		return Endpoint{}, errors.New("readiness.ReadyLine: the target has no lines to read")
	}
	var seen notes
	begins := l.begins() // most lines do not
	for line, err := range t.Lines(ctx) {
		if err != nil {
			if cause := context.Cause(ctx); cause == nil || !errors.Is(err, cause) {
				return Endpoint{}, fmt.Errorf("read the log for the ready line: %w", err)
			}
			return Endpoint{}, l.pending(t, seen, err)
		}
		if !hasPrefix(line, begins) {
			continue
		}
		failed, err := l.failure(line, t.Name)
		if failed != nil {
			return Endpoint{}, failed
		}
		if err == nil {
			_, _, err = l.said(line, wordStatus, t.Name)
		}
		if err != nil {
			seen.add(err.Error())
			continue
		}
		socket, err := l.parse(line, t.Name)
		switch {
		case err == nil && socket != "":
			return l.endpoint(t, socket), nil
		case err == nil:
		case l.Lenient || errors.Is(err, errNotTaken):
			seen.add(err.Error())
		default:
			return Endpoint{}, err
		}
	}
	// The log has ended, and we do not know yet whether the pod has.
	<-ctx.Done()
	return Endpoint{}, l.pending(t, seen, context.Cause(ctx))
}

// endpoint is what the line names.
func (l ReadyLine) endpoint(t Target, socket string) Endpoint {
	network, said := l.network(socket)
	if !isTCP(network) {
		return Endpoint{Network: "unix", Address: absolute(said, t.WorkDir)}
	}
	address, _ := loopback(said) // parse has looked at it
	return Endpoint{Network: network, Address: address}
}

// inLine is what an address begins with in the line of a pod that has no socket, where no
// path can begin like that.
const inLine = "tcp:"

// network returns the network of the address that the line ends with, and the address.
func (l ReadyLine) network(socket string) (network, address string) {
	if address, ok := strings.CutPrefix(socket, inLine); ok && l.Network == "" && runtime.GOOS == "windows" {
		return "tcp", address
	}
	return l.Network, socket
}

// OwnsLine implements [LineOwner]. The probe also owns the line with which the pod says
// that it has failed: the error has it.
func (l ReadyLine) OwnsLine(t Target, line []byte) bool {
	if !hasPrefix(line, l.begins()) {
		return false
	}
	if failed, _ := l.failure(line, t.Name); failed != nil {
		return true
	}
	socket, err := l.parse(line, t.Name)
	return err == nil && socket != ""
}

// Status implements [StatusReader]: the text of a line with which the pod says
// how far it has come.
func (l ReadyLine) Status(t Target, line []byte) (text []byte, ok bool) {
	text, ok, _ = l.said(line, wordStatus, t.Name)
	return text, ok
}

// String describes the probe.
func (l ReadyLine) String() string { return fmt.Sprintf("the ready line %q", l.prefix()) }

func (l ReadyLine) prefix() string {
	if l.Prefix == "" {
		return DefaultPrefix
	}
	return l.Prefix
}

func (l ReadyLine) check() error {
	if strings.ContainsAny(l.Prefix, "\t\r\n\x00") {
		return fmt.Errorf("readiness.ReadyLine: the prefix %q holds a tab, a line break or a NUL", l.Prefix)
	}
	if l.Network != "" && l.Network != "unix" && !isTCP(l.Network) {
		return fmt.Errorf("readiness.ReadyLine.Network: it is %q, and must be unix, tcp, tcp4 or tcp6", l.Network)
	}
	return nil
}

// errNotTaken is wrapped by the errors of parse for lines that begin like a ready line
// and are none.
var errNotTaken = errors.New("not taken for a ready line")

// parse takes line apart. For a line that does not concern it, it returns
// neither a socket nor an error.
func (l ReadyLine) parse(line []byte, name string) (socket string, err error) {
	rest, ok := bytes.CutPrefix(line, []byte(l.prefix()))
	if !ok || len(rest) > 0 && rest[0] != '\t' {
		return "", nil
	}
	if len(line) > maxReadyLine {
		return "", fmt.Errorf("a line of %d bytes or more was %w: %s", len(line), errNotTaken, quoted(line))
	}
	if bytes.IndexByte(rest, 0) >= 0 {
		return "", fmt.Errorf("a line that holds a NUL was %w: %s", errNotTaken, quoted(line))
	}
	named, text, fields := split(rest)
	socket = string(text)
	switch {
	case fields < 3:
		return "", fmt.Errorf("%w: %s has %d of 3 fields (%s, name, socket, separated by tabs)",
			ErrMalformedReadyLine, quoted(line), fields, l.prefix())
	case len(named) == 0:
		return "", fmt.Errorf("%w: %s has an empty name", ErrMalformedReadyLine, quoted(line))
	case socket == "":
		return "", fmt.Errorf("%w: %s has an empty socket", ErrMalformedReadyLine, quoted(line))
	}
	if err := l.checkAddress(socket); err != nil {
		return "", fmt.Errorf("%w: %s %w", ErrMalformedReadyLine, quoted(line), err)
	}
	if string(named) != name {
		return "", fmt.Errorf("%w: the line names %s, this is %q", ErrNameMismatch, quoted(named), name)
	}
	return socket, nil
}

// checkAddress returns what is wrong with what a line ends with, for a sentence about the
// line.
func (l ReadyLine) checkAddress(socket string) error {
	network, address := l.network(socket)
	if isTCP(network) {
		_, err := loopback(address)
		if err == nil && strings.ContainsAny(address, "\t /") {
			err = errors.New("no host is called so")
		}
		if err != nil {
			return fmt.Errorf("does not end with an address, host:port: %w", err)
		}
		return nil
	}
	if socket[0] == '@' {
		return errors.New("names an abstract socket, which anybody may take; a path is needed")
	}
	if err := checkDrive(socket); err != nil {
		return fmt.Errorf("has a path that cannot be used: %w", err)
	}
	return nil
}

func (l ReadyLine) pending(t Target, seen notes, cause error) error {
	e := &PendingError{Waiting: l.String(), Notes: seen.list(), Cause: cause}
	// The pod may be up and only have failed to say so (it closed its stderr, its
	// disk is full). The user needs to know which of the two it is.
	usual := filepath.Join(t.RuntimeDir, "sock")
	if t.RuntimeDir == "" || isTCP(l.Network) {
		return e
	}
	if _, err := dialUnix(Endpoint{Network: "unix", Address: usual}); err == nil { // never waits
		e.Notes = append(e.Notes, fmt.Sprintf("a socket answers at %q, though the pod has not announced it", usual))
	}
	return e
}

// failure returns what the pod called name says of its failure with line, or
// why a line that looks like that does not say it.
func (l ReadyLine) failure(line []byte, name string) (*FailedError, error) {
	reason, ok, err := l.said(line, wordFail, name)
	if !ok {
		return nil, err
	}
	return &FailedError{Reason: cut(string(reason))}, nil
}

// said is the function said for the lines of l.
func (l ReadyLine) said(line []byte, word, name string) (text []byte, ok bool, err error) {
	stem, ok := l.stem()
	if !ok {
		return nil, false, nil
	}
	return said(line, stem, word, name)
}

// begins returns the beginning of every line that is for l.
func (l ReadyLine) begins() string {
	if stem, ok := l.stem(); ok {
		return stem
	}
	return l.prefix()
}

// stem is the prefix without its -READY.
func (l ReadyLine) stem() (string, bool) {
	return strings.CutSuffix(l.prefix(), wordReady)
}
