package main

import "github.com/podlaunch/podlaunch/readiness"

// webRows are the daemons that speak HTTP.
var webRows = []row{
	{
		name: "lighttpd", pkg: "lighttpd", programs: []string{"lighttpd"},
		setup: file("lighttpd.conf", "server.document-root = \"DATA\"\nserver.port = PORT\nserver.bind = \"127.0.0.1\"\n"+
			"index-file.names = (\"lighttpd.conf\")\n"),
		args: func(p *place) []string { return []string{"-D", "-f", p.in("lighttpd.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(`server started`)},
				readiness.TCP{Address: p.tcp()},
			}
		},
		ask:        page("/", `server\.port`),
		badConfig:  change("lighttpd.conf", `"127.0.0.1"`, `"127.0.0.1`),
		foreground: "`-D`", background: without("-D"),
		note: "The exit status after SIGTERM is 0 in some runs and 1 in others.",
	},
	{
		name: "apache", pkg: "apache2-bin", programs: []string{"apache2"}, as: "www-data",
		setup: file("apache.conf", `LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
ServerName localhost
PidFile DATA/pid
Mutex file:DATA
ErrorLog DATA/error.log
Listen 127.0.0.1:PORT
DocumentRoot DATA
`),
		args: func(p *place) []string { return []string{"-d", p.data, "-f", p.in("apache.conf"), "-DFOREGROUND"} },
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/apache.conf"}
		},
		ask: page("/apache.conf", `ServerName localhost`), badFlag: "-Z",
		badConfig:  change("apache.conf", "Listen", "Lissten"),
		foreground: "`-DFOREGROUND`", background: without("-DFOREGROUND"),
	},
	{
		name: "caddy", pkg: "caddy", programs: []string{"caddy"},
		setup: file("Caddyfile", "{\n\tadmin off\n}\nhttp://:PORT {\n\tbind 127.0.0.1\n\trespond \"hello from caddy\"\n}\n"),
		args: func(p *place) []string {
			return []string{"run", "--config", p.in("Caddyfile"), "--adapter", "caddyfile"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.HTTP{URL: "http://" + p.tcp() + "/"}}
		},
		says:      re(`serving initial configuration`),
		ask:       page("/", `hello from caddy`),
		badConfig: change("Caddyfile", "respond", "resspond"),
	},
	{
		name: "php-fpm", pkg: "php-fpm", programs: []string{"php-fpm8.2"}, as: "www-data",
		setup: file("fpm.conf", "[global]\nerror_log = DATA/error.log\n[www]\nlisten = 127.0.0.1:PORT\npm = static\npm.max_children = 1\n"),
		args:  func(p *place) []string { return []string{"-F", "-O", "-n", "-y", p.in("fpm.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{Public: true}, readiness.TCP{Address: p.tcp()}}
		},
		says:       re(`ready to handle connections`),
		ask:        talk("\x01\x09\x00\x00\x00\x11\x00\x00\x0f\x00FCGI_MPXS_CONNS", `FCGI_MPXS_CONNS0`),
		badConfig:  change("fpm.conf", "pm.max_children", "pm.max_childrn"),
		foreground: "`-F`", background: without("-F", "-O"),
	},
	{
		name: "webfsd", pkg: "webfs", programs: []string{"webfsd"},
		setup: file("index.html", "hello from webfsd\n"),
		args: func(p *place) []string {
			return []string{"-F", "-i", "127.0.0.1", "-p", p.port, "-r", p.data, "-f", "index.html"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/"}
		},
		ask: page("/", `hello from webfsd`), badFlag: "-Z",
		foreground: "`-F`", background: without("-F"),
	},
	{
		name: "uwsgi", pkg: "uwsgi-plugin-python3", programs: []string{"uwsgi"},
		setup: file("uwsgi.ini", "[uwsgi]\nhttp-socket = 127.0.0.1:PORT\nmaster = true\nplugin = python3\neval = def application(env, start): start('200 OK', []); return [b'hello from uwsgi']\n"),
		args:  func(p *place) []string { return []string{"--die-on-term", "--ini", p.in("uwsgi.ini")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.HTTP{URL: "http://" + p.tcp() + "/"}}
		},
		says:       re(`spawned uWSGI worker 1`),
		ask:        page("/", `hello from uwsgi`),
		badConfig:  change("uwsgi.ini", "127.0.0.1:", "256.0.0.1:"),
		foreground: "no `--daemonize`", background: more("--daemonize", "/dev/null"),
		note: "Without `--die-on-term` it takes SIGTERM for an order to reload, and goes on.",
	},
	{
		name: "gunicorn", pkg: "gunicorn", programs: []string{"gunicorn"},
		setup: file("pod.py", "def app(env, start):\n    start('200 OK', [])\n    return [b'hello from gunicorn']\n"),
		args:  func(p *place) []string { return []string{"--chdir", p.data, "--bind", p.tcp(), "pod:app"} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.HTTP{URL: "http://" + p.tcp() + "/"}}
		},
		says:       re(`Listening at: http`),
		ask:        page("/", `hello from gunicorn`),
		badConfig:  change("pod.py", "def", "deff"),
		foreground: "no `--daemon`", background: more("--daemon"),
	},
	{
		name: "transmission", pkg: "transmission-daemon", programs: []string{"transmission-daemon"},
		args: func(p *place) []string {
			return []string{"-f", "-g", p.in("config"), "-r", "127.0.0.1", "-p", p.port, "-w", p.data, "--no-portmap", "--no-dht", "--no-lpd"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/transmission/rpc", Status: 409}
		},
		says:       re(`Serving RPC`),
		ask:        talk("GET /transmission/rpc HTTP/1.0\r\nHost: localhost\r\n\r\n", `X-Transmission-Session-Id`),
		foreground: "`-f`", background: without("-f"),
	},
	{
		name: "syncthing", pkg: "syncthing", programs: []string{"syncthing"}, env: []string{"STNODEFAULTFOLDER=1"},
		args: func(p *place) []string {
			return []string{"serve", "--no-browser", "--no-upgrade", "--home=" + p.in("home"), "--gui-address=" + p.tcp()}
		},
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/"}
		},
		says: re(`GUI and API listening on`),
		ask:  page("/", `Syncthing`),
	},
}
