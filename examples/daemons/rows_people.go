package main

import (
	"context"
	"os"

	"github.com/podlaunch/podlaunch/readiness"
)

// peopleRows are the daemons of mail, chat, files and logins.
var peopleRows = []row{
	{
		name: "sshd", pkg: "openssh-server", programs: []string{"sshd"},
		setup: func(ctx context.Context, p *place) error {
			if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // it has to be there, and nowhere else
				return err
			}
			if err := command(ctx, []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.in("key")}); err != nil {
				return err
			}
			return file("sshd_config", "Port PORT\nListenAddress 127.0.0.1\nHostKey DATA/key\nPidFile none\nUsePAM no\n")(ctx, p)
		},
		args: func(p *place) []string { return []string{"-D", "-e", "-f", p.in("sshd_config")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.Pattern{Regexp: re(`^Server listening on (?P<host>\S+) port (?P<port>\d+)\.`)},
				readiness.Talk{Expect: re(`^SSH-2\.0-`)},
			}
		},
		ask: talk("SSH-2.0-pod\r\n", `SSH-2\.0-\S+`), badFlag: "-Z",
		badConfig:  change("sshd_config", "UsePAM", "UsePM"),
		foreground: "`-D`", background: without("-D"),
		note: "Without `-D` the launch fails, and in about one run of four a child of it stays: it has left the session, closed what " +
			"it had open, and written over its environment.",
	},
	{
		name: "rsync", pkg: "rsync", programs: []string{"rsync"},
		setup: file("rsyncd.conf", "use chroot = no\n[pod]\npath = DATA\n"),
		args: func(p *place) []string {
			return []string{"--daemon", "--no-detach", "--config=" + p.in("rsyncd.conf"), "--address=127.0.0.1", "--port=" + p.port, "--log-file=/dev/stderr"}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.TCP{Address: p.tcp()}, readiness.Talk{Expect: re(`^@RSYNCD: `)}}
		},
		says:       re(`rsyncd version .* starting`),
		ask:        talk("@RSYNCD: 31.0 md5\n\n", `(?s)@RSYNCD: [\d.]+.*pod`),
		badConfig:  change("rsyncd.conf", "[pod]", "[pod"),
		foreground: "`--no-detach`", background: without("--no-detach"),
	},
	{
		name: "vsftpd", pkg: "vsftpd", programs: []string{"vsftpd"},
		setup: file("vsftpd.conf", "listen=YES\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port=PORT\nanonymous_enable=YES\n"+
			"anon_root=DATA\nsecure_chroot_dir=DATA\nseccomp_sandbox=NO\n"),
		args: func(p *place) []string { return []string{p.in("vsftpd.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.TCP{Address: p.tcp()}, readiness.Talk{Expect: re(`^220 `)}}
		},
		ask: talk("USER x\r\n", `220 \(vsFTPd [\d.]+\)`), badFlag: "-Z",
		badConfig:  change("vsftpd.conf", "listen=", "lissten="),
		note:       "What it complains of goes to its standard input, and so the launch's error has none of it. Give it a file as `Spec.Stdin` to see it.",
		foreground: "`background=NO`, its default", background: spoiled("vsftpd.conf", "background=NO", "background=YES"),
	},
	{
		name: "ngircd", pkg: "ngircd", programs: []string{"ngircd"}, as: "irc",
		setup: file("ngircd.conf", "[Global]\nName = irc.pod.test\nInfo = a pod\nListen = 127.0.0.1\nPorts = PORT\nMotdPhrase = hello\n"+
			"[Options]\nDNS = no\nIdent = no\nPAM = no\n"),
		args:      func(p *place) []string { return []string{"-n", "-f", p.in("ngircd.conf")} },
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.TCP{Address: p.tcp()}, readiness.Talk{Send: "PING :x\r\n", Expect: re(`(?s).`)}}
		},
		says:       re(`Now listening on`),
		ask:        talk("NICK pod\r\nUSER pod 0 0 :pod\r\n", `:irc\.pod\.test 001 pod`),
		badConfig:  change("ngircd.conf", "Name = irc.pod.test", "Name ="),
		foreground: "`-n`", background: without("-n"),
	},
	{
		name: "prosody", pkg: "prosody", programs: []string{"prosody"}, as: "prosody",
		setup: file("prosody.cfg.lua", `pidfile = "DATA/pid"
data_path = "DATA"
interfaces = { "127.0.0.1" }
c2s_ports = { PORT }
modules_disabled = { "s2s" }
log = { { levels = { min = "info" }, to = "console" } }
VirtualHost "localhost"
`),
		args:      func(p *place) []string { return []string{"-F", "--config", p.in("prosody.cfg.lua")} },
		logStdout: true,
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.TCP{Address: p.tcp()}, readiness.Talk{Send: xmpp, Expect: re(`<stream:stream`)}}
		},
		says:       re(`Activated service 'c2s'`),
		ask:        talk(xmpp, `<stream:stream`),
		badConfig:  change("prosody.cfg.lua", "interfaces = {", "interfaces = "),
		foreground: "`-F`", background: func(_ *place, args []string) ([]string, error) {
			return append([]string{args[0], "-D"}, args[2:]...), nil
		},
	},
	{
		name: "dovecot", pkg: "dovecot-imapd", programs: []string{"dovecot"},
		setup: func(ctx context.Context, p *place) error {
			if err := os.Chmod(p.data, 0o755); err != nil { // its users pass through
				return err
			}
			return file("dovecot.conf", `base_dir = DATA/run
state_dir = DATA/state
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=DATA
}
service imap-login {
  inet_listener imap {
    port = PORT
  }
  inet_listener imaps {
    port = 0
  }
}
`)(ctx, p)
		},
		args: func(p *place) []string { return []string{"-F", "-c", p.in("dovecot.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{
				readiness.NotifySocket{},
				readiness.TCP{Address: p.tcp()},
				readiness.Talk{Expect: re(`^\* OK `)},
			}
		},
		says: re(`starting up`),
		ask:  talk("", `\* OK .* ready\.`), badFlag: "-Z",
		badConfig:  change("dovecot.conf", "protocols", "protocolls"),
		foreground: "`-F`", background: without("-F"),
	},
	{
		name: "icecast", pkg: "icecast2", programs: []string{"icecast2"}, as: "icecast2",
		setup: file("icecast.xml", `<icecast>
<limits><sources>2</sources></limits>
<authentication><source-password>x</source-password><admin-user>a</admin-user><admin-password>x</admin-password></authentication>
<hostname>localhost</hostname>
<listen-socket><port>PORT</port><bind-address>127.0.0.1</bind-address></listen-socket>
<paths><basedir>/usr/share/icecast2</basedir><logdir>DATA</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
</icecast>
`),
		args: func(p *place) []string { return []string{"-c", p.in("icecast.xml")} },
		note: "It ignores flags that it does not know. SIGTERM ends it by a segmentation fault in some runs.",
		ready: func(p *place) readiness.Probe {
			return readiness.HTTP{URL: "http://" + p.tcp() + "/status-json.xsl"}
		},
		ask:        page("/status-json.xsl", `"server_start_iso8601":`),
		badConfig:  change("icecast.xml", "</icecast>", ""),
		foreground: "no `-b`", background: more("-b"),
	},
	{
		name: "mpd", pkg: "mpd", programs: []string{"mpd"}, as: "mpd",
		setup: file("mpd.conf", "bind_to_address \"127.0.0.1\"\nport \"PORT\"\nmusic_directory \"DATA\"\ndb_file \"DATA/db\"\n"+
			"zeroconf_enabled \"no\"\naudio_output {\n type \"null\"\n name \"none\"\n}\n"),
		args: func(p *place) []string { return []string{"--no-daemon", "--stderr", p.in("mpd.conf")} },
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.NotifySocket{Public: true}, readiness.TCP{Address: p.tcp()}}
		},
		ask:        talk("ping\n", `OK MPD [\d.]+`),
		badConfig:  change("mpd.conf", "port", "prt"),
		foreground: "`--no-daemon`", background: without("--no-daemon", "--stderr"),
	},
	{
		name: "snmpd", pkg: "snmpd", programs: []string{"snmpd"},
		setup: file("snmpd.conf", "rocommunity public 127.0.0.1\n"), env: []string{"SNMP_PERSISTENT_DIR=/nonexistent"},
		args: func(p *place) []string {
			return []string{"-f", "-Le", "-C", "-c", p.in("snmpd.conf"), "tcp:" + p.tcp()}
		},
		ready: func(p *place) readiness.Probe {
			return readiness.Sequence{readiness.Pattern{Regexp: re(`^NET-SNMP version`)}, readiness.TCP{Address: p.tcp()}}
		},
		ask: talk("0&\x02\x01\x00\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x000\x0e0\x0c\x06\x08+\x06\x01\x02\x01\x01\x01\x00\x05\x00",
			`Linux \S+`), badFlag: "-Z",
		badConfig:  change("snmpd.conf", "rocommunity", "rocomunity"),
		foreground: "`-f`", background: without("-f"),
	},
}

// xmpp opens a stream.
const xmpp = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' " +
	"xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
