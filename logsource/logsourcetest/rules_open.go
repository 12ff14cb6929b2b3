package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func opens(o *opened) error {
	if err := o.write("hello\n"); err != nil {
		return err
	}
	f, _, err := o.follower()
	if err != nil {
		return err
	}
	return f.expect("hello\n")
}

// offset lets no reader wait, so that it takes no time to find out.
func offset(o *opened) error {
	const text = "for all"
	if err := o.write(text); err != nil {
		return err
	}
	var all [3]*follower
	for i := range all {
		f, err := o.follow(conformance.Stopped())
		if err != nil {
			return conformance.Inapplicable(fmt.Sprintf("with a context that is done there is no reader: %v", err))
		}
		all[i] = f
	}
	if err := all[0].expect(text); err != nil {
		return conformance.Inapplicable(fmt.Sprintf("with a context that is done not even one reader gets what was written: %v", err))
	}
	for _, f := range all[1:] {
		if err := f.expect(text); err != nil {
			return fmt.Errorf("of several readers one has read everything, then another one: %w", err)
		}
	}
	return nil
}

func openContext(s *subject) error {
	launch, err := s.launch("web", "web")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	o, err := s.openLaunch(ctx, launch)
	if err != nil {
		return err
	}
	if err := o.write("before\n"); err != nil {
		return err
	}
	early, _, err := o.follower()
	if err != nil {
		return err
	}
	if err := early.expect("before\n"); err != nil {
		return err
	}
	cancel()
	err = early.waitsFor("after\n")
	if err == nil {
		err = o.holds("before\nafter\n")
	}
	if err != nil {
		return fmt.Errorf("after the end of Open's context: %w", err)
	}
	return nil
}

func openCancelled(s *subject) error {
	err := s.openDone()
	if err != nil && !errors.Is(err, conformance.ErrStopped) {
		return fmt.Errorf("Open with a context that is done returned %v, which does not wrap its cause (%v)", err, conformance.ErrStopped)
	}
	return nil
}

// openDone returns the error of Open with a context that is done.
func (s *subject) openDone() error {
	launch, err := s.launch("web", "web")
	if err != nil {
		return err
	}
	o, err := s.openLaunch(conformance.Stopped(), launch)
	if err == nil {
		err = errors.Join(o.end(), o.close())
	}
	return err
}

func openFailsClean(s *subject) error {
	gone, err := s.launch("gone", "web")
	if err != nil {
		return err
	}
	if err := os.Remove(gone.Dir); err != nil {
		return err
	}
	fails := 0
	for what, open := range map[string]func() error{
		"whose context is done": s.openDone,
		"in a directory that does not exist": func() error {
			o, err := s.openLaunch(s.ctx, gone)
			if err == nil {
				err = errors.Join(o.end(), o.close())
			}
			return err
		},
	} {
		if open() == nil {
			continue
		}
		fails++
		if err := conformance.Leaves(conformance.Soon, conformance.Often(), func() error { open(); return nil }); err != nil {
			return fmt.Errorf("Open %s fails, and %w", what, err)
		}
	}
	if fails == 0 {
		return conformance.Inapplicable("Open does not fail, neither with a context that is done nor with a Dir that does not exist")
	}
	return nil
}

func openConcurrent(s *subject) error {
	const n = 16
	err := conformance.AtOnce(blamed, n, func(i int) error {
		name := fmt.Sprintf("web%d", i)
		o, err := s.open(name)
		if err == nil {
			err = o.write(name)
		}
		if err == nil {
			err = o.holds(name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("one of %d launches at once: %w", n, err)
	}
	return nil
}

func fresh(s *subject) error {
	earlier, err := s.open("web")
	if err != nil {
		return err
	}
	if err := earlier.write("of the launch before\n"); err != nil {
		return err
	}
	o, err := s.open("web")
	if err != nil {
		return err
	}
	if err := earlier.write("still of the launch before\n"); err != nil {
		return err
	}
	if err := o.write("of this launch\n"); err != nil {
		return err
	}
	return o.holds("of this launch\n")
}

func apart(s *subject) error {
	var logs []*opened
	for _, dir := range []string{"here", "there"} {
		launch, err := s.launch(dir, "web")
		if err != nil {
			return err
		}
		o, err := s.openLaunch(s.ctx, launch)
		if err != nil {
			return err
		}
		logs = append(logs, o)
	}
	for i, o := range logs {
		if err := o.write(fmt.Sprintf("of launch %d\n", i)); err != nil {
			return err
		}
	}
	for i, o := range logs {
		if err := o.holds(fmt.Sprintf("of launch %d\n", i)); err != nil {
			return fmt.Errorf("two pods of one name in two directories: %w", err)
		}
	}
	return nil
}

func closeReaders(o *opened) error {
	if o.log.Close == nil {
		return conformance.Inapplicable("Log.Close is nil")
	}
	if err := o.write("before, and after"); err != nil {
		return err
	}
	f, _, err := o.follower()
	if err != nil {
		return err
	}
	if err := f.expect("before,"); err != nil {
		return err
	}
	o.close() // another rule minds its error
	if err := f.expect(" and after"); err != nil {
		return fmt.Errorf("after Log.Close, by a reader made before it: %w", err)
	}
	return nil
}

func closeSink(o *opened) error {
	if o.log.Close == nil {
		return conformance.Inapplicable("Log.Close is nil")
	}
	o.close() // another rule minds its error
	if err := o.write("after"); err != nil {
		return fmt.Errorf("after Log.Close: %w", err)
	}
	return nil
}

func closeFrees(s *subject) error {
	return conformance.Leaves(conformance.Soon, conformance.Often(), func() error {
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		o, err := s.open("web")
		if err != nil {
			return err
		}
		if err := o.write("x"); err != nil {
			return err
		}
		f, err := o.follow(ctx)
		if err != nil {
			return err
		}
		if err := f.expect("x"); err != nil {
			return err
		}
		if err := o.end(); err != nil {
			return fmt.Errorf("closing the Sink: %w", err)
		}
		if err := o.close(); err != nil {
			return fmt.Errorf("Log.Close: %w", err)
		}
		return f.close()
	})
}

func path(s *subject) error {
	bare, err := s.open("web")
	if err != nil {
		return err
	}
	if err := isFound(bare); err != nil {
		return err
	}
	rooted, _, err := s.openRooted("rooted", func(string) error { return nil })
	if err != nil {
		return err
	}
	if err := isFound(rooted); err != nil {
		return fmt.Errorf("with Launch.Root: %w", err)
	}
	return nil
}

// isFound makes sure that a person finds the log later.
func isFound(o *opened) error {
	name := o.log.Path
	if name == "" {
		return nil // nowhere
	}
	if !filepath.IsAbs(name) {
		return fmt.Errorf("Log.Path is %q, which is not absolute", name)
	}
	const text = "to be found later\n"
	if err := o.write(text); err != nil {
		return err
	}
	if fi, err := os.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("Log.Path is %q, which is no regular file (mode %v)", name, fi.Mode())
	}
	sink, err := o.regularSink()
	if err != nil {
		return err
	}
	if err := errors.Join(o.end(), o.close()); err != nil {
		return err
	}
	var data []byte
	var other bool
	if conformance.Eventually(conformance.Soon, func() bool {
		if data, err = os.ReadFile(name); err != nil {
			return false
		}
		there, statErr := os.Stat(name)
		other = sink != nil && statErr == nil && !os.SameFile(sink, there)
		return strings.Contains(string(data), text) && statErr == nil && !other
	}) {
		return nil
	}
	if other {
		return fmt.Errorf("Log.Path is %q, and Log.Sink is another file", name)
	}
	return fmt.Errorf("Log.Path is %q; after %q was written it holds %.64q, %v", name, text, data, err)
}

// regularSink returns what the Sink is, if that is a regular file; else nil.
func (o *opened) regularSink() (os.FileInfo, error) {
	if o.log.Sink == nil {
		return nil, nil
	}
	fi, err := o.log.Sink.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return nil, err
	}
	return fi, nil
}

// openRooted opens the log of a launch that has a Root, which is good until then. Before
// that, change may change the directory.
func (s *subject) openRooted(name string, change func(dir string) error) (o *opened, dir string, err error) {
	launch, err := s.launch(name, name)
	if err != nil {
		return nil, "", err
	}
	if launch.Root, err = os.OpenRoot(launch.Dir); err != nil {
		return nil, "", err
	}
	defer launch.Root.Close()
	if err := change(launch.Dir); err != nil {
		return nil, "", err
	}
	if o, err = s.openLaunch(s.ctx, launch); err == nil {
		_, o.rootErr = launch.Root.Stat(".")
	}
	return o, launch.Dir, err
}

func root(s *subject) error {
	o, _, err := s.openRooted("web", func(string) error { return nil })
	if err != nil {
		return fmt.Errorf("with Launch.Root: %w", err)
	}
	if o.rootErr != nil {
		return fmt.Errorf("Launch.Root belongs to the caller of Open, who cannot use it any more: %w", o.rootErr)
	}
	err = o.write("later\n")
	if err == nil {
		err = o.holds("later\n")
	}
	if err != nil {
		return fmt.Errorf("Open has returned, and Launch.Root was closed: %w", err)
	}

	o, dir, err := s.openRooted("replaced", func(dir string) error {
		if err := os.Rename(dir, dir+".moved"); err != nil {
			return conformance.Inapplicable(fmt.Sprintf("this system does not let anybody move a directory that is open: %v", err))
		}
		return os.Mkdir(dir, 0o700)
	})
	if errors.As(err, new(conformance.Inapplicable)) {
		return err
	}
	if err == nil {
		o.write("x") // where it arrives is the question
	}
	wrong, readErr := os.ReadDir(dir)
	if readErr != nil {
		return readErr
	}
	if len(wrong) > 0 {
		return fmt.Errorf("Launch.Root was open when another directory took the place of Launch.Dir, and Open has made %q in that", wrong[0].Name())
	}
	return nil
}
