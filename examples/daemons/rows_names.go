package main

import (
	"context"
	"errors"

	"github.com/podlaunch/podlaunch/readiness"
)

// zone is what the name servers serve: pod.test.
const zone = `$TTL 60
@   IN SOA ns admin 1 60 60 60 60
@   IN NS  ns
ns  IN A   127.0.0.1
pod IN A   192.0.2.1
`

// withZone returns a setup that writes a configuration and the zone.
func withZone(name, text string) func(context.Context, *place) error {
	return func(ctx context.Context, p *place) error {
		return errors.Join(p.write("zone", zone), file(name, text)(ctx, p))
	}
}

// nameRows are the daemons that speak DNS.
var nameRows = []row{
	{
		name: "unbound", pkg: "unbound", programs: []string{"unbound"},
		setup: file("unbound.conf", `server:
  interface: 127.0.0.1@PORT
  use-systemd: yes
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "DATA"
  pidfile: ""
  use-syslog: no
  local-data: "pod.test. A 192.0.2.1"
`),
		args: func(p *place) []string { return []string{"-c", p.in("unbound.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.TCP{Address: p.tcp()}}
		},
		says: re(`start of service`),
		ask:  lookUp("pod.test", "192.0.2.1"), badFlag: "-Z",
		badConfig:  change("unbound.conf", "interface", "interfase"),
		foreground: "`-d`, or `do-daemonize: no`", background: spoiled("unbound.conf", "do-daemonize: no", "do-daemonize: yes"),
		note: "It notifies only with `use-systemd: yes`.",
	},
	{
		name: "named", pkg: "bind9", programs: []string{"named"},
		setup: withZone("named.conf", `options {
  directory "DATA"; pid-file none; session-keyfile none; recursion no;
  listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; };
};
controls {};
zone "test" { type primary; file "DATA/zone"; };
`),
		args: func(p *place) []string { return []string{"-g", "-c", p.in("named.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(` running$`)},
				readiness.TCP{Address: p.tcp()},
			}
		},
		ask: lookUp("pod.test", "192.0.2.1"), badFlag: "-Z",
		badConfig:  change("named.conf", "recursion", "recurshion"),
		foreground: "`-g`, or `-f`", background: without("-g"),
		note: "It says that it is running, and notifies, with its TCP port taken, so `TCP` has to follow.",
	},
	{
		name: "knotd", pkg: "knot", programs: []string{"knotd"},
		setup: withZone("knot.conf", `server:
    rundir: "DATA"
    listen: 127.0.0.1@PORT
database:
    storage: "DATA"
zone:
  - domain: test
    file: "DATA/zone"
`),
		args:      func(p *place) []string { return []string{"-c", p.in("knot.conf")} },
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.TCP{Address: p.tcp()}}
		},
		says: re(`server started`),
		ask:  lookUp("pod.test", "192.0.2.1"), badFlag: "-Z",
		badConfig:  change("knot.conf", "listen", "lissten"),
		foreground: "no `-d`", background: more("-d"),
	},
	{
		name: "nsd", pkg: "nsd", programs: []string{"nsd"},
		setup: withZone("nsd.conf", `server:
  ip-address: 127.0.0.1@PORT
  username: ""
  database: ""
  zonesdir: "DATA"
  pidfile: ""
  xfrdfile: "DATA/xfrd"
  xfrdir: "DATA"
  zonelistfile: "DATA/list"
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: "DATA/zone"
`),
		args: func(p *place) []string { return []string{"-d", "-c", p.in("nsd.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.TCP{Address: p.tcp()}}
		},
		says: re(`nsd started`),
		ask:  lookUp("pod.test", "192.0.2.1"), badFlag: "-Z",
		badConfig:  change("nsd.conf", "ip-address", "ip-addres"),
		foreground: "`-d`", background: without("-d"),
	},
	{
		name: "pdns", pkg: "pdns-server", programs: []string{"pdns_server"},
		setup: withZone("named.conf", "zone \"test\" { type master; file \"DATA/zone\"; };\n"),
		args: func(p *place) []string {
			return []string{"--config-dir=" + p.data, "--launch=bind", "--bind-config=" + p.in("named.conf"),
				"--local-address=127.0.0.1", "--local-port=" + p.port, "--socket-dir=" + p.data,
				"--daemon=no", "--guardian=no", "--disable-syslog=yes", "--write-pid=no"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.TCP{Address: p.tcp()}}
		},
		ask:        lookUp("pod.test", "192.0.2.1"),
		badConfig:  change("named.conf", "zone", "zzone"),
		foreground: "`--daemon=no`", background: more("--daemon=yes"),
	},
}
