package main

import (
	"errors"
	"go/ast"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// tableFile is what was seen of the daemons in the big table.
const tableFile = "testdata/table.json"

// gated are the rows that the gate observes; the others are observed by hand.
var gated = []string{
	"redis", "postgres", "nginx", "haproxy", "dnsmasq", "http.server",
	"memcached", "beanstalkd", "mosquitto", "unbound", "rsync", "dbus-daemon",
}

// Each of a dozen daemons does what the table says of it. Another version may do
// something else: of that it is enough that it is launched, answers, and ends.
func TestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts real daemons")
	}
	recorded, err := stored(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[string]chan outcome)
	for _, r := range rows {
		if slices.Contains(gated, r.name) && r.installed() {
			outcomes[r.name] = make(chan outcome, 1)
		}
	}
	// They mostly wait. So more of them run at once than there are processors.
	slots := make(chan struct{}, 9)
	var all sync.WaitGroup
	defer all.Wait()
	for _, r := range rows {
		if outcomes[r.name] != nil {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				// A port that was free may be another's by now, and a busy machine makes some
				// daemons slow. So what differs is looked at again.
				var o outcome
				for range 3 {
					o.seen, o.err = r.observe(t.Context())
					if o.err == nil && o.agrees(recorded) || o.err != nil && !errors.Is(o.err, readiness.ErrForeignPeer) && !errors.Is(o.err, syscall.EADDRINUSE) { // somebody else was faster
						break
					}
				}
				outcomes[r.name] <- o
			})
		}
	}
	for _, r := range rows {
		if !slices.Contains(gated, r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			for _, program := range []string{find(r.programs...), "strace", "dpkg-query"} {
				mustFind(t, program, r.pkg)
			}
			(<-outcomes[r.name]).check(t, recorded)
		})
	}
}

// An outcome is what a row's runs have given.
type outcome struct {
	seen *observation
	err  error
}

// check compares it with what is recorded.
func (o outcome) check(t *testing.T, recorded []observation) {
	if o.err != nil {
		t.Fatal(o.err)
	}
	got := *o.seen
	want, ok := recordOf(recorded, got.Name)
	if !ok {
		t.Fatalf("%s has no %s; go run . -table %[1]s %[2]s adds it", tableFile, got.Name)
	}
	if !o.agrees(recorded) {
		t.Errorf("it does\n%q, SIGTERM: %s\nand the table says\n%q, SIGTERM: %s", got.facts(), got.Term, want.facts(), want.Term)
	}
}

// agrees reports whether what was seen is what is recorded of the same version.
func (o outcome) agrees(recorded []observation) bool {
	want, ok := recordOf(recorded, o.seen.Name)
	return ok && (o.seen.Version != want.Version || o.seen.agrees(want))
}

// recordOf returns what is recorded of the daemon called name.
func recordOf(recorded []observation, name string) (o observation, ok bool) {
	i := slices.IndexFunc(recorded, func(o observation) bool { return o.Name == name })
	if i < 0 {
		return o, false
	}
	return recorded[i], true
}

// mustFind sees to it that a program is installed. Where the gate runs it has to
// be.
func mustFind(t *testing.T, program, pkg string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("CI must have %s (%s): %v", program, pkg, err)
	}
	if err != nil {
		t.Skipf("%s is not installed (%s): %v", program, pkg, err)
	}
}

// agrees reports whether two runs of one version have shown the same. How a
// daemon ends may depend on what it does when the signal comes: one of the ways
// has to be the same.
func (o observation) agrees(other observation) bool {
	ways := strings.Split(other.Term, " or ")
	return reflect.DeepEqual(o.facts(), other.facts()) &&
		slices.ContainsFunc(strings.Split(o.Term, " or "), func(way string) bool { return slices.Contains(ways, way) })
}

// facts are what has to be the same in every run of one version. How a launch of a daemon
// ends that goes to the background is not among them: it may be ready just before it goes.
func (o observation) facts() []string {
	facts := []string{o.ReadyLine, o.Flag, o.Config, o.Taken}
	if o.Notify != nil {
		facts = append(facts, o.Notify.When, o.Notify.Who)
	}
	return facts
}

// A row that is not in the table is refused before anything is launched.
func TestNoSuchRow(t *testing.T) {
	r := exampletest.Run(t, exampletest.Build(t, "."), nil, "-table", t.TempDir()+"/table", "rediss")
	if r.Code != misused || r.Stdout != "" || !strings.Contains(r.Stderr, `"rediss"`) {
		t.Errorf("exit status %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
}

// Rows are of different daemons, and each is in the table.
func TestRows(t *testing.T) {
	names := rowNames()
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a row is there twice: %q", names)
	}
	all, err := stored(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, o := range all {
		seen = append(seen, o.Name)
	}
	if !slices.Equal(names, seen) {
		t.Errorf("%s has\n%q, and the rows are\n%q", tableFile, seen, names)
	}
}

// What strace writes is understood as it is meant.
func TestTrace(t *testing.T) {
	path := t.TempDir() + "/strace"
	write(t, path, `10 write(2</tmp/x/stderr.log>, "a \"ready\" line\nand", 17) = 17
10 bind(6<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
11 sendmsg(3<UNIX-DGRAM:[1->2]>, {msg_name={sa_family=AF_UNIX, sun_path="/x"}, msg_iov=[{iov_base="READY=1\nSTATUS=up", iov_len=17}]}, 0 <unfinished ...>
10 listen(6<TCP:[127.0.0.1:80]>, 5) = 0
11 <... sendmsg resumed>) = 17
10 write(2</tmp/x/stderr.log>, " more\n", 6) = 6
10 listen(7<TCP:[127.0.0.1:81]>, 5) = -1 EADDRINUSE (Address already in use)
`)
	calls, err := readTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	if ready, all := calls.streams(regexp.MustCompile(`^a "ready" line$`), false); ready != "stderr" || all != "stderr" {
		t.Errorf("the line is on %q, of %q", ready, all)
	}
	if ready, _ := calls.streams(regexp.MustCompile(`^and more$`), false); ready != "stderr" {
		t.Errorf("a line that was written in two parts is on %q", ready)
	}
	want := &notify{Sent: []string{"READY STATUS"}, When: "between bind and listen", Who: "a child"}
	if got := calls.notify([]int{10}, []string{":80]"}); !reflect.DeepEqual(got, want) {
		t.Errorf("it notifies as %+v, want %+v", got, want)
	}
}

// An observed is a row of the table as the page shows it.
type observed struct {
	observation
	Probes           string // the code
	Foreground, Note string
}

// observations returns the table, with the probes as they stand in the source.
func observations(t *testing.T, source program) (shown []observed) {
	t.Helper()
	all, err := stored(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		i := slices.Index(rowNames(), o.Name)
		if i < 0 {
			t.Fatalf("%s has %s, which is no row", tableFile, o.Name)
		}
		shown = append(shown, observed{o, source.probes(t, rows[i]), rows[i].foreground, rows[i].note})
	}
	return shown
}

// confirmations returns what was seen of the surprises, in their order.
func confirmations(t *testing.T) (shown []confirmation) {
	t.Helper()
	all, err := confirmed("testdata/surprises.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range surprises {
		i := slices.IndexFunc(all, func(c confirmation) bool { return c.Of == s.of && c.What == s.what })
		if i < 0 {
			t.Fatalf("it was not confirmed that %s %s", s.of, s.what)
		}
		shown = append(shown, all[i])
	}
	return shown
}

// probes returns the code of the row's probes, in one line.
func (p program) probes(t *testing.T, r row) string {
	t.Helper()
	var code ast.Expr
	for _, file := range p.syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok && p.field(lit, "name") == strconv.Quote(r.name) {
				if ready, ok := field(lit, "ready").(*ast.FuncLit); ok {
					code = ready.Body.List[len(ready.Body.List)-1].(*ast.ReturnStmt).Results[0]
				}
			}
			return code == nil
		})
	}
	if r.launch != nil {
		code = p.readyOf(r.launch)
	}
	if code == nil {
		t.Fatalf("the probes of %s are not found in the source", r.name)
	}
	one := strings.Join(strings.Fields(lineComment.ReplaceAllString(p.source(code), "")), " ")
	return strings.NewReplacer("readiness.", "", "regexp.MustCompile(", "re(", "{ ", "{", ", }", "}", ", )", ")", "|", `\|`).Replace(one)
}

var lineComment = regexp.MustCompile("(?m)//[^\"`\\n]*$")

// readyOf returns what a recipe's function gives as Ready.
func (p program) readyOf(launch func(*place) (launcher.Launcher, launcher.Spec)) (code ast.Expr) {
	ast.Inspect(p.decls[funcName(launch)], func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok && code == nil {
			code = field(lit, "Ready")
		}
		return code == nil
	})
	return code
}

// field returns the value of a field in a composite literal, or nil.
func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

// field returns the source of the value of a field, or "".
func (p program) field(lit *ast.CompositeLit, name string) string {
	if value := field(lit, name); value != nil {
		return p.source(value)
	}
	return ""
}

// source returns the text of a node.
func (p program) source(n ast.Node) string {
	return p.text[p.file(n)][p.files.Position(n.Pos()).Offset:p.files.Position(n.End()).Offset]
}

// cell is what a cell of a table says: a dash if there is nothing to say.
func cell(s string) string {
	if s == "" {
		return "–"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}

// code is how a cell shows text as it is, no longer than a line.
func code(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.ReplaceAll(s, "|", `\|`)
}

// exit is how a cell tells how a daemon has ended.
func exit(s string) string { return cell(strings.ReplaceAll(s, "exit status ", "")) }

// notified is how a cell tells what was sent on $NOTIFY_SOCKET.
func notified(n *notify) string {
	if n == nil {
		return "no"
	}
	s := "`" + strings.Join(n.Sent, "`, `") + "`"
	if n.When != "" {
		s += ": " + n.When + ", by " + n.Who
	}
	return s
}

// wrapItem wraps an item of a list.
func wrapItem(item string) string { return strings.ReplaceAll(wrap(item), "\n", "\n  ") }
