#!/bin/sh
# A process that is "defunct" everywhere, and serves.
#
# One would guess: a process in state Z is dead, and only waits to be reaped.
# So supervisors, health checks and daemon libraries take STATUS_ZOMBIE for
# "has ended", and whoever looks for the owner of a port asks psutil, lsof, ss
# or fuser.
#
# Seen (Linux 6.18, psutil 7.1.3; lsof 4.95.0, iproute2 6.1.0, psmisc 23.6):
# where only the first thread of a program has ended (pthread_exit() in main,
# as a C or Rust program may do once its servers run), /proc/PID/stat says Z for
# the whole process, /proc/PID/fd is empty and /proc/PID/exe is gone, though the
# other threads run, hold locks and answer.  psutil says zombie, and like lsof,
# ss -p and fuser it finds nobody behind the listening port; all of it stands in
# /proc/PID/task/TID/fd.  Only the number of threads (field 20 of stat, "Zl" in
# ps) tells the two apart.
#
# Why it matters to people who run daemons: a supervisor that believes the Z
# starts a second copy, which then fails with "address already in use" at a
# port that nobody seems to have.
set -eu
tmp=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || :; rm -rf "$tmp"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --target "$tmp/packages" psutil==7.1.3

cat >"$tmp/server.py" <<'PYTHON'
import ctypes, os, socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        connection, _ = listener.accept()
        connection.sendall(b"alive\n")
        connection.close()
threading.Thread(target=serve).start()
print(os.getpid(), listener.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
PYTHON
python3 "$tmp/server.py" >"$tmp/out" &
pid=$!

PYTHONPATH="$tmp/packages" python3 - "$pid" "$tmp/out" <<'PYTHON'
import os, shutil, socket, subprocess, sys, time
import psutil
pid = int(sys.argv[1])
process = psutil.Process(pid)
deadline = time.monotonic() + 30
while process.status() != "zombie":
    assert time.monotonic() < deadline, process.status()
    time.sleep(0.05)
port = int(open(sys.argv[2]).read().split()[1])
with socket.create_connection(("127.0.0.1", port)) as client:
    answer = client.recv(100).decode().strip()
owners = {c.pid for c in psutil.net_connections("tcp")
          if c.laddr and c.laddr.port == port and c.status == "LISTEN"}
threads = len(os.listdir("/proc/%d/task" % pid))
print("psutil %s: status %s, %d threads; the port answers %r; owners of the "
      "port: %s; /proc/%s/fd has %d entries" % (
          psutil.__version__, process.status(), threads, answer,
          owners or "nobody", "PID", len(os.listdir("/proc/%d/fd" % pid))))
for command in (["lsof", "-nP", "-iTCP:%d" % port, "-sTCP:LISTEN"],
                ["ss", "-Hltnp", "sport = :%d" % port],
                ["fuser", "%d/tcp" % port], ["ps", "-o", "stat=", str(pid)]):
    if shutil.which(command[0]):
        out = subprocess.run(command, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout.decode()
        print("%s: %s" % (command[0], " ".join(out.split()) or "nothing"))
        if command[0] != "ps":
            assert str(pid) not in out, out
assert answer == "alive" and threads > 1 and owners == {None}, owners
PYTHON
echo "as described"
