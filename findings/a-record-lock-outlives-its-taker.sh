#!/bin/sh
# F_GETLK names a process that is dead, and then whoever gets its number.
#
# One would guess: a POSIX record lock (fcntl F_SETLK) belongs to a process and
# dies with it however it dies, so the pid that F_GETLK names is that of a living
# holder; pidfile libraries signal it.
#
# Seen (Linux 6.18, util-linux 2.38.1): a lock belongs to a table of
# descriptors.  Where a child was made with CLONE_FILES (but is no thread), the
# table lives on in it, and so does the lock: F_GETLK goes on naming its dead
# taker, and when the number is given out again it names, with lslocks, a process
# that has never seen the file.  (In a pid namespace F_GETLK says 0 of the dead.)
#
# Why it matters to people who run daemons: the number is not tied to a process.
# Who stops "the pid that holds the lock" must ask whether that process has the
# file open at all, or keep to processes that he has started.
#
# (As root it has the number given out again, by ns_last_pid; else only the
# first half is seen.)
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 - <<'PYTHON'
import ctypes, fcntl, os, shutil, signal, struct, subprocess, sys, time
CLONE_FILES = 0x400
clone = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
if sys.platform != "linux" or clone is None:
    sys.exit("for Linux on x86_64 and arm64")
file = open("lock", "w+")


def named():
    answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(
        "hhqqi0q", fcntl.F_WRLCK, 0, 0, 1, 0))
    kind, _, _, _, pid = struct.unpack("hhqqi0q", answer)
    return None if kind == fcntl.F_UNLCK else pid


reader, writer = os.pipe()
taker = os.fork()
if taker == 0:
    mine = os.open("lock", os.O_RDWR)
    fcntl.lockf(mine, fcntl.LOCK_EX, 1)
    child = ctypes.CDLL(None).syscall(clone, CLONE_FILES | signal.SIGCHLD,
                                      0, 0, 0, 0)
    if child == 0:
        time.sleep(60)
    os.write(writer, b"%d" % child)
    os._exit(0)
os.waitpid(taker, 0)
child = int(os.read(reader, 20))
try:
    if named() == 0:
        taker = 0
        print("the taker is dead and reaped; in this pid namespace F_GETLK "
              "says 0, and the file stays locked")
    else:
        print("the taker is dead and reaped; F_GETLK names",
              "it" if named() == taker else named())
        assert not os.path.exists("/proc/%d" % taker)
    assert named() == taker
    heir = None
    try:
        for _ in range(1000 if taker else 0):
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(taker - 1))
            heir = subprocess.Popen(["sleep", "60"])
            if heir.pid == taker:
                break
            heir.kill()
            heir.wait()
    except OSError:
        pass                    # not root: that half is not seen
    if heir and heir.pid == taker:
        print("its number was given to sleep(1), which has not opened the "
              "file; F_GETLK names it")
        if shutil.which("lslocks"):
            out = subprocess.run(
                ["lslocks", "-n", "-o", "COMMAND,MODE", "-p", str(taker)],
                stdout=subprocess.PIPE).stdout.decode()
            print("lslocks:", " ".join(out.split()))
            assert "sleep" in out, out
        assert named() == taker
        heir.kill()
        heir.wait()
finally:
    os.kill(child, signal.SIGKILL)
deadline = time.monotonic() + 10
while named() is not None:
    assert time.monotonic() < deadline
    time.sleep(0.01)
print("the child that shared its table has ended, and the lock with it")
PYTHON
