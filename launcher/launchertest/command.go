package launchertest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A CommandCase is a CommandResolver to be tested, and what it resolves.
type CommandCase struct {
	// Resolver is what is tested. It has to find its program. Required.
	Resolver launcher.CommandResolver

	// Spec is a Spec that Resolver resolves; the kit changes Args, Env, Overlay and
	// Session. The zero Spec stands for a Spec that has only a name.
	Spec launcher.Spec

	// Missing is such a resolver whose program does not exist. Nil: that cannot
	// happen, and the rules about it do not apply.
	Missing launcher.CommandResolver
}

// TestCommandResolver tests a CommandResolver. Each rule of the contract is a
// subtest with the rule's name, and calls newCase once, with its own t. A rule
// that does not apply is skipped, and says why. If the first rule fails, that there is a
// command, TestCommandResolver does not try the others.
func TestCommandResolver(t *testing.T, newCase func(t *testing.T) CommandCase) {
	t.Helper()
	commandKit.Test(t, checkCommand(newCase))
}

// CommandRules yields the name of each rule for a CommandResolver, and what it
// says.
func CommandRules() iter.Seq2[string, string] { return commandKit.Says() }

func checkCommand(newCase func(t *testing.T) CommandCase) conformance.Check[*resolving] {
	return func(t *testing.T, r conformance.Rule[*resolving]) error {
		s := &resolving{CommandCase: newCase(t), dir: t.TempDir()}
		if s.Resolver == nil {
			return errors.New("the Case is not complete: Resolver is required")
		}
		if s.Spec.Name == "" {
			s.Spec.Name = "pod"
		}
		return new(conformance.Calls).Guard("it", func() error { return r.Run(s) })
	}
}

// A resolving is the subject of a rule.
type resolving struct {
	CommandCase
	dir string
}

// commandKit is the contract of launcher.CommandResolver.
var commandKit = conformance.Kit[*resolving]{Rules: []conformance.Rule[*resolving]{
	{Name: "resolves", Says: "ResolveCommand returns the command of a pod whose program is there.", Run: resolves},
	{Name: "absolute", Says: "Command.Path is absolute.", Run: absolute},
	{Name: "argv0", Says: "Command.Args are the arguments alone, without argv[0].", Run: argv0},
	{Name: "args", Says: "Spec.Args come last, in order, and as they are.", Run: argsLast},
	{Name: "env", Says: "The variables of Spec.Env are in Command.Env, each with its whole value, and of several values the last.", Run: envGiven},
	{Name: "env-alone", Says: "With a Spec.Env the pod gets none of the caller's variables but those of the resolver.", Run: envNotCallers},
	{Name: "env-nil", Says: "Without Spec.Env the pod gets the caller's variables: Command.Env is nil, or holds them as they are when it is called.", Run: envNil},
	{Name: "env-empty", Says: "A Spec.Env that is empty, and not nil, leaves the pod without variables, except those of the resolver.", Run: envEmpty},
	{Name: "overlay", Says: "Spec.Overlay is passed to the program, or refused with ErrInvalidSpec; it is not dropped.", Run: overlayPassed},
	{Name: "overlay-path", Says: "Request.OverlayPath is in an argument or a variable, or refused with ErrInvalidSpec; it is not dropped.", Run: overlayPathPassed},
	{Name: "session", Says: "Spec.Session is passed to the program, or refused with ErrInvalidSpec; it is not dropped.", Run: sessionPassed},
	{Name: "request", Says: "ResolveCommand does not change the Request, nor what is behind its slices.", Run: requestKept},
	{Name: "own", Says: "The Command's Args and Env are the caller's: what happens to them does not change the Request, or what comes next.", Run: ownResult},
	{Name: "again", Says: "The same Request gives the same command.", Run: sameAgain},
	{Name: "next", Says: "The command of a Request holds nothing of a Request before it.", Run: nothingOfBefore},
	{Name: "concurrent", Says: "ResolveCommand may be called from any number of goroutines.", Run: concurrently},
	{Name: "done", Says: "With a ctx that is done ResolveCommand returns promptly: the command, or an error that wraps the cause.", Run: ctxDone},
	{Name: "creates-nothing", Says: "ResolveCommand starts and creates nothing: no process, no file, not even the runtime directory.", Run: createsNothing},
	{Name: "leaves-nothing", Says: "ResolveCommand leaves no descriptor and no goroutine behind, also when it fails.", Run: leavesNothing},
	{Name: "not-found", Says: "A program that is not there is an error that wraps exec.ErrNotFound.", Run: notFound},
	{Name: "not-found-where", Says: "The error of a program that is not there says where it was looked for, in one line.", Run: notFoundWhere},
	{Name: "secrets", Says: "No error holds the overlay, an argument or a variable: they may be secret.", Run: keepsSecrets},
}}

// request is the Case's Request, after change. Its lists are its own, for what is
// tested may write to them.
func (s *resolving) request(change func(spec *launcher.Spec)) launcher.Request {
	spec := s.Spec
	spec.Args, spec.Env = slices.Clone(spec.Args), slices.Clone(spec.Env)
	if change != nil {
		change(&spec)
	}
	return launcher.Request{Spec: spec, RuntimeDir: filepath.Join(s.dir, "pod")}
}

// resolve resolves that request, which has to go well.
func (s *resolving) resolve(change func(spec *launcher.Spec)) (launcher.Command, error) {
	return s.resolveRequest(s.request(change))
}

func (s *resolving) resolveRequest(req launcher.Request) (launcher.Command, error) {
	cmd, err := s.Resolver.ResolveCommand(context.Background(), req)
	if err != nil {
		return cmd, fmt.Errorf("ResolveCommand fails: %w", err)
	}
	return cmd, nil
}

func resolves(s *resolving) error {
	cmd, err := s.resolve(nil)
	if err == nil && cmd.Path == "" {
		err = errors.New("the command has no Path")
	}
	return err
}

func absolute(s *resolving) error {
	cmd, err := s.resolve(nil)
	if err == nil && !filepath.IsAbs(cmd.Path) {
		err = fmt.Errorf("the path is %q", cmd.Path)
	}
	return err
}

func argv0(s *resolving) error {
	cmd, err := s.resolve(nil)
	if err == nil && len(cmd.Args) > 0 && (cmd.Args[0] == cmd.Path || cmd.Args[0] == filepath.Base(cmd.Path)) {
		err = fmt.Errorf("the first of the arguments %q is the program, %s", cmd.Args, cmd.Path)
	}
	return err
}

// strange returns arguments that suffer where somebody quotes, splits, expands or
// leaves out what is empty.
func strange() []string {
	return []string{"", "two words", `"quoted"`, "$HOME", "{name}", "{dir}", "*", "", "-", "--", "twice", "twice", " spaces ", "line\nbreak", "ü", "\xff", ""}
}

// argsLast gives the Case an overlay, if it takes one: with an empty one as its own
// argument the resolver would seem to have passed an empty argument of Spec.Args.
func argsLast(s *resolving) error {
	given := strange()
	cmd, err := s.resolveMost(func(spec *launcher.Spec) { spec.Args = strange() })
	if err == nil && (len(cmd.Args) < len(given) || !slices.Equal(cmd.Args[len(cmd.Args)-len(given):], given)) {
		err = fmt.Errorf("Spec.Args are %q, and the command's arguments are %q", given, cmd.Args)
	}
	return err
}

// resolveMost resolves the request with an overlay and a session, each unless that is
// refused.
func (s *resolving) resolveMost(change func(spec *launcher.Spec)) (launcher.Command, error) {
	id := uuid.New()
	var cmd launcher.Command
	var err error
	for _, most := range []struct {
		overlay string
		session uuid.UUID
	}{{secret, id}, {secret, uuid.Nil}, {"", id}, {"", uuid.Nil}} {
		cmd, err = s.resolve(func(spec *launcher.Spec) {
			change(spec)
			spec.Overlay, spec.Session = most.overlay, most.session
		})
		if !errors.Is(err, launcher.ErrInvalidSpec) {
			break
		}
	}
	return cmd, err
}

func envGiven(s *resolving) error {
	given := []string{"LAUNCHERTEST=a b", "LAUNCHERTEST=c d", "LAUNCHERTEST_EMPTY=", "LAUNCHERTEST_URL=a=b=c"}
	cmd, err := s.resolve(func(spec *launcher.Spec) { spec.Env = slices.Clone(given) })
	if err != nil {
		return err
	}
	for _, e := range given[1:] {
		name, _, _ := strings.Cut(e, "=")
		last := ""
		for _, has := range cmd.Env {
			if strings.HasPrefix(has, name+"=") {
				last = has
			}
		}
		if last != e {
			return fmt.Errorf("Spec.Env is %q, and in Command.Env the variable %s is %q: %q", given, name, last, cmd.Env)
		}
	}
	return nil
}

// caller guards the environment of this process, which a rule may change while
// another looks at it.
var caller sync.RWMutex

func envNotCallers(s *resolving) error {
	name := conformance.CallerVariable
	caller.Lock()
	defer caller.Unlock()
	defer setenv(name, "yes")()
	for _, given := range [][]string{{"ONLY=this"}, {}} {
		cmd, err := s.resolve(func(spec *launcher.Spec) { spec.Env = slices.Clone(given) })
		if err != nil {
			return err
		}
		if slices.Contains(cmd.Env, name+"=yes") {
			return fmt.Errorf("Spec.Env is %q, and Command.Env holds a variable that only the caller has, %s", given, name)
		}
	}
	return nil
}

// setenv sets a variable of this process; the function sets it back.
func setenv(name, value string) (back func()) {
	was, set := os.LookupEnv(name)
	os.Setenv(name, value)
	return func() {
		if os.Unsetenv(name); set {
			os.Setenv(name, was)
		}
	}
}

func envNil(s *resolving) error {
	caller.Lock()
	defer caller.Unlock()
	for _, value := range []string{"before", "after"} {
		if err := s.passesCaller(value); err != nil {
			return err
		}
	}
	return nil
}

// passesCaller makes sure that the caller's variables are in the command, with the rule's
// own, which has this value.
func (s *resolving) passesCaller(value string) error {
	defer setenv(conformance.CallerVariable, value)()
	cmd, err := s.resolve(func(spec *launcher.Spec) { spec.Env = nil })
	if err != nil || cmd.Env == nil {
		return err
	}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(cmd.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			return fmt.Errorf("the caller's variable %s is not in Command.Env, and Spec.Env is nil", name)
		}
	}
	if own := conformance.CallerVariable + "=" + value; !slices.Contains(cmd.Env, own) {
		return fmt.Errorf("the caller has %s now, which is not in Command.Env, and Spec.Env is nil", own)
	}
	return nil
}

func envEmpty(s *resolving) error {
	cmd, err := s.resolve(func(spec *launcher.Spec) { spec.Env = []string{} })
	if err == nil && cmd.Env == nil {
		err = errors.New("Spec.Env is empty and not nil, and Command.Env is nil: that is the caller's")
	}
	return err
}

// secret is what no error may hold.
const secret = "key = \"launchertest-secret\""

func overlayPassed(s *resolving) error {
	return s.passed("overlay", holds(secret), func(req *launcher.Request) { req.Spec.Overlay = secret })
}

func sessionPassed(s *resolving) error {
	id := uuid.New()
	digits := hex.EncodeToString(id[:])
	hasDigits := func(arg string) bool {
		return strings.Contains(strings.ToLower(strings.ReplaceAll(arg, "-", "")), digits)
	}
	return s.passed("session", hasDigits, func(req *launcher.Request) { req.Spec.Session = id })
}

func overlayPathPassed(s *resolving) error {
	path := filepath.Join(s.dir, "overlay.toml")
	return s.passed("path of the overlay", holds(path), func(req *launcher.Request) {
		req.Spec.Overlay, req.OverlayPath = "", path
	})
}

// holds returns a function that finds text in an argument or a variable.
func holds(text string) func(arg string) bool {
	return func(arg string) bool { return strings.Contains(arg, text) }
}

// passed makes sure that what set sets, and is finds, arrives in the command or is refused.
func (s *resolving) passed(what string, is func(arg string) bool, set func(*launcher.Request)) error {
	req := s.request(nil)
	set(&req)
	cmd, err := s.resolveRequest(req)
	if err != nil && !errors.Is(err, launcher.ErrInvalidSpec) {
		return err
	}
	if err == nil && !slices.ContainsFunc(cmd.Args, is) && !slices.ContainsFunc(cmd.Env, is) {
		return fmt.Errorf("the %s is neither in the arguments %q nor in Command.Env", what, cmd.Args)
	}
	return nil
}

// roomy returns a list that has room behind its end, with something in it.
func roomy(list ...string) []string {
	all := append(slices.Clone(list), "behind the end", "behind the end")
	return all[:len(list)]
}

func requestKept(s *resolving) error {
	req := s.request(func(spec *launcher.Spec) {
		spec.Args, spec.Env = roomy(append(strange(), "b", "a")...), roomy("Z=1", "EMPTY=", "HERE=$HOME", "A=2")
	})
	before := copied(req.Spec)
	if _, err := s.resolveRequest(req); err != nil {
		return err
	}
	if after := copied(req.Spec); !slices.Equal(before, after) {
		return fmt.Errorf("the lists of the Request were %q, and are %q", before, after)
	}
	return nil
}

// copied returns Args and Env, with what is behind their ends.
func copied(spec launcher.Spec) []string {
	return slices.Concat(spec.Args[:cap(spec.Args)], spec.Env[:cap(spec.Env)])
}

func ownResult(s *resolving) error {
	args, env := []string{"a", "b"}, []string{"A=1", "B=2"}
	req := s.request(func(spec *launcher.Spec) {
		spec.Args, spec.Env = slices.Clip(slices.Clone(args)), slices.Clip(slices.Clone(env))
	})
	first, err := s.resolveRequest(req)
	if err != nil {
		return err
	}
	wantArgs, wantEnv := slices.Clone(first.Args), slices.Clone(first.Env)
	for _, list := range [][]string{first.Args, first.Env} {
		for i := range list {
			list[i] = "changed"
		}
	}

	if !slices.Equal(req.Spec.Args, args) || !slices.Equal(req.Spec.Env, env) {
		return fmt.Errorf("the command's lists were changed, and with them those of the Request: %q, %q", req.Spec.Args, req.Spec.Env)
	}
	second, err := s.resolveRequest(req)
	if err == nil && (!slices.Equal(second.Args, wantArgs) || !slices.Equal(second.Env, wantEnv)) {
		err = fmt.Errorf("the arguments were %q and the variables %q; they were changed, and the next command's are %q and %q",
			wantArgs, wantEnv, second.Args, second.Env)
	}
	return err
}

// nothingOfBefore changes one part of the Request at a time. So a command is found that was
// kept without a look at that part.
func nothingOfBefore(s *resolving) error {
	for what, set := range map[string]func(req *launcher.Request, text string){
		"Spec.Name":    func(req *launcher.Request, text string) { req.Spec.Name = text },
		"Spec.Args":    func(req *launcher.Request, text string) { req.Spec.Args = []string{text} },
		"Spec.Env":     func(req *launcher.Request, text string) { req.Spec.Env = []string{"LAUNCHERTEST=" + text} },
		"Spec.Overlay": func(req *launcher.Request, text string) { req.Spec.Overlay = text },
		"OverlayPath":  func(req *launcher.Request, text string) { req.OverlayPath = filepath.Join(s.dir, text) },
		"RuntimeDir":   func(req *launcher.Request, text string) { req.RuntimeDir = filepath.Join(s.dir, text) },
	} {
		for _, text := range []string{"launchertest-before", "launchertest-after"} {
			req := s.request(nil)
			set(&req, text)
			cmd, err := s.resolveRequest(req)
			if errors.Is(err, launcher.ErrInvalidSpec) {
				break
			}
			if err != nil {
				return err
			}
			before := holds("launchertest-before")
			if text != "launchertest-before" && (slices.ContainsFunc(cmd.Args, before) || slices.ContainsFunc(cmd.Env, before)) {
				return fmt.Errorf("two Requests differ in %s, and the command of the second holds that of the first: %q %q", what, cmd.Args, cmd.Env)
			}
		}
	}
	return nil
}

func sameAgain(s *resolving) error {
	caller.RLock()
	defer caller.RUnlock()
	req := s.request(func(spec *launcher.Spec) { spec.Args = []string{"a"} })
	first, err := s.resolveRequest(req)
	if err != nil {
		return err
	}
	for range 3 {
		next, err := s.resolveRequest(req)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(first, next) {
			return fmt.Errorf("it was %q %q, and is %q %q", first.Path, first.Args, next.Path, next.Args)
		}
	}
	return nil
}

func concurrently(s *resolving) error {
	return conformance.AtOnce("it", often(), func(i int) error {
		own := fmt.Sprintf("--number=%d", i)
		cmd, err := s.resolve(func(spec *launcher.Spec) { spec.Args = []string{own} })
		if err == nil && (len(cmd.Args) == 0 || cmd.Args[len(cmd.Args)-1] != own) {
			err = fmt.Errorf("the arguments do not end with this call's %q: %q", own, cmd.Args)
		}
		return err
	})
}

func ctxDone(s *resolving) error {
	cmd, err := s.Resolver.ResolveCommand(conformance.Stopped(), s.request(nil))
	switch {
	case err == nil && cmd.Path == "":
		return errors.New("it returned neither a command nor an error")
	case err != nil && !errors.Is(err, conformance.ErrStopped):
		return fmt.Errorf("ctx is done because of %q, which errors.Is does not find in the error: %w", conformance.ErrStopped, err)
	}
	return nil
}

func createsNothing(s *resolving) error {
	resolve := func() error {
		_, err := s.resolveMost(func(*launcher.Spec) {})
		return err
	}
	before := tree(s.dir) // nobody else knows it
	if err := resolve(); err != nil {
		return err
	}
	if left := fresh(before, tree(s.dir)); left != "" {
		return fmt.Errorf("the runtime directory, or what is beside it, was not there before: %s", left)
	}
	cmd, err := s.resolve(nil)
	if err != nil {
		return err
	}
	return traces(scenes(s.Spec.Dir, filepath.Dir(cmd.Path)), resolve)
}

func leavesNothing(s *resolving) error {
	return conformance.Leaves(soon, often(), func() error {
		_, err := s.resolve(nil)
		if s.Missing != nil {
			s.Missing.ResolveCommand(context.Background(), s.request(nil))
		}
		return err
	})
}

// miss returns the error of the resolver whose program is nowhere.
func (s *resolving) miss(change func(spec *launcher.Spec)) (error, error) {
	if s.Missing == nil {
		return nil, conformance.Inapplicable("the Case has no Missing")
	}
	cmd, err := s.Missing.ResolveCommand(context.Background(), s.request(change))
	if err == nil {
		return nil, fmt.Errorf("the program is not there, and the command is %s", cmd.Path)
	}
	return err, nil
}

func notFound(s *resolving) error {
	missed, err := s.miss(nil)
	if err == nil && !errors.Is(missed, exec.ErrNotFound) {
		err = fmt.Errorf("errors.Is does not find exec.ErrNotFound in: %w", missed)
	}
	return err
}

func notFoundWhere(s *resolving) error {
	missed, err := s.miss(nil)
	if err == nil && (len(missed.Error()) <= len(exec.ErrNotFound.Error()) || strings.ContainsAny(missed.Error(), "\n\r")) {
		err = fmt.Errorf("it says only: %q", missed)
	}
	return err
}

func keepsSecrets(s *resolving) error {
	tell := func(spec *launcher.Spec) {
		spec.Overlay, spec.Args, spec.Env = secret, []string{secret}, []string{"SECRET=" + secret}
	}
	_, refused := s.Resolver.ResolveCommand(context.Background(), s.request(tell))
	errs := []error{refused}
	if s.Missing != nil {
		_, missed := s.Missing.ResolveCommand(context.Background(), s.request(tell))
		errs = append(errs, missed)
	}
	if errors.Join(errs...) == nil {
		return conformance.Inapplicable("it returns no error, and the Case has no Missing")
	}
	for _, err := range errs {
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "launchertest-secret")) {
			return fmt.Errorf("it is in the error: %w", err)
		}
	}
	return nil
}
