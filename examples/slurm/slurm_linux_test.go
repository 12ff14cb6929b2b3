package slurm_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/slurm"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func TestMain(m *testing.M) {
	launchertest.PlayPod()
	if base, ok := os.LookupEnv(asLauncher); ok {
		fmt.Fprintln(os.Stderr, playLauncher(base))
		os.Exit(1)
	}
	launchertest.Main(m)
}

// A program that is not there is one on the node; srun has to be here.
func TestSrun(t *testing.T) {
	srun := filepath.Join(t.TempDir(), "srun")
	if err := os.WriteFile(srun, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	s := slurm.Srun{Command: launcher.Exec("/bin/sh", "-c", "true"), Args: []string{"--partition=main"}, Path: srun}
	c, err := s.ResolveCommand(t.Context(), launcher.Request{Spec: launcher.Spec{Name: "web", Args: []string{"x"}}})
	want := []string{"--job-name=podlaunch", "--partition=main", "--", "/bin/sh", "-c", "true", "x"}
	if err != nil || c.Path != srun || !slices.Equal(c.Args, want) {
		t.Errorf("got %q %q, %v", c.Path, c.Args, err)
	}
	for _, arg := range []string{"--pty", "-u", "--unbuffered"} {
		s := s
		s.Args = []string{arg}
		if _, err := s.ResolveCommand(t.Context(), launcher.Request{}); err == nil || !strings.Contains(err.Error(), arg) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	s.Path = srun + "-not-there"
	if _, err := s.ResolveCommand(t.Context(), launcher.Request{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("srun is not there: %v", err)
	}
	if _, err := (slurm.Srun{}).ResolveCommand(t.Context(), launcher.Request{}); err == nil {
		t.Error("Command is nil, and that is no error")
	}
}

// W42: srun is not told to make a terminal, neither by a variable of the caller's nor by one
// of the Spec. Of a variable that is not there nothing changes.
func TestNoTerminalByVariable(t *testing.T) {
	srun := filepath.Join(t.TempDir(), "srun")
	if err := os.WriteFile(srun, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	s := slurm.Srun{Command: launcher.Exec("/bin/true"), Path: srun}
	mustHave := func(spec, want []string) {
		t.Helper()
		c, err := s.ResolveCommand(t.Context(), launcher.Request{Spec: launcher.Spec{Env: spec}})
		if err != nil || !slices.Equal(c.Env, want) {
			t.Errorf("it gets %q, want %q: %v", c.Env, want, err)
		}
	}
	mustHave([]string{"A=1", "SLURM_UNBUFFEREDIO=1", "B=2"}, []string{"A=1", "B=2"})
	mustHave(nil, nil)
	before := os.Environ()
	t.Setenv("SLURM_UNBUFFEREDIO", "1")
	mustHave(nil, before)
}

// cluster starts munged, slurmctld and slurmd of the distribution, as pods.
func cluster(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it starts a cluster")
	}
	if os.Geteuid() != 0 {
		t.Skip("slurmd starts programs as other users, and so has to be root's")
	}
	programs := make(map[string]string)
	for _, name := range []string{"munged", "slurmctld", "slurmd", "srun", "sinfo", "squeue", "scancel", "scontrol"} {
		path, err := find(name)
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		} else if err != nil {
			t.Skipf("Debian has it in munge, slurmctld, slurmd and slurm-client: %v", err)
		}
		programs[name] = path
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"state", "spool"} {
		if err := os.Mkdir(in(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := make([]byte, 128)
	rand.Read(key) // it cannot fail
	write(t, in("key"), string(key))
	ports := freePorts(t, 2)
	write(t, in("slurm.conf"), strings.NewReplacer("DIR", dir, "CONTROLLER", ports[0], "NODE", ports[1]).Replace(`
ClusterName=podlaunch
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=CONTROLLER
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=DIR/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd.pid
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/spool
NodeName=here NodeHostname=localhost NodeAddr=127.0.0.1 Port=NODE CPUs=1 State=UNKNOWN
PartitionName=main Nodes=here Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:16
`))
	t.Setenv("SLURM_CONF", in("slurm.conf"))
	start := func(name string, ready readiness.Probe, args ...string) {
		t.Helper()
		l := launcher.Launcher{
			Command: launcher.Exec(programs[name], args...),
			Dir:     runtimedir.Dir(in("run")),
			Ready:   ready,
			Timeout: time.Minute, // a guard
		}
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: name, LogStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := pod.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	start("munged", readiness.File{Path: in("munge")}, "--foreground", "--force", "--socket="+in("munge"), "--key-file="+in("key"),
		"--pid-file="+in("munged.pid"), "--log-file="+in("munged.log"), "--seed-file="+in("munged.seed"))
	start("slurmctld", readiness.Exec{Path: programs["sinfo"]}, "-D")
	start("slurmd", readiness.Exec{Path: "/bin/sh", Args: []string{"-c", "[ idle = $(" + programs["sinfo"] + " --noheader --format=%T) ]"}}, "-D", "-N", "here")
}

// queue is what Slurm has of jobs that wait or run.
func queue(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("squeue", "--noheader", "--format=%j %T", "--states=PENDING,CONFIGURING,RUNNING,SUSPENDED").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// E11: a job that waits when its launch is given up goes with it, and so does one whose
// srun was killed.
func testJobGoes(t *testing.T, l launcher.Launcher) {
	srun := slurm.Srun{Command: launchertest.FakePod(serves...), Args: []string{"--begin=now+1hour"}}
	l.Starter, l.Command = slurm.Starter{}, srun
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil && !strings.Contains(queue(t), "PENDING") { // Slurm tells nobody
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
	}()
	if _, err := l.Launch(ctx, launcher.Spec{Name: "web"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a launch that was given up: %v", err)
	}
	if left := queue(t); left != "" {
		t.Errorf("a launch was given up, and Slurm has %q", left)
	}
	srun.Args = nil
	l.Command = srun
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if has := queue(t); !strings.HasPrefix(has, "podlaunch-") || !strings.HasSuffix(has, " RUNNING") {
		t.Errorf("a pod runs, and Slurm has %q", has)
	}
	syscall.Kill(pod.PID(), syscall.SIGKILL)
	<-pod.Done()
	if left := queue(t); left != "" {
		t.Errorf("srun was killed, and Slurm has %q", left)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A Starter that could not cancel a job does not start it.
func TestStarterNeedsScancel(t *testing.T) {
	for field, s := range map[string]slurm.Starter{"Scancel": {Scancel: "/no/such/scancel", Squeue: "/bin/true"}, "Squeue": {Scancel: "/bin/true", Squeue: "/no/such/squeue"}} {
		_, err := s.Start(t.Context(), launcher.StartRequest{Command: launcher.Command{Path: "/bin/true"}})
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "slurm.Starter."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A job that has a name already could not be found by that of the launch.
func TestJobNamed(t *testing.T) {
	s := slurm.Starter{Scancel: "/bin/true", Squeue: "/bin/true"}
	for _, arg := range []string{"--job-name=mine", "-Jmine"} {
		c, err := slurm.Srun{Command: launcher.Exec("/bin/true"), Args: []string{arg}, Path: "/bin/true"}.ResolveCommand(t.Context(), launcher.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Start(t.Context(), launcher.StartRequest{Command: c}); err == nil || !strings.Contains(err.Error(), arg) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// TestStarter: with tools that have nothing to do, it is as good as Local.
func TestStarter(t *testing.T) {
	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: slurm.Starter{Scancel: "/bin/true", Squeue: "/bin/true"}}
	})
}

// find looks for a program where daemons are, too.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePorts returns n ports without a listener. Slurm cannot use a port that the
// system chooses, so another process may take one of these before Slurm does. They
// are below the range from which the system chooses ports (ip(7),
// ip_local_port_range).
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for port := 10000 + os.Getpid()%10000; len(ports) < n; port++ {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			defer l.Close()
			ports = append(ports, fmt.Sprint(port))
		} else if port == 30000 {
			t.Fatal(err)
		}
	}
	return ports
}

// probe finds pods ready that announce where they are.
var probe = readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}}

// withoutSrun returns the lines that are not srun's own: it says if the job has to wait.
func withoutSrun(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "srun: ") })
}

// The recipe on a real cluster of one node.
func TestCluster(t *testing.T) {
	cluster(t)
	l := launcher.Launcher{
		Dir:     runtimedir.Dir(t.TempDir()),
		Ready:   probe,
		Timeout: time.Minute, // a guard
	}
	on := func(steps ...string) *launcher.Launcher {
		l := l
		l.Command = slurm.Srun{Command: launchertest.FakePod(steps...)}
		return &l
	}

	t.Run("launch", func(t *testing.T) {
		var lines []string
		pod, err := on(serves...).Launch(t.Context(), launcher.Spec{Name: "web", Progress: func(line string) { lines = append(lines, line) }})
		if err != nil {
			t.Fatal(err)
		}
		if lines = withoutSrun(lines); !slices.Equal(lines, []string{"getting ready"}) {
			t.Errorf("it said %q", lines)
		}
		if _, err := on(serves...).Launch(t.Context(), launcher.Spec{Name: "web"}); !errors.Is(err, launcher.ErrRunning) {
			t.Errorf("a second launch: %v", err)
		}
		conn, err := pod.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hello")
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if answer != "pong hello\n" || err != nil {
			t.Errorf("it answered %q, %v", answer, err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute)) // a guard
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it was stopped, and its connection says %v", err)
		}
	})

	// W42: its output is no terminal, so a line looks as it does here, and comes at once,
	// while the program runs on.
	t.Run("no terminal", func(t *testing.T) {
		const says = `for fd in 0 1 2; do test -t $fd && echo "$fd is a terminal"; done; echo up; exec sleep 1000`
		t.Setenv("SLURM_UNBUFFEREDIO", "1")
		l := l
		l.Command = slurm.Srun{Command: launcher.Exec("/bin/sh", "-c", says)}
		l.Ready = readiness.Pattern{Regexp: regexp.MustCompile(`^up$`)}
		var lines []string
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web", LogStdout: true, Progress: func(line string) { lines = append(lines, line) }})
		if err != nil {
			t.Fatal(err)
		}
		lines = withoutSrun(lines)
		if len(lines) > 1 || len(lines) == 1 && lines[0] != "up" {
			t.Errorf("it said %q", lines)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})

	// What the program says and what srun says of its end come in either order.
	t.Run("exits early", func(t *testing.T) {
		_, err := on("say cannot, because of this", "exit 3").Launch(t.Context(), launcher.Spec{Name: "web"})
		var failure *launcher.Error
		if !errors.As(err, &failure) || !errors.Is(err, launcher.ErrExitedEarly) || *failure.Exit != (launcher.Exit{Code: 3, Known: true}) || !slices.Contains(failure.Tail, "cannot, because of this") {
			t.Errorf("%v", err)
		}
	})

	t.Run("its job goes with it", func(t *testing.T) { testJobGoes(t, l) })

	t.Run("launcher dies", func(t *testing.T) { testLauncherDies(t, l) })

	t.Run("as here", func(t *testing.T) { testAsHere(t, l) })

	t.Run("once", func(t *testing.T) { testOnce(t, l) })

	t.Run("refused", func(t *testing.T) {
		l := on(serves...)
		l.Command = slurm.Srun{Command: launchertest.FakePod(serves...), Args: []string{"--partition=nowhere"}}
		_, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
		if !errors.Is(err, launcher.ErrExitedEarly) || !strings.Contains(err.Error(), "Invalid partition name specified") {
			t.Errorf("%v", err)
		}
	})
}
