#!/bin/sh
# One would guess: a pipe holds 64 KiB, so that a process which writes less
# than that, and whose reader is busy, ends without waiting; and who has too
# many pipes gets an error, EMFILE or ENFILE.
#
# Seen: there is no error. When all pipes of an ordinary user together hold
# 64 MiB (fs.pipe-user-pages-soft; 1,024 pipes of the default size), each
# further one holds 8 KiB (the kernel's sysctl documentation says a single
# page; it is two), and cannot be made larger: F_SETPIPE_SZ gives EPERM. What
# is counted is all that the user has, whichever process made it. One that was
# made small stays small when the others have gone.
#
# Linux 6.18, Python 3.11; fs.pipe-user-pages-soft as it comes, 16384.
#
# Why it matters: what a service writes to a log behind a pipe while its
# reader is busy, or its disk full, has an eighth of the room, so that it
# stands still earlier, on the busiest machine first; and a test suite that
# starts some hundreds of processes makes another one of the same user hang.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/pipes.py" <<'END_OF_PROGRAM'
import errno
import fcntl
import os
import sys

F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
with open("/proc/sys/fs/pipe-user-pages-soft") as file:
    limit = int(file.read())
if limit != 16384:
    sys.exit("the limit is not the usual one: %d" % limit)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)    # root's pipes are not limited


def room():
    """What a new pipe says that it holds, and what goes in; and may it grow?
    """
    reader, writer = os.pipe()
    size = fcntl.fcntl(reader, F_GETPIPE_SZ)
    os.set_blocking(writer, False)
    written = 0
    try:
        while True:
            written += os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    try:
        fcntl.fcntl(reader, F_SETPIPE_SZ, 65536 * 2)
        grows = "can be made larger"
    except OSError as error:
        grows = errno.errorcode[error.errno]
    os.close(reader)
    os.close(writer)
    return size, written, grows


before = room()
print("with no other pipes: %d bytes, %d written, %s" % before)
ready, say = os.pipe()
wait, go = os.pipe()
children = []
for _ in range(4):          # below the 1,024 descriptors of a process
    pid = os.fork()
    if pid == 0:
        os.close(go)
        pipes = [os.pipe() for _ in range(limit // 16 // 4 + 20)]
        os.write(say, b".")
        os.read(wait, 1)    # the end of it
        os._exit(0)
    children.append(pid)
count = 0
while count < len(children):
    count += len(os.read(ready, 9))
after = room()
small, _ = os.pipe()
print("beside 1,100 others: %d bytes, %d written, %s" % after)
os.close(go)
for pid in children:
    os.waitpid(pid, 0)
stays = fcntl.fcntl(small, F_GETPIPE_SZ)
print("one that was made then, after they have gone: %d bytes" % stays)
sys.exit(before != (65536, 65536, "can be made larger")
         or after != (8192, 8192, "EPERM") or stays != 8192)
END_OF_PROGRAM
chmod 755 "$dir"
"${PYTHON:-python3}" - <"$dir/pipes.py"
