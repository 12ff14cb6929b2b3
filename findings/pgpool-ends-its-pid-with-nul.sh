#!/usr/bin/env bash
# Subject:  the pid file of pgpool-II 4.3.5-1+deb12u1 (Debian 12).
# Expected: the number and a newline, as in the pid files of other daemons, or the number
#           alone. pid_file_name is documented as the file that has the process's id.
# Seen:     no newline follows the number but the NUL that ends a string in C. A shell and
#           pgrep -F take it as a number; int() of Python does not, with or without strip().
# Output:   the file: digits and \0
#           pgrep -F: finds it
#           Python: invalid literal for int() with base 10
# Hurts:    who reads the pid in a program that trims white space, to watch or to stop it: it
#           seems that the daemon has written nonsense.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 \
    libpq5 libmemcached11
for package in *.deb; do dpkg-deb -x "$package" root; done

cat >pgpool.conf <<END
listen_addresses = ''
pcp_listen_addresses = ''
unix_socket_directories = '$work'
pcp_socket_dir = '$work'
wd_ipc_socket_dir = '$work'
logdir = '$work'
pid_file_name = '$work/pgpool.pid'
num_init_children = 1
backend_hostname0 = '$work'
backend_port0 = 5432
END
touch empty
LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu timeout 50 \
    root/usr/sbin/pgpool -n -f pgpool.conf -a empty -F empty >log 2>&1 &
for _ in $(seq 300); do
    [ -s pgpool.pid ] && break
    kill -0 $! || { cat log; exit 1; }
    sleep 0.05
done

last=$(tail -c 1 pgpool.pid | od -An -c | tr -d ' ')
echo "the file: digits and $last"
found=$(pgrep -F pgpool.pid || true)
[ -z "$found" ] || echo "pgrep -F: finds it"
said=$(python3 -c 'int(open("pgpool.pid").read().strip())' 2>&1 | tail -1) || true
said=${said#ValueError: }
echo "Python: ${said%%:*}"
if [ "$last" != '\0' ] || [ -z "$found" ] || [[ $said != "invalid literal"* ]]; then
    echo "changed"
    exit 1
fi
