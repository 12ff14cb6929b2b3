package launcher

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/program"
)

// askedOf returns what tells the digests of a launch by l, in place of the pod called
// name, which was launched by i.
func askedOf(l Launcher, name string, i ownership.Intent) asked {
	dir, id := i.Dir, i.Launch // and not the rest of i
	return func(spec Spec) (*ownership.Digests, error) {
		spec.Name = name
		return newLaunch(&l, opLaunch, spec).askedWithin(dir, id)
	}
}

// askedWithin is digestsOfSpec, but does not wait much longer than Launcher.Timeout for
// what hangs. A panic goes on.
func (n *attempt) askedWithin(dir string, id uuid.UUID) (*ownership.Digests, error) {
	ctx := context.Background()
	if n.Timeout >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.Timeout)
		defer cancel()
	}
	asking := spawn(func() (*ownership.Digests, error) { return n.digestsOfSpec(ctx, dir, id) })
	o, ok := within(ctx, patience, asking)
	switch {
	case !ok:
		go func() { // ends with digestsOfSpec
			if late := <-asking; late.crash != nil {
				n.logLate(late.crash)
			}
		}()
		return nil, fmt.Errorf("the command's resolver, or a filesystem, has not returned within %v: %w", n.Timeout, ctx.Err())
	case o.crash != nil:
		o.crash.resume()
	}
	return o.value, o.err
}

// digestsOfSpec returns the digests of a launch of n's spec, as they would be if that
// were the launch with id, in dir.
func (n *attempt) digestsOfSpec(ctx context.Context, dir string, id uuid.UUID) (*ownership.Digests, error) {
	if err := n.spec.validate(n.OverlayTransport); err != nil {
		return nil, err
	}
	workDir, err := n.spec.workDir()
	if err != nil {
		return nil, err
	}
	// Where an overlay's file would be does not count, so any base will do.
	cmd, err := n.resolve(ctx, site{base: filepath.Dir(dir), dir: dir})
	if err != nil {
		return nil, fmt.Errorf("resolve the command: %w", err)
	}
	digests, err := n.digests(id, workDir, cmd)
	return digests(), err
}

// digests returns what makes those of a launch with id of cmd, in workDir, as these things are
// now. They are of what was asked for: what a probe or the launcher adds to it is left out. The
// error says that the program's file is there and cannot be seen; the other digests are good.
// For a launch that is no error: starting the program is what tells.
//
// The text of the overlay, or the path of its file, is taken out of arguments and
// environment.
func (n *attempt) digests(id uuid.UUID, workDir string, cmd resolved) (func() *ownership.Digests, error) {
	env := cmd.Env
	if env == nil {
		env = os.Environ()
	}
	file, err := program.Identify(cmd.Path)
	if errors.Is(err, fs.ErrNotExist) { // a Starter may start it on another machine
		err = nil
	}
	return func() *ownership.Digests { return n.digestsOf(id, workDir, cmd, env, file) }, err
}

// digestsOf is digests, once the environment and the program's file are known. The zero file
// is none.
func (n *attempt) digestsOf(id uuid.UUID, workDir string, cmd resolved, env []string, file program.ID) *ownership.Digests {
	d := &digester{id: id, hash: sha256.New()}
	overlay := n.spec.Overlay
	if cmd.overlayPath != "" {
		overlay = cmd.overlayPath
	}
	args := cmd.Args
	if cmd.Arg0 != "" {
		args = concat([]string{cmd.Arg0}, args)
	}
	digests := &ownership.Digests{
		Command:     d.text("command", cmd.Path),
		Arguments:   d.list("arguments", args, overlay),
		Overlay:     d.text("overlay", n.spec.Overlay),
		Environment: d.list("environment", askedEnviron(env), overlay),
		Directory:   d.text("directory", workDir),
	}
	if file.Modified.IsZero() {
		return digests
	}
	digests.File = d.text("file", fmt.Sprintf("%d bytes, %s", file.Size, file.Modified.UTC().Format(time.RFC3339Nano)))
	if file.Build != "" {
		digests.Build = d.text("build", file.Build)
	}
	return digests
}

// A digester makes digests of what comes after the id of a launch. So they do not show
// that two launches have the same overlay, and nobody can look a secret up in a list
// that was made before. Who may read the record can still guess: its file is the
// user's alone, as is the environment of the process.
type digester struct {
	id    uuid.UUID
	hash  hash.Hash // no two lists that differ are written alike
	chunk [256]byte
}

// digestSize is how many bytes of a SHA-256 a digest has.
const digestSize = 16

// text returns the digest of s, which is what.
func (d *digester) text(what, s string) string {
	d.begin(what, 1)
	d.count(1)
	d.add(s)
	return d.end()
}

// list returns the digest of a list, which is what, without the text without. It
// tells the place of that, but not what it was.
func (d *digester) list(what string, list []string, without string) string {
	d.begin(what, len(list))
	for _, s := range list {
		switch {
		case s == without: // also of an overlay that is empty
			d.count(2)
			d.add("")
			d.add("")
			continue
		case without == "":
			d.count(1)
		default:
			d.count(1 + strings.Count(s, without))
			for before, after, found := strings.Cut(s, without); found; before, after, found = strings.Cut(s, without) {
				d.add(before)
				s = after
			}
		}
		d.add(s)
	}
	return d.end()
}

// begin begins the digest of what, a list of n texts.
func (d *digester) begin(what string, n int) {
	d.hash.Reset()
	d.hash.Write(d.id[:])
	d.add(what)
	d.count(n)
}

// end returns the digest.
func (d *digester) end() string {
	return base64.RawURLEncoding.EncodeToString(d.hash.Sum(d.chunk[:0])[:digestSize])
}

func (d *digester) count(n int) { d.hash.Write(binary.AppendUvarint(d.chunk[:0], uint64(n))) }

func (d *digester) add(s string) {
	d.count(len(s))
	for len(s) > 0 {
		n := copy(d.chunk[:], s)
		d.hash.Write(d.chunk[:n])
		s = s[n:]
	}
}
