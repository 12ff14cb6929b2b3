#!/usr/bin/env bash
# Subject:  epmd of Erlang 25.2.3 (Debian 12), by which nodes find each other.
# Expected: two nodes that were started as two jobs are independent. epmd(1) calls it a
#           daemon that acts as a name server on all hosts involved.
# Seen:     the first node that finds none starts epmd as a child in its own group of
#           processes. epmd keeps the environment of that job, and its cgroup, and serves all
#           nodes of the machine. What ends all of the first job by either ends epmd, too:
#           the second node runs on, and no name is found any more.
# Output:   epmd has in its environment: JOB=first
#           names before: first second
#           the first job was ended; the second node runs; names: none, cannot connect
# Hurts:    who runs several nodes (RabbitMQ, ejabberd, CouchDB) under a manager that ends all
#           processes of a job. Start epmd as a job of its own before the first node.
set -euo pipefail

work=$(mktemp -d)
of() { # the processes that have the variable in their environment
    grep -lszE "^JOB=$1-$$\$" /proc/[0-9]*/environ | cut -d/ -f3 || true
}
ended() {
    local pid
    for pid in $(of "$1"); do kill -9 "$pid" 2>/dev/null || true; done
}
trap 'ended first; ended second; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download erlang-base=1:25.2.3+dfsg-1+deb12u4
dpkg-deb -x erlang-base_*.deb root

export ROOTDIR=$work/root/usr/lib/erlang HOME=$work EMU=beam PROGNAME=erl
export BINDIR=$ROOTDIR/erts-13.1.5/bin ERL_EPMD_ADDRESS=127.0.0.1
export ERL_EPMD_PORT=$((20000 + $$ % 10000)) PATH=$ROOTDIR/erts-13.1.5/bin:$PATH

names() { epmd -names 2>/dev/null | sed -n 's/^name \([a-z]*\) at port.*/\1/p' | sort | paste -sd' '; }
for node in first second; do
    JOB=$node-$$ setsid -f erlexec -boot "$ROOTDIR/bin/start_clean" -noinput -sname $node -setcookie x >$node.log 2>&1
    for _ in $(seq 300); do
        case " $(names) " in *" $node "*) break ;; esac
        sleep 0.05
    done
    case " $(names) " in *" $node "*) ;; *) cat $node.log; exit 1 ;; esac
done

job=
for pid in $(of first) $(of second); do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != epmd ] || job=$(tr '\0' '\n' <"/proc/$pid/environ" | grep -a '^JOB=')
done
job=${job%-*}
before=$(names)
echo "epmd has in its environment: $job"
echo "names before: $before"
ended first
for _ in $(seq 100); do
    [ -n "$(of first)" ] || break
    sleep 0.05
done
runs=no
[ -z "$(of second)" ] || runs=yes
after=$(epmd -names 2>&1 || true)
[ $runs = no ] || [[ $after != *"annot connect"* ]] || echo "the first job was ended; the second node runs; names: none, cannot connect"
if [ "$job" != JOB=first ] || [ "$before" != "first second" ] || [ $runs = no ] || [[ $after != *"annot connect"* ]]; then
    echo "changed: $job; $before; the second node runs: $runs; $after"
    exit 1
fi
