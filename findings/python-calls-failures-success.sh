#!/usr/bin/env bash
# Subject:  subprocess of Python 3.11.2-6+deb12u9 (Debian 12), SIGCHLD ignored.
# Expected: run(["false"]) has the return code 1, and check=True raises. The page of
#           subprocess says that a return code of 0 indicates success.
# Seen:     in a program that was started with SIGCHLD ignored, every command succeeds:
#           the return code is 0, and nothing is raised. The kernel keeps no status of
#           children then, wait fails with ECHILD, and subprocess takes 0 for it. An
#           ignored signal is inherited through exec, so that it is enough that some
#           program further up ignores SIGCHLD. A shell and Node put the signal back.
# Output:   SIGCHLD as usual: run(["false"]) returns 1, check=True raises CalledProcessError
#           SIGCHLD ignored: run(["false"]) returns 0, check=True raises nothing
#           SIGCHLD ignored: sh -c false returns 1
# Hurts:    who writes a health check or a hook in Python and has it run by a supervisor
#           that ignores SIGCHLD so as not to have to reap.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    python3.11-minimal=3.11.2-6+deb12u9 libpython3.11-minimal=3.11.2-6+deb12u9 \
    libpython3.11-stdlib=3.11.2-6+deb12u9
for file in *.deb; do dpkg-deb -x "$file" root; done
cat >check.py <<'END'
import subprocess

code = subprocess.run(["false"]).returncode
try:
    subprocess.run(["false"], check=True)
    raised = "nothing"
except subprocess.CalledProcessError:
    raised = "CalledProcessError"
print(f'run(["false"]) returns {code}, check=True raises {raised}')
END
python() { PYTHONHOME=$work/root/usr root/usr/bin/python3.11 "$@"; }

# ignoring COMMAND…: runs it with SIGCHLD ignored, as a supervisor may.
ignoring() { (trap '' CHLD && exec "$@"); }

usual=$(python check.py)
ignored=$(ignoring env PYTHONHOME="$work/root/usr" root/usr/bin/python3.11 check.py)
shell=0
ignoring sh -c 'false; exit $?' || shell=$?
echo "SIGCHLD as usual: $usual"
echo "SIGCHLD ignored: $ignored"
echo "SIGCHLD ignored: sh -c false returns $shell"
[ "$usual" = 'run(["false"]) returns 1, check=True raises CalledProcessError' ] ||
    { echo "the comparison fails: the usual case has changed"; exit 1; }
[ "$ignored" = 'run(["false"]) returns 0, check=True raises nothing' ] ||
    { echo "changed: with SIGCHLD ignored a failure is seen"; exit 1; }
