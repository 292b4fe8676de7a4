#!/bin/sh
# One would guess: a Python program that makes a daemon of itself by the book
# (fork, setsid, fork, /dev/null on descriptors 0, 1 and 2, nothing else open)
# holds nothing of the pipe it was started into, so that `prog | cat`, a CI
# step, ssh or $(prog) goes on at once.
#
# Seen: not if it has used multiprocessing before, once, and finished with it
# (here with the start method forkserver, the default since CPython 3.14): the
# pipe stays open as long as the daemon lives. It is held by processes that
# nobody has asked for, the fork server and the resource tracker, which
# multiprocessing starts with the program's own stdout and stderr, and never
# stops: they end when the last copy of another pipe is closed, whose writing
# end the daemon has inherited, with a close-on-exec flag that does nothing
# where there is no exec. (The newest 3.14 and 3.15 let the tracker go in a
# forked child, so that with spawn it no longer happens there.)
#
# CPython 3.8.18, 3.11.2, 3.13.0, 3.14.10 and 3.15.2, Linux.
#
# Why it matters: a deployment script or a cron job that pipes the start of
# such a service hangs until the service ends; strace of the daemon shows
# nothing, its own descriptors are clean, and lsof names a process whose
# command line is that of Python itself.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/prog.py" <<'END'
import multiprocessing
import os
import sys
import time

if __name__ == "__main__":
    if sys.argv[1] == "used":
        child = multiprocessing.get_context("forkserver").Process(
            target=abs, args=(5,))
        child.start()
        child.join()
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in 0, 1, 2:
        os.dup2(null, fd)
    time.sleep(5)
END
python=${PYTHON:-python3}
"$python" -V
seconds() {
    begin=$(date +%s)
    "$python" "$dir/prog.py" "$1" | cat
    echo $(($(date +%s) - begin))
}
unused=$(seconds unused)
used=$(seconds used)
echo "the pipe of a daemon that lives for 5 s was closed after"
echo "  $unused s: it has not used multiprocessing"
echo "  $used s: it has used it once, and joined its child"
[ "$unused" -lt 3 ] && [ "$used" -ge 4 ]
