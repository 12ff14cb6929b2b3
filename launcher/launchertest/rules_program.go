package launchertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func argsArrive(s *starting) error {
	args := slices.DeleteFunc(strange(), func(arg string) bool { return strings.Contains(arg, "\n") })
	return s.says(strings.Join(args, "\n")+"\n", `printf '%s\n' "$@"`, func(req *launcher.StartRequest) {
		req.Command.Args = append(append(req.Command.Args, "sh"), args...)
	})
}

func envArrives(s *starting) error {
	return s.says("last, a b", `echo "$LAUNCHERTEST, $OTHER" | tr -d '\n'`, func(req *launcher.StartRequest) {
		req.Command.Env = append(os.Environ(), "LAUNCHERTEST=first", "OTHER=a b", "LAUNCHERTEST=last")
	})
}

func envAlone(s *starting) error {
	said, _, err := s.run("command -p env", func(req *launcher.StartRequest) { req.Command.Env = []string{"ONLY=this"} })
	if err != nil {
		return err
	}
	for e := range strings.Lines(said) {
		name, _, _ := strings.Cut(e, "=")
		// A shell sets these itself.
		if !slices.Contains([]string{"ONLY", "PWD", "OLDPWD", "SHLVL", "_", "PATH", "LC_CTYPE"}, name) {
			return fmt.Errorf("the environment is ONLY=this, and the program got %q", said)
		}
	}
	if !strings.Contains(said, "ONLY=this\n") {
		return fmt.Errorf("the environment is ONLY=this, and the program got %q", said)
	}
	return nil
}

func envInherited(s *starting) error {
	const name = "LAUNCHERTEST_INHERITED"
	caller.Lock()
	defer caller.Unlock()
	defer setenv(name, "yes")()
	return s.says("yes\n", "echo $"+name, func(req *launcher.StartRequest) { req.Command.Env = nil })
}

func workDir(s *starting) error {
	dir := filepath.Join(s.dir, "a working directory")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	want, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return s.says(want+"\n", "pwd -P", func(req *launcher.StartRequest) { req.WorkDir = dir })
}

func stdinIsNull(s *starting) error {
	return s.says("nothing\n", "[ -e /dev/fd/0 ] || echo closed; if read line; then echo $line; else echo nothing; fi", nil)
}

func stdinArrives(s *starting) error {
	f, err := os.CreateTemp(s.dir, "stdin")
	if err != nil {
		return err
	}
	s.files = append(s.files, f)
	if _, err := f.WriteString("from stdin\n"); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	said, _, err := s.run("read line; echo $line", func(req *launcher.StartRequest) { req.Stdin = f })
	if err != nil {
		return conformance.Inapplicable(fmt.Sprintf("the Starter refuses it: %v", err))
	}
	if said != "from stdin\n" {
		return fmt.Errorf("the line on stdin is %q, and the program read %q", "from stdin", said)
	}
	return stillOpen(launcher.StartRequest{Stdin: f})
}

func output(s *starting) error {
	errs, theirs, err := s.pipe()
	if err != nil {
		return err
	}
	if err := s.says("to stdout\n", "echo to stdout; echo to stderr >&2", func(req *launcher.StartRequest) {
		req.Stderr = theirs
	}); err != nil {
		return err
	}
	theirs.Close()
	if got, err := line(errs); got != "to stderr" {
		return fmt.Errorf("on stderr it said %q: %v", got, err)
	}
	return nil
}

func outputNil(s *starting) error {
	r, err := s.start("echo one && echo two >&2 && exit 4", nil)
	if err != nil {
		return err
	}
	exit, err := r.wait()
	if err == nil && exit.Code != 4 {
		err = fmt.Errorf("writing to a Stdout and a Stderr that are nil failed (%v)", exit)
	}
	return err
}

func filesArrive(s *starting) error {
	var lines [2]*os.File
	for i := range lines {
		f, err := os.CreateTemp(s.dir, "line")
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		fmt.Fprintf(f, "line %d\n", i)
		if _, err := f.Seek(0, 0); err != nil {
			return err
		}
		lines[i] = f
	}
	return s.says("line 0, line 1, closed\n",
		"read a <&3; read b <&5; if [ -e /dev/fd/4 ]; then c=open; else c=closed; fi; echo $a, $b, $c",
		func(req *launcher.StartRequest) { req.Files = []*os.File{lines[0], nil, lines[1]} })
}

func filesOnly(s *starting) error {
	r, _, err := s.pipe()
	if err != nil {
		return err
	}
	fd, closeIt, err := inheritable(r)
	if errors.Is(err, errors.ErrUnsupported) {
		return conformance.Inapplicable("this system does not let a program inherit descriptors by their numbers")
	}
	if err != nil {
		return err
	}
	defer closeIt()
	return s.says("closed\n", fmt.Sprintf("if [ -e /dev/fd/%d ]; then echo open; else echo closed; fi", fd), nil)
}

func pid(s *starting) error {
	out, in, err := s.pipe()
	if err != nil {
		return err
	}
	r, err := s.start("echo $$", func(req *launcher.StartRequest) { req.Stdout = in })
	if err != nil {
		return err
	}
	in.Close()
	got, err := line(out)
	if err != nil {
		return fmt.Errorf("the script said %q: %w", got, err)
	}
	if r.PID() != 0 && got != fmt.Sprint(r.PID()) {
		return fmt.Errorf("PID is %d, and the process is %s", r.PID(), got)
	}
	return nil
}

func pidEnv(s *starting) error {
	ask := func(req *launcher.StartRequest) { req.PIDEnv = []string{"LAUNCHERTEST_PID"} }
	said, _, err := s.run("echo $LAUNCHERTEST_PID $$", ask)
	if err != nil {
		return conformance.Inapplicable(fmt.Sprintf("the Starter refuses it: %v", err))
	}
	if got := strings.Fields(said); len(got) != 2 || got[0] != got[1] {
		return fmt.Errorf("the variable's value and the process's id are %q", got)
	}
	return nil
}

func ownSession(s *starting, r *running) error {
	if r.PID() == 0 {
		return conformance.Inapplicable("the process has no id on this machine")
	}
	session, group, err := sessionAndGroup(r.PID())
	if err != nil {
		return err
	}
	if session != r.PID() || group != r.PID() {
		return fmt.Errorf("process %d is of session %d and group %d", r.PID(), session, group)
	}
	return nil
}

func startsAtOnce(s *starting) error {
	return conformance.AtOnce("it", often(), func(i int) error {
		own := &starting{StarterCase: s.StarterCase, dir: s.dir}
		defer own.close()
		return own.says(fmt.Sprintf("number %d\n", i), "echo number $1", func(req *launcher.StartRequest) {
			req.Command.Args = append(req.Command.Args, "sh", fmt.Sprint(i))
		})
	})
}

// missing changes a request to one for a program that is not there.
func (s *starting) missing(req *launcher.StartRequest) {
	req.Command.Path = filepath.Join(s.dir, "no-such-program")
}

func fails(s *starting) error {
	p, err := s.Starter.Start(context.Background(), s.request("", s.missing))
	if err == nil {
		return fmt.Errorf("the program is not there, and Start returned the process %v and no error", p)
	}
	if p != nil {
		return fmt.Errorf("Start returned a process and an error: %w", err)
	}
	return nil
}

func failsClean(s *starting) error {
	req := s.request("", s.missing)
	if err := s.someFiles(&req); err != nil {
		return err
	}
	err := leavesNoDescriptor(func() error {
		if p, err := s.Starter.Start(context.Background(), req); err == nil {
			return fmt.Errorf("the program is not there, and Start returned the process %v and no error", p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return stillOpen(req)
}
