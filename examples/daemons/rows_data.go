package main

import (
	"context"

	"github.com/podlaunch/podlaunch/readiness"
)

// dataRows are the daemons that keep and pass on data.
var dataRows = []row{
	{
		name: "memcached", pkg: "memcached", programs: []string{"memcached"},
		args: func(p *place) []string { return []string{"-u", "nobody", "-l", "127.0.0.1", "-p", p.port} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Send: "version\r\n", Expect: re(`^VERSION `)},
			}
		},
		ask:        talk("set pod 0 0 2\r\nhi\r\nget pod\r\n", `VALUE pod 0 2\r\nhi`),
		foreground: "no `-d`",
		background: more("-d"),
	},
	{
		name: "beanstalkd", pkg: "beanstalkd", programs: []string{"beanstalkd"},
		args: func(p *place) []string { return []string{"-l", "127.0.0.1", "-p", p.port} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Send: "list-tubes\r\n", Expect: re(`^OK `)},
			}
		},
		ask:     talk("put 0 0 60 2\r\nhi\r\nreserve\r\n", `RESERVED \d+ 2\r\nhi`),
		badFlag: "-Z",
	},
	{
		name: "mosquitto", pkg: "mosquitto", programs: []string{"mosquitto"},
		setup: file("mosquitto.conf", "listener PORT 127.0.0.1\nallow_anonymous true\n"),
		args:  func(p *place) []string { return []string{"-c", p.in("mosquitto.conf")} },
		as:    "mosquitto",
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(`mosquitto version \S+ running$`)},
				readiness.TCP{Address: p.tcp()},
			}
		},
		ask:        talk("\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03pod", `^\x20\x02\x00\x00`),
		badConfig:  change("mosquitto.conf", "listener", "lissten"),
		note:       "A `listener` that it cannot have ends it. Without one (`-p` alone) it goes on with one address of two.",
		foreground: "no `-d`",
		background: more("-d"),
	},
	{
		name: "slapd", pkg: "slapd", programs: []string{"slapd"},
		setup: file("slapd.conf", "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"+
			"pidfile DATA/pid\ndatabase mdb\nsuffix dc=test\ndirectory DATA\n"),
		args: func(p *place) []string {
			return []string{"-d", "256", "-h", "ldap://" + p.tcp(), "-f", p.in("slapd.conf")}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(`slapd starting$`)},
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Send: ldapBind, Expect: re(`^0\x0c\x02\x01\x01a\x07\n\x01\x00`)},
			}
		},
		ask: talk(ldapBind, `^0\x0c\x02\x01\x01a\x07\n\x01\x00`), badFlag: "-Z",
		badConfig:  change("slapd.conf", "suffix", "sufix"),
		foreground: "`-d` with a level", background: without("-d", "256"),
	},
	{
		name: "pgbouncer", pkg: "pgbouncer", programs: []string{"pgbouncer"}, as: "postgres",
		setup: file("pgbouncer.ini", "[databases]\npod = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = PORT\n"+
			"unix_socket_dir =\nauth_type = any\n"),
		args: func(p *place) []string { return []string{p.in("pgbouncer.ini")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{Public: true}, readiness.TCP{Address: p.tcp()}}
		},
		says:       re(`process up`),
		ask:        talk("\x00\x00\x00\x08\x04\xd2\x16\x2f", `^N`),
		badConfig:  change("pgbouncer.ini", "listen_port", "lissten_port"),
		foreground: "no `-d`", background: func(p *place, args []string) ([]string, error) {
			return append(args[:len(args):len(args)], "-d"), replaceIn(p, "pgbouncer.ini", "[pgbouncer]", "[pgbouncer]\npidfile = "+p.in("pid"))
		},
	},
	{
		name: "mariadb", pkg: "mariadb-server", programs: []string{"mariadbd"}, as: "mysql",
		setup: func(ctx context.Context, p *place) error {
			return command(ctx, []string{"mariadb-install-db", "--no-defaults", "--datadir=" + p.in("db"), "--skip-test-db",
				"--auth-root-authentication-method=normal"})
		},
		args: func(p *place) []string {
			return []string{"--no-defaults", "--datadir=" + p.in("db"), "--bind-address=127.0.0.1", "--port=" + p.port, "--socket=" + p.in("sock")}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.NotifySocket{Public: true},
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Expect: re(`mysql_native_password`)},
			}
		},
		says: re(`ready for connections`),
		ask:  talk("", `[\d.]+-MariaDB`),
	},
	{
		name: "etcd", pkg: "etcd-server", programs: []string{"etcd"},
		args: func(p *place) []string {
			return []string{"--data-dir", p.in("etcd"), "--listen-client-urls", "http://" + p.tcp(), "--advertise-client-urls", "http://" + p.tcp(),
				"--listen-peer-urls", "http://127.0.0.1:0"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.HTTP{URL: "http://" + p.tcp() + "/health"}}
		},
		says: re(`ready to serve client requests`),
		ask:  page("/version", `"etcdserver":"[^"]*"`),
	},
	{
		name: "prometheus", pkg: "prometheus", programs: []string{"prometheus"},
		setup: file("prometheus.yml", "scrape_configs: []\n"),
		args: func(p *place) []string {
			return []string{"--config.file=" + p.in("prometheus.yml"), "--storage.tsdb.path=" + p.in("tsdb"), "--web.listen-address=" + p.tcp()}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/-/ready"}
		},
		says:      re(`Server is ready to receive web requests`),
		ask:       page("/api/v1/query?query=1%2B1", `"2"\]`),
		badConfig: change("prometheus.yml", "scrape_configs", "scrape_confgs"),
	},
	{
		name: "node-exporter", pkg: "prometheus-node-exporter", programs: []string{"prometheus-node-exporter"},
		args: func(p *place) []string { return []string{"--web.listen-address=" + p.tcp()} },
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/"}
		},
		says: re(`Listening on`),
		ask:  page("/metrics", `node_exporter_build_info`),
	},
	{
		name: "nats", pkg: "nats-server", programs: []string{"nats-server"},
		setup: file("nats.conf", "listen: 127.0.0.1:PORT\n"),
		args:  func(p *place) []string { return []string{"-c", p.in("nats.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(`Listening for client connections on (?P<host>\S+):(?P<port>\d+)$`)},
				readiness.Talk{Expect: re(`^INFO \{`)},
			}
		},
		ask:       talk("CONNECT {\"verbose\":false}\r\nPING\r\n", `PONG`),
		badConfig: change("nats.conf", "listen", "lissten"),
	},
	{
		name: "influxdb", pkg: "influxdb", programs: []string{"influxd"},
		setup: file("influxdb.conf", "bind-address = \"127.0.0.1:0\"\nreporting-disabled = true\n[meta]\ndir = \"DATA/meta\"\n"+
			"[data]\ndir = \"DATA/data\"\nwal-dir = \"DATA/wal\"\n[http]\nbind-address = \"127.0.0.1:PORT\"\n"),
		args: func(p *place) []string { return []string{"-config", p.in("influxdb.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/ping"}
		},
		says:      re(`Listening on HTTP`),
		ask:       page("/query?q=SHOW+DATABASES", `"name":"databases"`),
		badConfig: change("influxdb.conf", "[meta]", "[meta"),
	},
}

// ldapBind is an anonymous bind.
const ldapBind = "0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\x00\x80\x00"
