package osproc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Cgroup is a cgroup of version 2 that is one process's and that of all that comes of
// it. A nil one has nobody in it.
type Cgroup struct {
	path string
	fd   int // for the fork; -1: none
}

// PlanCgroup returns the Cgroup called name below parent, which need not exist yet; ""
// is this program's own cgroup. Its error says why it cannot be had.
func PlanCgroup(parent, name string) (*Cgroup, error) {
	if parent == "" {
		var err error
		if parent, err = ownCgroup(); err != nil {
			return nil, err
		}
	}
	is, err := isCgroup2(parent)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the cgroup %q: %w", parent, err)
	case !is:
		return nil, fmt.Errorf("%q is not a directory of cgroup v2: %w", parent, errors.ErrUnsupported)
	}
	if err := unix.Access(parent, unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("this program cannot make a cgroup, which has to be delegated to it (systemd: Delegate=yes): %w", &fs.PathError{Op: "access", Path: parent, Err: err})
	}
	return &Cgroup{path: filepath.Join(parent, name), fd: -1}, nil
}

// FindCgroup returns the Cgroup at path, whose name ends in id. It returns nil if the
// cgroup has provably been removed, and so is empty. It also returns nil if path does not
// end in id: such a cgroup is not ours to end. The error wraps [errors.ErrUnsupported] if
// no cgroup v2 is mounted there, because then the members cannot be seen.
func FindCgroup(path, id string) (*Cgroup, error) {
	if id == "" || !filepath.IsAbs(path) || !strings.HasSuffix(path, id) {
		return nil, nil
	}
	for at := path; ; at = filepath.Dir(at) {
		is, err := isCgroup2(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != "/":
			continue
		case err != nil:
			return nil, fmt.Errorf("the cgroup %q: %w", path, err)
		case !is:
			return nil, fmt.Errorf("nobody can tell who is in the cgroup %q, for no cgroup v2 is mounted there: mount it: %w", path, errors.ErrUnsupported)
		case at != path:
			return nil, nil
		}
		return &Cgroup{path: path, fd: -1}, nil
	}
}

// Holds reports whether the process is in the cgroup at path, or in a cgroup below it. It
// only compares the last name in path, because the cgroup's path may be different here, or
// there may be none. A process that is gone is in no cgroup.
func Holds(path string, pid int) (bool, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if isGone(err) {
		return false, nil
	}
	return names(string(text), filepath.Base(path)), err
}

// names reports whether a cgroup called name is on the path of version 2 in groups, which
// is a file /proc/PID/cgroup.
func names(groups, name string) bool {
	return slices.Contains(strings.Split(unified(groups), "/"), name)
}

// unified returns the path of version 2 in groups; "": there is none.
func unified(groups string) string {
	for line := range strings.Lines(groups) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}

// isCgroup2 reports whether path is on a filesystem of cgroup v2.
func isCgroup2(path string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return false, os.NewSyscallError("statfs", err)
	}
	return s.Type == unix.CGROUP2_SUPER_MAGIC, nil
}

// ownCgroup returns the directory of this program's cgroup.
func ownCgroup() (string, error) {
	groups, table, err := readCgroups("self")
	if err != nil {
		return "", err
	}
	return cgroupIn(groups, table)
}

// readCgroups returns what the kernel says of the cgroups of a process, by its name in
// /proc, and of this program's mounts.
func readCgroups(process string) (groups, table string, err error) {
	g, err := readWhole("/proc/" + process + "/cgroup")
	if err != nil {
		return "", "", err
	}
	t, err := readWhole("/proc/self/mountinfo")
	return string(g), string(t), err
}

// cgroupIn is ownCgroup, by what the kernel says of the cgroups and of the mounts.
func cgroupIn(groups, table string) (string, error) {
	own := unified(groups)
	if own == "" {
		return "", fmt.Errorf("this program has no cgroup of version 2: %w", errors.ErrUnsupported)
	}
	if dir, ok := mountedAt(table, own, func(filesystem []string) bool { return filesystem[0] == "cgroup2" }); ok {
		return dir, nil
	}
	return "", fmt.Errorf("this program's cgroup %q is not mounted here as cgroup v2: %w", own, errors.ErrUnsupported)
}

// mountedAt returns the directory where own, a path in a hierarchy of cgroups, is mounted.
// table is a mountinfo file (proc_pid_mountinfo(5)). is reports whether the fields behind
// the separator of a line are those of that hierarchy; it gets at least one field.
func mountedAt(table, own string, is func(filesystem []string) bool) (dir string, ok bool) {
	for line := range strings.Lines(table) {
		head, tail, _ := strings.Cut(line, " - ")
		at, filesystem := strings.Fields(head), strings.Fields(tail)
		if len(at) < 5 || len(filesystem) == 0 || !is(filesystem) {
			continue
		}
		below, err := filepath.Rel(mountPath.Replace(at[3]), own)
		if err == nil && filepath.IsLocal(below) {
			return filepath.Join(mountPath.Replace(at[4]), below), true
		}
	}
	return "", false
}

// Path returns the path of the cgroup.
func (c *Cgroup) Path() string {
	if c == nil {
		return ""
	}
	return c.path
}

// Make makes the cgroup, and opens it for the fork; Close closes it. If Make fails it
// leaves nothing.
func (c *Cgroup) Make() error {
	if c == nil {
		return nil
	}
	if err := unix.Mkdir(c.path, 0o755); err != nil {
		return fmt.Errorf("this program cannot make a cgroup, which has to be delegated to it (systemd: Delegate=yes): %w", &fs.PathError{Op: "mkdir", Path: c.path, Err: err})
	}
	fd, err := unix.Open(c.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errors.Join(&fs.PathError{Op: "open", Path: c.path, Err: err}, c.Remove())
	}
	c.fd = fd
	return nil
}

// Close closes what Make has opened.
func (c *Cgroup) Close() {
	if c != nil && c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// join has the process that sys is for start in c.
func (c *Cgroup) join(sys *syscall.SysProcAttr) {
	if c != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, c.fd
	}
}

// explain says what err of a fork means for c; nil if c has nothing to do with it.
func (c *Cgroup) explain(err error, program string) error {
	if c == nil {
		return nil
	}
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("start in the cgroup %q: %w: it takes Linux 5.7, and clone3(2), which a filter may refuse", c.path, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("start in the cgroup %q: %w: the cgroup above it is threaded, or does not let it have processes", c.path, err)
	case (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) && unix.Access(program, unix.X_OK) == nil:
		return fmt.Errorf("start in the cgroup %q: %w: this program has to have the right to write to cgroup.procs of the cgroup that holds both", c.path, err)
	}
	return nil
}

// dirs returns its directory, and then those below it.
func (c *Cgroup) dirs() (dirs []string, err error) {
	err = filepath.WalkDir(c.path, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	return dirs, err
}

// Left returns the processes in it and in those below it, without this program. A zero
// Identity stands for those that cannot be seen from here.
func (c *Cgroup) Left() (left []Identity, err error) {
	if c == nil {
		return nil, nil
	}
	dirs, err := c.dirs()
	if err != nil {
		return nil, err
	}
	seen, hidden := false, false
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(word)
			seen = seen || pid > 0
			if pid <= 0 || pid == os.Getpid() {
				continue
			}
			switch id, err := Identify(pid); {
			case err == nil:
				left = append(left, id)
			case !errors.Is(err, ErrGone):
				hidden = true
			}
		}
	}
	if len(left) == 0 && !seen {
		populated, err := c.populated()
		if err != nil {
			return []Identity{{}}, err
		}
		hidden = populated // they are of another pid namespace
	}
	if hidden { // or of another user, by the option hidepid of proc(5)
		left = append(left, Identity{})
	}
	return left, nil
}

// IsEnding reports whether the process has ended, or is about to: a signal that ends it is
// on its way.
func IsEnding(id Identity) bool {
	st, err := ReadStat(id.PID)
	return err == nil && st.Ending || ProvesEnd(id.Check())
}

// populated reports whether anybody is in it.
func (c *Cgroup) populated() (bool, error) {
	text, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return strings.Contains(string(text), "populated 1"), err
}

// Kill sends SIGKILL to all that are in it, also to those that are being forked. It does
// not end this program, if that is in it.
func (c *Cgroup) Kill() error {
	if c == nil {
		return nil
	}
	inside, err := Holds(c.path, os.Getpid())
	if err != nil {
		return err
	}
	if inside {
		return c.killEach(false)
	}
	err = c.write("cgroup.kill")
	switch {
	case err == nil:
		return c.killHeadless()
	case errors.Is(err, unix.ENODEV): // it has been removed
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EOPNOTSUPP):
		// Linux is older than 5.14, or the cgroup is threaded, or it is gone.
		return c.killEach(true)
	}
	return err
}

// killHeadless sends SIGKILL to those whose first thread has ended while others go on. By
// cgroup.kill the kernel sends it to the first thread alone, which heeds no signal any more
// (__cgroup_kill in kernel/cgroup/cgroup.c, complete_signal in kernel/signal.c; so it is in
// Linux 6.18). Who ends because of cgroup.kill may look like that for a moment. So it is an error
// only later that the kernel refuses the signal to a process of another user.
func (c *Cgroup) killHeadless() error {
	left, err := c.Left()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	isOther := func(id Identity) bool {
		st, err := readStatOnce(id.PID)
		return err != nil || !st.isHeadless()
	}
	headless := slices.DeleteFunc(left, isOther)
	if err = SignalEach(headless, unix.SIGKILL); !errors.Is(err, unix.EPERM) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), unreadablePatience)
	defer cancel()
	if until(ctx, func() bool { headless = slices.DeleteFunc(headless, isOther); return len(headless) == 0 }) {
		return nil
	}
	return err
}

// write writes 1 to a file of it, and makes none.
func (c *Cgroup) write(name string) error { return c.set(name, "1") }

func (c *Cgroup) set(name, value string) error {
	f, err := os.OpenFile(filepath.Join(c.path, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// killEach is Kill by the processes' ids, as often as there are new ones. If freeze is
// true, it freezes them meanwhile: a frozen process starts no others, and SIGKILL ends it
// all the same. In the end killEach thaws them, so that no process stays frozen that
// SIGKILL does not end.
func (c *Cgroup) killEach(freeze bool) (err error) {
	if freeze && c.write("cgroup.freeze") == nil { // without it we are quick, or look again
		defer func() {
			if e := c.set("cgroup.freeze", "0"); err == nil && !errors.Is(e, fs.ErrNotExist) && !errors.Is(e, unix.ENODEV) {
				err = e
			}
		}()
	}
	sent := make(map[Identity]bool)
	for range 100 {
		left, err := c.Left()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		fresh := slices.DeleteFunc(left, func(id Identity) bool { return id.PID == 0 || sent[id] })
		if len(fresh) == 0 {
			return nil
		}
		for _, id := range fresh {
			sent[id] = true
		}
		if err := SignalEach(fresh, unix.SIGKILL); err != nil {
			return err
		}
	}
	return nil // they are faster than we are; the caller looks again
}

// Emptied returns a channel that is closed once nobody is in it, or ctx is done.
func (c *Cgroup) Emptied(ctx context.Context) <-chan struct{} {
	if c == nil {
		return nil
	}
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		c.awaitEmpty(ctx)
	}()
	return emptied
}

// awaitEmpty waits, by the kernel's events, until nobody is in it or ctx is done.
func (c *Cgroup) awaitEmpty(ctx context.Context) {
	fd, err := unix.Open(filepath.Join(c.path, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	events := pollable(fd)
	if events == nil {
		<-ctx.Done() // the caller looks by itself
		return
	}
	defer events.Close()
	defer context.AfterFunc(ctx, func() { events.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := events.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 256)
	_ = raw.Read(func(fd uintptr) bool {
		n, err := unix.Pread(int(fd), buf, 0)
		return err != nil || !strings.Contains(string(buf[:n]), "populated 1")
	})
}

// removePatience is how long Remove waits for processes that have ended. The kernel may say
// so a moment before it takes them out of their cgroup.
const removePatience = 250 * time.Millisecond

// Remove removes the cgroup, and those below it. The error wraps EBUSY if a process is in
// it. If there is no such cgroup Remove returns nil.
func (c *Cgroup) Remove() (err error) {
	if c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	until(ctx, func() bool {
		if err = c.removeNow(); !errors.Is(err, unix.EBUSY) {
			return true
		}
		left, leftErr := c.Left()
		return leftErr != nil || slices.ContainsFunc(left, func(id Identity) bool { return id.PID != 0 })
	})
	return err
}

// removeNow removes it with those below it, unless a process is in one of them: then those below
// it belong to that.
func (c *Cgroup) removeNow() error {
	if populated, err := c.populated(); populated && err == nil {
		return &fs.PathError{Op: "rmdir", Path: c.path, Err: unix.EBUSY}
	}
	dirs, err := c.dirs()
	for _, dir := range slices.Backward(dirs) {
		if e := unix.Rmdir(dir); e != nil && e != unix.ENOENT {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: e}
		}
	}
	return err
}

// Notes says what of it may explain what its processes do, or that they do nothing: that
// it is frozen, or that the kernel has ended some for want of memory.
func (c *Cgroup) Notes() (notes []string) {
	if c == nil {
		return nil
	}
	if note := c.frozenNote(); note != "" {
		notes = append(notes, note)
	}
	if n := c.value("memory.events", "oom_kill"); n > 0 {
		notes = append(notes, fmt.Sprintf("the kernel has ended %d of its processes for want of memory (oom_kill in memory.events of its cgroup %q)", n, c.path))
	}
	return notes
}

// frozenNote says that it is frozen, or about to be, and by what; "" if neither. The kernel
// calls a cgroup frozen when all its processes are (cgroups(7), cgroup.events). A process
// that waits for a disk, or for a processor, holds that up.
func (c *Cgroup) frozenNote() string {
	own, _ := os.ReadFile(filepath.Join(c.path, "cgroup.freeze"))
	byItself, frozen := strings.TrimSpace(string(own)) == "1", c.value("cgroup.events", "frozen") != 0
	var how string
	switch {
	case frozen && byItself:
		how = "frozen, by its own cgroup.freeze"
	case frozen:
		how = "frozen, by a cgroup above it"
	case byItself:
		how = "being frozen, by its own cgroup.freeze"
	default:
		return ""
	}
	return fmt.Sprintf("its cgroup %q is %s", c.path, how)
}

// value returns the number that a file of it has for key; 0 where there is none, as
// where memory is not accounted for.
func (c *Cgroup) value(file, key string) int {
	text, _ := os.ReadFile(filepath.Join(c.path, file))
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, key+" "); ok {
			value, _ := strconv.Atoi(strings.TrimSpace(n))
			return value
		}
	}
	return 0
}
