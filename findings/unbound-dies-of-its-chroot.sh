#!/usr/bin/env bash
# Subject:  unbound 1.17.1-2+deb12u4 (Debian 12), with chroot and NOTIFY_SOCKET.
# Expected: unbound serves in its chroot, with or without somebody to notify.
#           sd_notify(3) asks programs to ignore that a notification fails, and
#           unbound.conf(5) says nothing of it where it explains chroot.
# Seen:     it notifies after chroot, where the path in NOTIFY_SOCKET leads nowhere, and
#           calls that a fatal error: the server ends. Without NOTIFY_SOCKET, without the
#           chroot, and with an abstract socket it serves.
# Output:   no NOTIFY_SOCKET, chroot: serves
#           a path, no chroot: serves, said READY=1
#           an abstract socket, chroot: serves, said READY=1
#           a path, chroot: ended with 1: fatal error: sd_notify failed
# Hurts:    who launches it by a supervisor with a notify socket in the file system, or
#           from a service that has NOTIFY_SOCKET in its environment: a configuration
#           that works from a shell ends there.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download unbound=1.17.1-2+deb12u4 \
    libevent-2.1-7=2.1.12-stable-8+deb12u1 libnghttp2-14=1.52.0-1+deb12u3 \
    libprotobuf-c1=1.4.1-1+b1 libpython3.11=3.11.2-6+deb12u9
for file in *.deb; do dpkg-deb -x "$file" root; done
mkdir jail
cat >check.py <<'END'
import os
import secrets
import socket
import subprocess
import sys

os.chdir(sys.argv[1])
unbound = "root/usr/sbin/unbound"
library = sys.argv[2]


def run(label, address, chroot):
    """Starts unbound and says whether it serves, ends, and notifies."""
    with open("jail/unbound.conf", "w") as conf:
        conf.write(f'server:\n interface: 127.0.0.1@{port}\n chroot: "{chroot}"\n'
                   f' directory: "{os.getcwd()}/jail"\n username: ""\n pidfile: ""\n'
                   ' use-syslog: no\n do-daemonize: no\nremote-control:\n control-enable: no\n')
    env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": library}
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if address:
        notify.bind(address.replace("@", "\0", 1))
        notify.settimeout(10)
        env["NOTIFY_SOCKET"] = address
    server = subprocess.Popen([unbound, "-d", "-c", os.getcwd() + "/jail/unbound.conf"],
                              env=env, stderr=subprocess.PIPE, text=True)
    result = "no word of it"
    for line in server.stderr:
        if "start of service" in line:
            result = "serves"
            if address:
                result += ", said " + notify.recv(100).decode()
            server.terminate()
        if "fatal error" in line:
            result = "fatal error:" + line.split("fatal error:")[1].split(" /")[0]
    code = server.wait(10)
    if "fatal" in result:
        result = f"ended with {code}: {result}"
    print(f"{label}: {result.strip()}")


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
jail = os.getcwd() + "/jail"
run("no NOTIFY_SOCKET, chroot", None, jail)
run("a path, no chroot", os.getcwd() + "/one", "")
run("an abstract socket, chroot", "@finding-" + secrets.token_hex(8), jail)
run("a path, chroot", os.getcwd() + "/two", jail)
END
# chroot needs its right; in a user namespace everybody has it.
seen=$(timeout 50 unshare --user --map-root-user python3 check.py "$work" \
    "$(echo "$work"/root/usr/lib/*-linux-gnu)")
echo "$seen"
grep -qxF 'an abstract socket, chroot: serves, said READY=1' <<<"$seen" ||
    { echo "the comparison fails: it does not serve where it has served"; exit 1; }
grep -qxF 'a path, chroot: ended with 1: fatal error: sd_notify failed' <<<"$seen" ||
    { echo "changed: unbound lives with a notification that fails"; exit 1; }
