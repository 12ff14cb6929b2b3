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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/slurm"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func TestMain(m *testing.M) { launchertest.Main(m) }

// A program that is not there is one on the node; srun has to be here.
func TestSrun(t *testing.T) {
	srun := filepath.Join(t.TempDir(), "srun")
	if err := os.WriteFile(srun, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	s := slurm.Srun{Command: launcher.Exec("/bin/sh", "-c", "true"), Args: []string{"--partition=main"}, Path: srun}
	c, err := s.ResolveCommand(t.Context(), launcher.Request{Spec: launcher.Spec{Name: "web", Args: []string{"x"}}})
	want := []string{"--unbuffered", "--partition=main", "--", "/bin/sh", "-c", "true", "x"}
	if err != nil || c.Path != srun || !slices.Equal(c.Args, want) {
		t.Errorf("got %q %q, %v", c.Path, c.Args, err)
	}
	s.Path = srun + "-not-there"
	if _, err := s.ResolveCommand(t.Context(), launcher.Request{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("srun is not there: %v", err)
	}
	if _, err := (slurm.Srun{}).ResolveCommand(t.Context(), launcher.Request{}); err == nil {
		t.Error("Command is nil, and that is no error")
	}
}

// cluster starts munged, slurmctld and slurmd of the distribution, as pods.
func cluster(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("slurmd starts programs as other users, and so has to be root's")
	}
	programs := make(map[string]string)
	for _, name := range []string{"munged", "slurmctld", "slurmd", "srun", "sinfo"} {
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

// freePorts returns n on which nobody listens. Slurm takes none that the system
// chooses, so a moment remains in which one may become somebody else's; they are
// below those that the system gives to whoever asks for any (ip(7),
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

// The recipe on a real cluster of one node.
func TestCluster(t *testing.T) {
	cluster(t)
	l := launcher.Launcher{
		Dir:     runtimedir.Dir(t.TempDir()),
		Ready:   readiness.Sequence{readiness.ReadyLine{Network: "tcp"}, readiness.TCP{}},
		Timeout: time.Minute, // a guard
	}
	on := func(steps ...string) *launcher.Launcher {
		l := l
		l.Command = slurm.Srun{Command: launchertest.FakePod(steps...)}
		return &l
	}
	serves := []string{"say getting ready", "tcp 127.0.0.1:0", `write "INSOMNIA-READY\t{name}\t{addr}\n"`, "hang"}

	t.Run("launch", func(t *testing.T) {
		var lines []string
		pod, err := on(serves...).Launch(t.Context(), launcher.Spec{Name: "web", Progress: func(line string) { lines = append(lines, line) }})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lines, []string{"getting ready"}) {
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

	// What the program says and what srun says of its end come in either order.
	t.Run("exits early", func(t *testing.T) {
		_, err := on("say cannot, because of this", "exit 3").Launch(t.Context(), launcher.Spec{Name: "web"})
		var failure *launcher.Error
		if !errors.As(err, &failure) || !errors.Is(err, launcher.ErrExitedEarly) || *failure.Exit != (launcher.Exit{Code: 3, Known: true}) || !slices.Contains(failure.Tail, "cannot, because of this") {
			t.Errorf("%v", err)
		}
	})

	t.Run("refused", func(t *testing.T) {
		l := on(serves...)
		l.Command = slurm.Srun{Command: launchertest.FakePod(serves...), Args: []string{"--partition=nowhere"}}
		_, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
		if !errors.Is(err, launcher.ErrExitedEarly) || !strings.Contains(err.Error(), "Invalid partition name specified") {
			t.Errorf("%v", err)
		}
	})
}
