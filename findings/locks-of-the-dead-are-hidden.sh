#!/usr/bin/env bash
# Subject:  /proc/locks of Linux (seen with 6.18) in a PID namespace, as in a container.
# Expected: a lock that a process of the container holds is in its /proc/locks. proc(5)
#           says that the file shows the locks of the processes in the namespace.
# Seen:     a lock of flock(1) by descriptor belongs to the shell that has the
#           descriptor. It is listed under the pid of flock(1), which has ended, and
#           such locks are left out, except in the first PID namespace.
# Output:   another one tries to lock: taken
#           fdinfo of the holder has the lock: yes
#           /proc/locks has the lock: no
#           /proc/locks has the lock of a living process: yes
# Hurts:    who asks lslocks or /proc/locks in a container what holds a daemon's lock: the
#           list is empty, and the lock is held.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
seen=$(timeout 20 unshare --user --map-root-user --pid --fork --mount-proc bash -c '
    has() { if grep -q ":$(stat -c %i lock) " "$1"; then echo yes; else echo no; fi; }
    exec 9>lock
    flock --nonblock 9
    if flock --nonblock lock true; then echo "another one tries to lock: gets it"
    else echo "another one tries to lock: taken"; fi
    echo "fdinfo of the holder has the lock: $(grep -q ^lock: /proc/$$/fdinfo/9 && echo yes || echo no)"
    echo "/proc/locks has the lock: $(has /proc/locks)"
    exec 9>&-
    # A lock of a process that lives is listed.
    mkfifo up; mkfifo down
    flock --no-fork lock sh -c "echo >up; read -r line <down" &
    read -r line <up
    echo "/proc/locks has the lock of a living process: $(has /proc/locks)"
    echo >down
    wait')
echo "$seen"
grep -qxF 'another one tries to lock: taken' <<<"$seen" &&
    grep -qxF 'fdinfo of the holder has the lock: yes' <<<"$seen" &&
    grep -qxF '/proc/locks has the lock of a living process: yes' <<<"$seen" ||
    { echo "the comparison fails: the lock is not held, or none is listed"; exit 1; }
grep -qxF '/proc/locks has the lock: no' <<<"$seen" ||
    { echo "changed: the lock is listed"; exit 1; }
