package main

import "github.com/podlaunch/podlaunch/readiness"

// proxyRows are the daemons that pass on what others serve.
var proxyRows = []row{
	{
		name: "squid", pkg: "squid", programs: []string{"squid"}, as: "proxy",
		setup: file("squid.conf", "http_port 127.0.0.1:PORT\npid_filename none\naccess_log none\ncache_log DATA/cache.log\n"+
			"netdb_filename none\ncoredump_dir DATA\npinger_enable off\nshutdown_lifetime 0 seconds\n"),
		args: func(p *place) []string { return []string{"-N", "-d", "1", "-f", p.in("squid.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{Public: true}, readiness.TCP{Address: p.tcp()}}
		},
		says: re(`Accepting HTTP Socket connections`),
		ask:  talk("GET / HTTP/1.0\r\n\r\n", `Server: squid/\S+`), badFlag: "-Z",
		badConfig:  change("squid.conf", "http_port", "http_prt"),
		foreground: "`-N`, or `--foreground`", background: without("-N"),
		note: "READY=1 comes before the port listens, so `TCP` has to follow. With `--foreground` in place of `-N` a child sends it.",
	},
	{
		name: "tor", pkg: "tor", programs: []string{"tor"},
		setup:     file("torrc", "SocksPort 127.0.0.1:PORT\nDataDirectory DATA/tor\nDisableNetwork 0\n"),
		args:      func(p *place) []string { return []string{"-f", p.in("torrc"), "--defaults-torrc", "/dev/null"} },
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{}, readiness.TCP{Address: p.tcp()}}
		},
		says:       re(`Opened Socks listener connection \(ready\)`),
		ask:        talk("\x05\x01\x00", `\x05\x00`),
		badConfig:  change("torrc", "SocksPort", "SoksPort"),
		foreground: "`RunAsDaemon 0`, its default", background: more("--RunAsDaemon", "1"),
		note: "READY=1 says that its configuration was read, not that a port is open, so `TCP` has to follow.",
	},
	{
		name: "privoxy", pkg: "privoxy", programs: []string{"privoxy"},
		setup: file("config", "listen-address 127.0.0.1:PORT\nconfdir /etc/privoxy\nlogdir DATA\n"),
		args:  func(p *place) []string { return []string{"--no-daemon", p.in("config")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Send: "GET http://p.p/ HTTP/1.0\r\n\r\n", Expect: re(`^HTTP/1\.\d 200 `)},
			}
		},
		ask:        talk("GET http://p.p/ HTTP/1.0\r\n\r\n", `<title>Privoxy[^<]*`),
		badConfig:  change("config", "127.0.0.1:", "256.0.0.1:"),
		foreground: "`--no-daemon`", background: without("--no-daemon"),
		note: "Without `--no-daemon` its child answers before the first process exits, so the pod is ready, and gone a moment later. " +
			"Its exit status after a signal is the signal's number.",
	},
	{
		name: "tinyproxy", pkg: "tinyproxy", programs: []string{"tinyproxy"},
		note:      "A SIGTERM that comes soon after the start is lost in some runs, and SIGKILL has to end it.",
		setup:     file("tinyproxy.conf", "Port PORT\nListen 127.0.0.1\nMaxClients 10\nStatHost \"pod.test\"\nStatFile \"DATA/stat.html\"\n"),
		args:      func(p *place) []string { return []string{"-d", "-c", p.in("tinyproxy.conf")} },
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.TCP{Address: p.tcp()}, readiness.Talk{Send: "GET / HTTP/1.0\r\n\r\n", Expect: re(`^HTTP/1\.0 `)}}
		},
		says: re(`Accepting connections`),
		ask:  talk("GET / HTTP/1.0\r\nHost: pod.test\r\n\r\n", `(?i)server: tinyproxy/\S+`), badFlag: "-Z",
		badConfig:  change("tinyproxy.conf", "MaxClients", "MaxCleints"),
		foreground: "`-d`", background: without("-d"),
	},
	{
		name: "varnish", pkg: "varnish", programs: []string{"varnishd"},
		args: func(p *place) []string {
			return []string{"-F", "-j", "none", "-a", p.tcp(), "-b", "none", "-n", p.in("work")}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/", Status: 503}
		},
		says: re(`Child .* said Child starts`),
		ask:  talk("GET / HTTP/1.0\r\n\r\n", `Varnish`), badFlag: "-Z",
		foreground: "`-F`", background: without("-F"),
	},
	{
		name: "stunnel", pkg: "stunnel4", programs: []string{"stunnel4"},
		setup: certified(file("stunnel.conf", "foreground = yes\npid =\nsyslog = no\n[pod]\naccept = 127.0.0.1:PORT\ncert = DATA/cert.pem\n"+
			"exec = /bin/echo\nexecArgs = echo hello from stunnel\n")),
		args: func(p *place) []string { return []string{p.in("stunnel.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.Pattern{Regexp: re(`Configuration successful`)}, readiness.TCP{Address: p.tcp()}}
		},
		ask: talkTLS("", `hello from stunnel`), badFlag: "-Z",
		badConfig:  change("stunnel.conf", "accept", "acept"),
		foreground: "`foreground = yes`", background: spoiled("stunnel.conf", "foreground = yes", ""),
	},
	{
		name: "turnserver", pkg: "coturn", programs: []string{"turnserver"},
		args: func(p *place) []string {
			return []string{"-n", "--no-cli", "-L", "127.0.0.1", "-p", p.port, "--no-tls", "--no-dtls", "--no-auth", "--log-file", "stdout",
				"--pidfile", p.in("pid"), "--db", p.in("db"), "--realm", "pod.test"}
		},
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Send: "\x00\x01\x00\x00\x21\x12\xa4\x42podlaunchpod", Expect: re(`^\x01\x01`)},
			}
		},
		ask:        talk("\x00\x01\x00\x00\x21\x12\xa4\x42podlaunchpod", `(?s)^\x01\x01..!\x12`),
		foreground: "no `-o`", background: more("-o"),
	},
}
