#!/usr/bin/env bash
# Subject:  Xvfb 2:21.1.7-3+deb12u13 (Debian 12), started with SIGUSR1 ignored.
# Expected: Xvfb sends SIGUSR1 to its parent once, when it is ready. Xserver(1) says
#           under SIGNALS that it does so after it has set up its connections.
# Seen:     it does so again whenever its last client has gone: it then resets, and goes
#           through its start once more. -noreset avoids it.
# Output:   Xvfb is ready: SIGUSR1
#           the only client has gone: SIGUSR1
#           the only client has gone: SIGUSR1
# Hurts:    who waits for the signal, and gives SIGUSR1 its usual meaning back after that:
#           the default is to end, so that the launcher dies when a browser closes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    xvfb=2:21.1.7-3+deb12u13 libxfont2=1:2.0.6-1+deb12u1 libfontenc1=1:1.1.4-1 \
    libgl1=1.6.0-1 libglvnd0=1.6.0-1 libglx0=1.6.0-1 libpixman-1-0=0.42.2-1 \
    libunwind8=1.6.2-3 libxau6=1:1.0.9-1 libxdmcp6=1:1.1.2-3 libbsd0=0.11.7-2 \
    libmd0=1.0.4-2 libx11-6=2:1.8.4-2+deb12u2 libxcb1=1.15-1 libxext6=2:1.3.4-1+b1 \
    x11-xkb-utils=7.7+7 libxkbfile1=1:1.1.0-1 xkb-data=2.35.1-1
for file in *.deb; do dpkg-deb -x "$file" root; done
cat >check.py <<'END'
import os
import signal
import socket
import struct
import subprocess

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


def prepare():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])


def await_signal(when):
    got = signal.sigtimedwait([signal.SIGUSR1], 10)
    print(f"{when}: {'SIGUSR1' if got else 'no signal'}", flush=True)


def client():
    """Opens a display as any program does, and closes it."""
    with socket.socket(socket.AF_UNIX) as display:
        display.connect("/tmp/.X11-unix/X0")
        display.send(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        if display.recv(1) != b"\1":
            raise SystemExit("the server has refused the client")


server = subprocess.Popen(["Xvfb", ":0", "-nolisten", "tcp"], preexec_fn=prepare)
try:
    await_signal("Xvfb is ready")
    for _ in range(2):
        client()
        await_signal("the only client has gone")
finally:
    server.terminate()
    server.wait(20)
END
# Xvfb runs /usr/bin/xkbcomp: in a mount namespace the packages lie over /usr. A
# network namespace and a /tmp of its own make sure of its display number.
cat >inside.sh <<'END'
mount -t overlay overlay -o "lowerdir=$1/root/usr:/usr" /usr
exec 3<check.py
mount -t tmpfs tmpfs /tmp
cd /
timeout 40 python3 /dev/fd/3
END
seen=$(unshare --user --map-root-user --mount --net bash inside.sh "$work" 2>xvfb.log) || true
echo "$seen"
[ "$(grep -c ': SIGUSR1$' <<<"$seen")" = 3 ] ||
    { echo "changed: Xvfb does not signal once more"; tail -n 5 xvfb.log; exit 1; }
