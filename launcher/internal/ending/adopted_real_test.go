//go:build linux

package ending_test

import (
	"net"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A daemonKind is a real daemon that goes to the background and writes $OUT/pid.
type daemonKind struct {
	name string
	spec func(r *rig, address string) launcher.Spec
	ask  string // what it answers at its port; empty: nothing is asked
	want string
}

var daemonKinds = []daemonKind{
	{"nginx", func(r *rig, address string) launcher.Spec {
		nginx := real(r.T, "/usr/sbin/nginx", "nginx")
		conf := r.write("nginx.conf", "pid "+r.path("pid")+"; error_log stderr; events {} http { access_log off; "+
			"client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; "+
			"server { listen "+address+"; location / { return 204; } } }")
		return r.run(nginx, "-e", "stderr", "-p", r.Base, "-c", conf)
	}, get, "HTTP/1.1 204 "},
	{"redis", func(r *rig, address string) launcher.Spec {
		_, port, _ := net.SplitHostPort(address)
		return r.run(real(r.T, "redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", r.Base,
			"--daemonize", "yes", "--pidfile", r.path("pid"), "--logfile", r.path("redis.log"))
	}, "PING\r\n", "+PONG"},
	{"rsync", func(r *rig, address string) launcher.Spec {
		_, port, _ := net.SplitHostPort(address)
		conf := r.write("rsyncd.conf", "pid file = "+r.path("pid")+"\n")
		return r.run(real(r.T, "rsync", "rsync"), "--daemon", "--address=127.0.0.1", "--port="+port, "--config="+conf)
	}, "", "@RSYNCD: "},
	{"dnsmasq", func(r *rig, address string) launcher.Spec {
		_, port, _ := net.SplitHostPort(address)
		return r.run(real(r.T, "/usr/sbin/dnsmasq", "dnsmasq-base"), "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--listen-address=127.0.0.1",
			"--bind-interfaces", "--port="+port, "--user=root", "--pid-file="+r.path("pid"), "--log-facility="+r.path("dnsmasq.log"))
	}, "", ""},
	{"memcached", func(r *rig, address string) launcher.Spec {
		_, port, _ := net.SplitHostPort(address)
		return r.run(real(r.T, "memcached", "memcached"), "-d", "-u", "root", "-l", "127.0.0.1", "-p", port, "-P", r.path("pid"))
	}, "version\r\n", "VERSION "},
}

// W31: a real daemon in the background is adopted, answers, is found by others, and is ended
// with all that it has started.
func TestRealDaemonsInTheBackground(t *testing.T) {
	leaktest.Parallel(t)
	for _, kind := range daemonKinds {
		t.Run(kind.name, func(t *testing.T) {
			r := newRig(t)
			address := freeAddress(t)
			spec := kind.spec(r, address)
			for range podrig.Size(t, 1, 1, 50) {
				r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, readiness.TCP{Address: address}}
				pod := r.Launch(spec)
				r.mustBeAdopted(pod, r.pidIn("pid"))
				if kind.want != "" {
					mustAnswer(t, pod, kind.ask, kind.want)
				}
				r.stop(pod)
			}
		})
	}
}

// W31: sshd without -D leaves its session, closes its descriptors and writes over its
// environment. In a cgroup it is proven to be of the pod all the same.
func TestRealSshdInTheBackground(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	spec := r.sshd()
	r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
	r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, r.L.Ready}
	pod := r.Launch(spec)
	r.mustBeAdopted(pod, r.pidIn("pid"))
	mustAnswer(t, pod, "", "SSH-2.0-OpenSSH")
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// W31: without a cgroup sshd is adopted if the launcher has seen it in time. Otherwise the
// launch fails, and says why; nobody is adopted on a guess.
func TestRealSshdInTheBackgroundWithoutACgroup(t *testing.T) {
	leaktest.Parallel(t)
	proven := 0
	n := podrig.Size(t, 1, 3, 40)
	for range n {
		r := newRig(t)
		spec := r.sshd()
		r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, r.L.Ready}
		pod, err := r.L.Launch(t.Context(), spec)
		if err == nil {
			proven++
			r.mustBeAdopted(pod, r.pidIn("pid"))
			r.stop(pod)
			continue
		}
		podrig.MustBe(t, err, readiness.ErrUnproven, launcher.ErrNotOurs)
		// It is there, and its title is empty for a moment while it gets another.
		if !conformance.Eventually(podrig.Ample, r.endTitled) {
			t.Error("nobody has the title of the daemon that was not proven")
		}
	}
	t.Logf("%d of %d were proven", proven, n)
}
