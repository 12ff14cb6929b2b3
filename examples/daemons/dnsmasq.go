package main

import (
	"context"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

var dnsmasq = daemon{
	name:     "dnsmasq",
	about:    "forks twice unless told not to, and needs a port that is known beforehand",
	pkg:      "dnsmasq-base",
	programs: []string{"dnsmasq"},
	launch:   launchDnsmasq,
	request:  resolve,
	answer:   `^A pod\.test: 192\.0\.2\.1$`,
	exit:     "exit status 0",
	faults: []fault{{
		what: "its port is taken, for UDP",
		breaks: func(p *place, _ *launcher.Spec) error {
			return p.takeUDP()
		},
		complaint: `failed to create listening socket for 127\.0\.0\.1: Address already in use`,
	}},
	ready: "The line says that this dnsmasq has its ports. An open port alone would not prove that, because the system " +
		"cannot prove who answers on it. The line does not name the port, so the recipe chooses it beforehand; the " +
		"probe dials it after the line, and it becomes the endpoint. An answer on it before the start is an error.",
	stops: "It exits with status 0 on SIGTERM, at once. It keeps no state that could be lost.",
	notes: "Without `--keep-in-foreground` the process that was launched hands over to a grandchild in a session of its " +
		"own, and exits with status 0: the launch fails with `ErrExitedEarly`, and " +
		"ends the grandchild. Every daemon that can go to " +
		"the background has such a flag; look for it first. `--conf-file=/dev/null` keeps the system's configuration " +
		"out, `--log-facility=-` has it log to its standard error instead of syslog, and `--user` is set because as " +
		"root it would become another user. `LC_ALL` is set because it speaks the user's language.",
}

func launchDnsmasq(p *place) (launcher.Launcher, launcher.Spec) {
	return launcher.Launcher{
			Command: launcher.Exec(find("dnsmasq"),
				"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="+p.data+"/pid", "--user=", "--log-facility=-",
				"--port="+p.port, "--listen-address=127.0.0.1", "--bind-interfaces",
				"--no-resolv", "--no-hosts", "--address=/pod.test/192.0.2.1"),
			Ready: readiness.Sequence{
				readiness.Pattern{Regexp: regexp.MustCompile(`started, version`)},
				readiness.TCP{Address: net.JoinHostPort("127.0.0.1", p.port)},
			},
		}, launcher.Spec{
			Name: "dnsmasq",
			Env:  append(os.Environ(), "LC_ALL=C"), // the words that are waited for
		}
}

// resolve asks for the address of a name, over TCP.
func resolve(ctx context.Context, pod *launcher.Pod) (string, error) {
	const host = "pod.test"
	resolver := net.Resolver{
		PreferGo: true,
		Dial:     func(ctx context.Context, _, _ string) (net.Conn, error) { return pod.Dial(ctx) },
	}
	found, err := resolver.LookupHost(ctx, host+".")
	return "A " + host + ": " + strings.Join(found, " "), err
}
