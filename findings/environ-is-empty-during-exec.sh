#!/usr/bin/env bash
# Subject:  /proc/PID/environ and /proc/PID/cmdline of Linux (seen with 6.18) during execve(2).
# Expected: a reader sees the environment of the old program or that of the new one. Both
#           have the variable MARK, so every successful read has it. proc(5) knows an
#           empty cmdline of zombies only.
# Seen:     some reads succeed and give no byte at all: the new memory is there, and where
#           its environment is has not been noted yet. Of a process that does nothing but
#           execute itself it is every tenth read. cmdline is empty at the same time.
# Output:   environ: with the variable: yes, without it: no, empty: yes, errors: no
#           cmdline: with the argument: yes, without it: no, empty: yes, errors: no
# Hurts:    who finds the processes of a job by a variable, as build servers do to end
#           what a build has left, or calls what has no cmdline a kernel thread or a
#           zombie: a process that executes just then is passed over.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
cat >"$work/again.c" <<'END'
#include <unistd.h>
int main(int argc, char **argv) { return execv("/proc/self/exe", argv); }
END
cc -static -o "$work/again" "$work/again.c"
cat >"$work/read.py" <<'END'
import sys, time
path, want = sys.argv[1], sys.argv[2].encode()
have = other = empty = errors = 0
end = time.monotonic() + 20
while time.monotonic() < end and not (have and empty and have + empty > 5000):
    try:
        text = open(path, "rb").read()
    except OSError:
        errors += 1
        continue
    if want in text:
        have += 1
    elif text:
        other += 1
    else:
        empty += 1
for what, n in (("", have), ("without it: ", other), ("empty: ", empty), ("errors: ", errors)):
    print(what + ("yes" if n else "no"), end=", " if what != "errors: " else "\n")
END
MARK=ours "$work/again" argument &
pid=$!
environ=$(python3 "$work/read.py" /proc/$pid/environ MARK=ours)
cmdline=$(python3 "$work/read.py" /proc/$pid/cmdline argument)
echo "environ: with the variable: $environ"
echo "cmdline: with the argument: $cmdline"
for seen in "$environ" "$cmdline"; do
    [ "$seen" = "yes, without it: no, empty: yes, errors: no" ] || { echo "changed: $seen"; exit 1; }
done
