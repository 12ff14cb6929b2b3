#!/usr/bin/env bash
# Subject:  s6-setlock of s6 2.11.3.2-1 (Debian 12), beside setlock of daemontools 0.76, chpst of
#           runit 2.1.2 and flock of util-linux 2.38.1.
# Expected: as its model setlock, it runs a program with a file locked until that ends. Its page
#           says that it leaves a descriptor open in the program, which holds the lock until
#           the program ends.
# Seen:     the descriptor holds nothing. The lock is a record lock of fcntl(2), which belongs
#           to the process. It is gone as soon as the program closes the file once, as one
#           does that writes its pid there. It is gone when the program goes to the background.
#           And the three others, which use flock(2), do not see it, nor does it see theirs.
# Output:   setlock: held: yes; has written its pid there: yes; in the background: yes; flock sees it: yes
#           chpst -L: held: yes; has written its pid there: yes; in the background: yes; flock sees it: yes
#           flock: held: yes; has written its pid there: yes; in the background: yes; flock sees it: yes
#           s6-setlock: held: yes; has written its pid there: no; in the background: no; flock sees it: no
# Hurts:    who moves a run script or a cron job to s6, or only some of them: two of what
#           must run once run at a time, and both commands succeed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download s6=2.11.3.2-1 libskarnet2.13=2.13.1.1-1 \
    daemontools=1:0.76-8.1 runit=2.1.2-54 util-linux=2.38.1-5+deb12u3
for file in *.deb; do dpkg-deb -x "$file" root; done
export LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu):$(echo "$work"/root/lib/*-linux-gnu)
PATH=$work/root/usr/bin:$work/root/bin:$PATH

# The program says that it runs, and stays until it gets a line.
mkfifo says hears
exec 8<>says 9<>hears
trap 'printf "\n\n" >&9; rm -rf "$work"' EXIT # lets a program that is left end
say='echo >&8; read -r line <&9; echo >&8'
heard() { read -r -t 20 <&8 || { echo "gave up: the program says nothing" >&2; exit 1; }; }

# held PROGRAM COMMAND…: is COMMAND refused the lock while PROGRAM runs behind $locker?
held() {
    local answer=yes
    rm -f lock
    "${@:2}" lock true || { echo "gave up: ${*:2} does not lock" >&2; exit 1; }
    $locker lock sh -c "$1" &
    heard
    if "${@:2}" lock true 2>/dev/null; then answer=no; fi
    echo >&9
    heard
    wait
    echo "$answer"
}

lockers() {
    local locker try usual pid background
    for locker in setlock 'chpst -L' flock s6-setlock; do
        try=$locker # chpst -L does not wait, the others have an option
        [ "$locker" = 'chpst -L' ] || try+=' -n'
        usual=$(held "$say" $try)
        pid=$(held "echo \$\$ >lock; $say" $try)
        background=$(held "($say) &" $try)
        echo "$locker: held: $usual; has written its pid there: $pid;" \
            "in the background: $background; flock sees it: $(held "$say" flock -n)"
    done
}
seen=$(lockers)
echo "$seen"
for locker in setlock 'chpst -L' flock; do
    grep -qxF "$locker: held: yes; has written its pid there: yes; in the background: yes; flock sees it: yes" \
        <<<"$seen" || { echo "the comparison fails: $locker lets go"; exit 1; }
done
grep -qxF 's6-setlock: held: yes; has written its pid there: no; in the background: no; flock sees it: no' \
    <<<"$seen" || { echo "changed: s6-setlock holds more, or less"; exit 1; }
