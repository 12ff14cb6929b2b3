//go:build linux

package ending_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// real returns the path of a real program, which may be a pattern. Debian has it in pkg.
func real(t *testing.T, path, pkg string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it starts real programs")
	}
	if found, _ := filepath.Glob(path); len(found) > 0 {
		path = found[len(found)-1]
	}
	found, err := exec.LookPath(path)
	switch {
	case err == nil:
		return found
	case os.Getenv("CI") == "true":
		t.Fatalf("Debian has it in the package %s: %v", pkg, err)
	}
	t.Skipf("Debian has it in the package %s: %v", pkg, err)
	return ""
}

// run has a real program run, and returns a Spec whose pod can be found by what it has
// started, too: see nobodyIsLeft.
func (r *rig) run(path string, args ...string) launcher.Spec {
	r.L.Command = launcher.Exec(path, args...)
	return launcher.Spec{Name: "alice", Dir: r.Base, Env: append(os.Environ(), "OUT="+r.Base, "LC_ALL=C")}
}

// stop stops a pod that runs, and fails the test if a process of it is left.
func (r *rig) stop(pod *launcher.Pod) {
	r.T.Helper()
	podrig.MustLive(r.T, pod)
	if err := pod.Stop(r.T.Context()); err != nil {
		r.T.Error(err)
	}
	r.nobodyIsLeft()
}

// nobodyIsLeft fails the test if a process was executed with the environment of run or
// shell, and has not ended.
func (r *rig) nobodyIsLeft() {
	r.T.Helper()
	pids, err := osproc.All()
	if err != nil {
		r.T.Fatal(err)
	}
	for _, pid := range pids {
		// Init is none of ours, and if it may not be read that takes a while to be sure of.
		if pid != 1 && lives(pid) && osproc.HasVariable(pid, "OUT", r.Base) {
			r.T.Errorf("pid %d (%s) is left", pid, osproc.CommandName(pid))
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// talk sends what to the pod, and returns the first line of its answer.
func talk(t *testing.T, pod *launcher.Pod, what string) string {
	t.Helper()
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, what); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// mustAnswer fails the test unless the pod answers what with a line that begins with want.
func mustAnswer(t *testing.T, pod *launcher.Pod, what, want string) {
	t.Helper()
	if got := talk(t, pod, what); !strings.HasPrefix(got, want) {
		t.Errorf("it answers %q, not %q", got, want)
	}
}

const get = "GET / HTTP/1.0\r\n\r\n"

func (r *rig) write(name, text string) string {
	r.T.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.T.Fatal(err)
	}
	return r.path(name)
}

// nginx returns a Spec of a real nginx, which answers with nothing.
func (r *rig) nginx() launcher.Spec {
	nginx := real(r.T, "/usr/sbin/nginx", "nginx")
	conf := r.write("nginx.conf", "pid "+r.path("pid")+"; error_log stderr; events {} http { access_log off; "+
		"client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; "+
		"server { listen unix:"+r.path("alice/web")+"; location / { return 204; } } }")
	r.L.Ready = readiness.Unix{Path: "web"}
	return r.run(nginx, "-e", "stderr", "-p", r.Base, "-c", conf, "-g", "daemon off;")
}

func TestRealNginx(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	pod := r.Launch(r.nginx())
	mustAnswer(t, pod, get, "HTTP/1.1 204 ")
	r.stop(pod)
}

// W2: the master of a real nginx is killed, and its workers live on. Stop ends them, by
// the handle and by the name.
func TestRealWorkersLiveOn(t *testing.T) {
	leaktest.Parallel(t)
	for name, stop := range map[string]func(*rig, *launcher.Pod) error{
		"handle": func(r *rig, pod *launcher.Pod) error { return pod.Stop(r.T.Context()) },
		"name":   func(r *rig, _ *launcher.Pod) error { return r.L.Stop(r.T.Context(), "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			pod := r.Launch(r.nginx())
			podrig.Kill(t, pod)
			<-pod.Done()
			r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
			if err := stop(r, pod); err != nil {
				t.Error(err)
			}
			r.nobodyIsLeft()
		})
	}
}

// W6: postgres ends well on SIGINT, and waits for its clients on SIGTERM.
func TestRealPostgres(t *testing.T) {
	leaktest.Parallel(t)
	server := real(t, "/usr/lib/postgresql/*/bin/postgres", "postgresql")
	psql := real(t, "/usr/lib/postgresql/*/bin/psql", "postgresql")
	data, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	attr := unprivileged(t, data)
	initdb := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(server), "initdb"), "-D", data+"/cluster", "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale")
	initdb.Dir, initdb.SysProcAttr = data, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, mode := range map[string]launcher.KillMode{"all": launcher.KillAll, "mixed": launcher.KillMixed} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			spec := r.run(server, "-D", data+"/cluster", "-k", data, "-c", "listen_addresses=")
			spec.Dir, spec.StopSignal, spec.KillMode = data, syscall.SIGINT, mode
			r.L.Starter = launcher.Local{Attr: attr}
			r.L.Ready = readiness.Unix{Path: data + "/.s.PGSQL.5432", Peer: func(p readiness.Peer, target readiness.Target) error {
				if p.PID != target.PID {
					return readiness.ErrForeignPeer
				}
				return nil
			}}
			r.L.Ready = readiness.Sequence{readiness.Pattern{Regexp: regexp.MustCompile("ready to accept connections")}, r.L.Ready}
			pod := r.Launch(spec)
			ask := func(query string) *exec.Cmd {
				return exec.CommandContext(t.Context(), psql, "-h", data, "-U", "postgres", "-At", "-c", query)
			}
			if out, err := ask("SELECT 6 * 7").CombinedOutput(); string(out) != "42\n" || err != nil {
				t.Errorf("it answers %q, %v", out, err)
			}
			client := ask("SELECT pg_sleep(1000)")
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			for out := ""; out != "1\n" && t.Context().Err() == nil; {
				text, err := ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'").Output()
				if out = string(text); err != nil {
					t.Fatal(err)
				}
			}
			r.stop(pod)
			client.Wait()
			if exit, err := pod.Wait(t.Context()); exit != (launcher.Exit{Known: true}) || err != nil {
				t.Errorf("%v, %v", exit, err)
			}
		})
	}
}

// unprivileged returns what makes a process that of a user who is not root, whose dir
// becomes.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// sshd returns a Spec of a real sshd, which answers on a port of its own.
func (r *rig) sshd(args ...string) launcher.Spec {
	sshd := real(r.T, "/usr/sbin/sshd", "openssh-server")
	key := r.path("key")
	if out, err := exec.CommandContext(r.T.Context(), "ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", key).CombinedOutput(); err != nil {
		r.T.Fatalf("%v: %s", err, out)
	}
	if os.Geteuid() == 0 { // where it leaves its privileges; its service makes that
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			r.T.Fatal(err)
		}
	}
	address := freeAddress(r.T)
	r.L.Ready = readiness.TCP{Address: address}
	return r.run(sshd, append([]string{"-e", "-f", "/dev/null", "-h", key, "-o", "PidFile=" + r.path("pid"), "-o", "ListenAddress=" + address}, args...)...)
}

// freeAddress returns one of this machine on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRealSshd(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	pod := r.Launch(r.sshd("-D"))
	mustAnswer(t, pod, "", "SSH-2.0-OpenSSH")
	r.stop(pod)
}

// W5: without -D it goes to the background, closes all descriptors, and writes its title
// over its environment. It is ended if it is found before that. The error tells what to do.
func TestRealSshdThatForks(t *testing.T) {
	leaktest.Parallel(t)
	ended := 0
	n := podrig.Size(t, 1, 5, 40)
	for range n {
		r := newRig(t)
		e := r.Fail(t.Context(), r.sshd())
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "may have gone to the background", "has to stay in the foreground")
		if !r.endTitled() {
			ended++
		}
	}
	t.Logf("%d of %d were ended", ended, n)
}

// endTitled ends those whose arguments, or title, have the rig's directory in them, and
// reports whether there are any.
func (r *rig) endTitled() (any bool) {
	pids, err := osproc.All()
	if err != nil {
		r.T.Fatal(err)
	}
	for _, pid := range pids {
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if lives(pid) && strings.Contains(string(title), r.Base) {
			syscall.Kill(pid, syscall.SIGKILL)
			any = true
		}
	}
	return any
}

// W3: dbus-daemon goes to the background once it has bound its socket. The launch fails,
// says why, and ends the daemon.
func TestRealDbus(t *testing.T) {
	leaktest.Parallel(t)
	dbus := real(t, "dbus-daemon", "dbus-daemon")
	for range podrig.Size(t, 1, 3, 50) {
		r := newRig(t)
		r.L.Ready = readiness.Unix{Path: "bus"}
		spec := r.run(dbus, "--session", "--fork", "--nopidfile", "--address=unix:path="+r.path("alice/bus"))
		e := r.Fail(t.Context(), spec)
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "may have gone to the background")
		r.nobodyIsLeft()
	}
	r := newRig(t)
	r.L.Ready = readiness.Unix{Path: "bus"}
	pod := r.Launch(r.run(dbus, "--session", "--nofork", "--nopidfile", "--address=unix:path="+r.path("alice/bus")))
	mustAnswer(t, pod, "\x00AUTH EXTERNAL "+fmt.Sprintf("%x", fmt.Sprint(os.Geteuid()))+"\r\n", "OK ")
	r.stop(pod)
}

// W10: gpg-agent greets each client, and relies on SIGPIPE being ignored, as systemd has
// it. Looking at it does not end it, nor do clients that leave early.
func TestRealGpgAgent(t *testing.T) {
	leaktest.Parallel(t)
	agent := real(t, "gpg-agent", "gpg-agent")
	r := newRig(t)
	r.L.Ready = readiness.Listener{Name: "std"}
	spec := r.run(agent, "--supervised", "--homedir", r.Base)
	pod := r.Launch(spec)
	for range 20 {
		conn, err := pod.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		for s, err := range r.L.List(t.Context()) {
			if s.State != launcher.StateReady || err != nil {
				t.Fatalf("%v, %v", s, err)
			}
		}
		r.MustAttach(pod)
	}
	mustAnswer(t, pod, "", "OK Pleased to meet you")
	r.stop(pod)
}

// W1: the grace reaches a server behind a real supervisor behind a shell, and all of it is
// ended.
func TestRealSupervisors(t *testing.T) {
	leaktest.Parallel(t)
	for _, name := range []string{"dumb-init", "tini"} {
		t.Run(name, func(t *testing.T) {
			path := real(t, name, name)
			r := newRig(t)
			r.shell(path+` -- sh -c 'sleep 1000 & exec "$0" "$@"' "$0" "$@" & wait`,
				"onterm sleep 300ms ; file "+r.path("saved")+" all", "listen", "ready", "hang")
			r.L.Ready = anybody
			pod := r.Launch(podrig.Alice)
			podrig.Ping(t, pod)
			r.stop(pod)
			if _, err := os.Stat(r.path("saved")); err != nil {
				t.Errorf("it had no time to save its work: %v", err)
			}
		})
	}
}

// W11: esbuild ends when its stdin does.
func TestRealEsbuild(t *testing.T) {
	leaktest.Parallel(t)
	npm := real(t, "npm", "npm")
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), npm, "install", "--no-audit", "--no-fund", "--prefix", dir, "esbuild@0.25")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install esbuild: %v: %s", err, out)
	}
	esbuild := filepath.Join(dir, "node_modules/.bin/esbuild")
	for _, open := range []bool{false, true} {
		r := newRig(t)
		address := freeAddress(t)
		host, port, _ := net.SplitHostPort(address)
		r.L.Ready = readiness.Sequence{readiness.Pattern{Regexp: regexp.MustCompile(`Local:\s+http://` + address)}, readiness.TCP{Address: address}}
		spec := r.run(esbuild, "--serve="+host+":"+port, "--servedir="+r.Base)
		if spec.StdinOpen = open; !open {
			e := r.Fail(t.Context(), spec)
			podrig.MustBe(t, e, launcher.ErrExitedEarly)
			podrig.MustSay(t, e, "some programs exit when their stdin ends")
			r.nobodyIsLeft()
			continue
		}
		pod := r.Launch(spec)
		answer, err := http.Get("http://" + address + "/")
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", answer, err)
		}
		if err == nil {
			answer.Body.Close()
		}
		http.DefaultClient.CloseIdleConnections()
		r.stop(pod)
	}
}
