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

func path(o *opened) error {
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
	if err := errors.Join(o.end(), o.close()); err != nil {
		return err
	}
	var data []byte
	var err error
	if conformance.Eventually(conformance.Soon, func() bool {
		data, err = os.ReadFile(name)
		return err == nil && strings.Contains(string(data), text)
	}) {
		return nil
	}
	return fmt.Errorf("Log.Path is %q; after %q was written it holds %.64q, %v", name, text, data, err)
}
