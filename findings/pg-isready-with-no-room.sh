#!/usr/bin/env bash
# Subject:  pg_isready of PostgreSQL 15.20-0+deb12u1 (Debian 12).
# Expected: status 0 for a server that takes clients, and 1 for one that turns them away:
#           pg_isready(1) promises just that.
# Seen:     it is 0, and "accepting connections", while the server turns away every client,
#           the superuser too, because max_connections are there. Only one refusal counts as
#           a refusal, the one of a server that starts, stops or recovers. Any other error is
#           taken for the voice of a healthy server.
# Output:   with room: pg_isready 0, accepting connections; psql 0
#           no room: pg_isready 0, accepting connections; psql 2, FATAL:  sorry, too many clients already
#           stops: pg_isready 1, rejecting connections; psql 2, FATAL:  the database system is shutting down
# Hurts:    who uses it for the readiness or the health of a pod or a container: the check
#           is green while no client gets in, for as long as a leak of connections lasts.
set -euo pipefail

work=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null || true
    kill $(jobs -p) 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap stop EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download postgresql-15=15.20-0+deb12u1 \
    postgresql-client-15=15.20-0+deb12u1 libpq5=15.20-0+deb12u1 \
    libicu72=72.1-3+deb12u1 libxml2=2.9.14+dfsg-1.3~deb12u6
for file in *.deb; do dpkg-deb -x "$file" root; done
bin=$work/root/usr/lib/postgresql/15/bin
export LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu) LC_ALL=C PGHOST=$work/data PGUSER=admin
mkdir data
user=() # PostgreSQL refuses to run as root
if [ "$(id -u)" = 0 ]; then
    chmod 755 "$work"
    chown 65534 data
    user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
"${user[@]}" "$bin/initdb" -D data/cluster -U admin --auth=trust --no-locale --no-sync >initdb.log
"${user[@]}" "$bin/postgres" -D data/cluster -k "$work/data" -c listen_addresses= -c jit=off \
    -c max_connections=4 -c superuser_reserved_connections=1 -c max_wal_senders=0 >server.log 2>&1 &
server=$!

# state NAME: what pg_isready and a client see.
state() {
    local ready status=0 said error= client=0
    said=$("$bin/pg_isready") || status=$?
    ready="$status, ${said#* - }"
    error=$("$bin/psql" -Atqc 'select 1' postgres 2>&1 >/dev/null) || client=$?
    [ -z "$error" ] || error=", FATAL:${error##*FATAL:}"
    echo "$1: pg_isready $ready; psql $client$error"
}
for _ in $(seq 400); do
    if "$bin/pg_isready" -q; then break; fi
    kill -0 "$server" 2>/dev/null || { echo "gave up: the server has ended"; cat server.log; exit 1; }
    sleep 0.05
done
seen=$(state 'with room')

# Four clients come in and stay. A place is free only a moment after its client has gone.
mkfifo hold
exec 9<>hold
for n in 1 2 3 4; do
    for _ in $(seq 200); do
        "$bin/psql" -q -c "\! echo in >client.$n" -f hold postgres >/dev/null 2>&1 9>&- &
        while [ ! -s client.$n ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
        [ ! -s client.$n ] || continue 2
    done
    echo "gave up: client $n does not get in"
    exit 1
done
seen+=$'\n'$(state 'no room')

kill -TERM "$server" # it waits for the clients, and lets no other in
for _ in $(seq 400); do
    "$bin/pg_isready" -q || break
    sleep 0.02
done
seen+=$'\n'$(state 'stops')
echo "$seen"

full='FATAL:  sorry, too many clients already' stops='FATAL:  the database system is shutting down'
grep -qxF 'with room: pg_isready 0, accepting connections; psql 0' <<<"$seen" &&
    grep -qxF "stops: pg_isready 1, rejecting connections; psql 2, $stops" <<<"$seen" ||
    { echo "the comparison fails: pg_isready does not know a server that stops"; exit 1; }
grep -qxF "no room: pg_isready 0, accepting connections; psql 2, $full" <<<"$seen" ||
    { echo "changed: pg_isready knows a server that turns everybody away"; exit 1; }
