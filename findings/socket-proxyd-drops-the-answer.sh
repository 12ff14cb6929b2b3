#!/usr/bin/env bash
# Subject:  systemd-socket-proxyd of systemd 252.39-1~deb12u2 (Debian 12), with CPython 3.11 on
#           both sides of it.
# Expected: as without the proxy, a client that has sent its request and says so, by
#           shutdown(2) of its own side, gets the answer. RFC 9293, section 3.6: who has closed
#           its side goes on receiving until the other one has closed.
# Seen:     at the end of the request the proxy closes both connections. An answer that is not
#           there by then is lost, and the client reads an orderly end, and no error. The
#           server has sent all of it without an error, too.
# Output:   direct: b'answer to request', the server saw no error
#           by the proxy: b'', the server saw no error
# Hurts:    who gives a server that cannot take a socket over such a proxy, so that it starts
#           with its first client: clients that end their request so, as those of whois,
#           finger and `nc -N`, get an empty answer, the slower the server the more often.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2
for file in *.deb; do dpkg-deb -x "$file" root; done
cat >both.py <<'END'
import os
import socket
import subprocess
import threading
import time

backend = socket.create_server(("127.0.0.1", 0))
front = socket.create_server(("127.0.0.1", 0))
errors = []


def serve():
    while True:
        conn, _ = backend.accept()
        request = b""
        while part := conn.recv(100):
            request += part
        time.sleep(0.5)
        try:
            conn.sendall(b"answer to " + request)
        except OSError as e:
            errors.append(e)
        conn.close()


def ask(server):
    with socket.create_connection(server.getsockname()) as conn:
        conn.sendall(b"request")
        conn.shutdown(socket.SHUT_WR)
        answer = b""
        while part := conn.recv(100):
            answer += part
    time.sleep(0.5)
    return f"{answer}, the server saw {errors or 'no error'}"


threading.Thread(target=serve, daemon=True).start()
print("direct:", ask(backend))
os.set_inheritable(front.fileno(), True)
proxy = subprocess.Popen(
    ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh",
     "root/lib/systemd/systemd-socket-proxyd", "%s:%d" % backend.getsockname()],
    env={**os.environ, "LD_LIBRARY_PATH": "root/lib/x86_64-linux-gnu/systemd"},
    preexec_fn=lambda: os.dup2(front.fileno(), 3), close_fds=False)
try:
    print("by the proxy:", ask(front))
finally:
    proxy.kill()
END
got=$(python3 both.py)
want="direct: b'answer to request', the server saw no error
by the proxy: b'', the server saw no error"
echo "$got"
[ "${got%%$'\n'*}" = "${want%%$'\n'*}" ] ||
    { echo "the comparison fails: not even a direct client gets the answer"; exit 1; }
[ "$got" = "$want" ] ||
    { echo "changed: the proxy passes the answer on, or says that it is lost"; exit 1; }
