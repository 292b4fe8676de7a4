#!/usr/bin/env python3
"""daemonize: turn a command or a Python program into a daemon.

    from daemonize import daemonize
    daemonize("/run/app.pid", stdout="/var/log/app.log")

    $ python3 daemonize.py -p app.pid -o app.log -- command args...
    $ python3 daemonize.py -p app.pid --status
    $ python3 daemonize.py -p app.pid --stop

One file, standard library only, CPython 3.7 or later and PyPy 3, on Linux,
macOS and the BSDs: copy it.  The public names, in the order of the file:

    DaemonizeError   whatever went wrong, in one line
    AlreadyRunning   the pidfile has a running daemon (its pid: .pid)
    NotRunning       it has none
    daemonize()      makes the calling program a daemon
    ready()          tells the launching shell, or systemd, that it works
    supervise()      runs a function in workers, and restarts them
    fork_processes() the same, as tornado has it; it returns in the workers
    task_id()        which worker this is
    status()         the pid of the running daemon, or None
    send_signal()    signals the running daemon, and nobody else
    stop()           ends it, and returns when it is gone
    Daemon           the well-known recipe: subclass it, override run()
    main()           the command line

SPDX-License-Identifier: MIT

usage: daemonize.py [options] -- command [args...]     start it as a daemon
       daemonize.py [options] --restart -- command [args...]
       daemonize.py --pidfile FILE --status | --stop | --signal SIG

  -p, --pidfile FILE    pidfile and single-instance lock
  -i, --stdin FILE      [/dev/null]
  -o, --stdout FILE     appended to [/dev/null]
  -e, --stderr FILE     appended to [where stdout goes]
  -d, --chdir DIR       [stay]
  -k, --umask OCTAL     [inherited]
  -u, --user USER[:GROUP]  and -g, --group GROUP: names or numbers
  -f, --foreground      for an init or docker: no fork, unnamed streams stay
      --wait SEC        a failure within SEC fails the start [0.2; 0: off]
      --notify-await    the start is done when it says READY=1 (sd_notify)
      --notify-timeout SEC  [60]; later: 124, and it is ended

  -r, --respawn         supervise: start it again when it fails
      --respawn-always  also after an exit 0
      --respawn-delay SEC  longest wait: 0, 0.1 s, doubling up to [60]
      --respawn-max N   restarts without a healthy run, then give up
      --respawn-period SEC  what counts as a healthy run [10]
  -w, --workers N       N of them, DAEMONIZE_WORKER=0..N-1; implies -r
  -H, --log-reopen      reopen the logs at SIGHUP, for logrotate
      --log-size SIZE   rotate the logs at SIZE (10M, 1G)
      --log-keep N      old logs that are kept [5]
  -S, --syslog          streams not named go to syslog
  -T, --syslog-tag TAG  [the command's name]

      --status          is it running?  --json: for programs
      --stop            end it, its workers, and what is left of its group
      --restart         stop it, if it runs, and start
  -s, --signal SIG      signal it; with --stop: instead of the first TERM
  -R, --retry SCHEDULE  for stopping [TERM/10/KILL/5]; 9: TERM/9/KILL/9; at a
                        start with -r: how the supervisor ends its workers
      --oknodo          exit 0, not 1, when there is nothing to do
  -v, --verbose  -q, --quiet  --version  -h, --help

exit status: 0 done, 1 nothing to do (already running, not running), 2 usage,
124 timed out, 125 could not start, 126 not executable, 127 not found
--status: 0 running, 1 dead with a pidfile left, 3 not running, 4 unknown
--foreground, once it runs: the command's own

example: daemonize.py -p app.pid -o app.log -- python3 -u app.py
"""
from __future__ import annotations

import errno
import marshal
import os
import select
import stat
import struct
import sys
import time

try:
    import fcntl
except ImportError:     # Windows: importing works, _require_posix() refuses
    pass

TYPE_CHECKING = False   # typing itself would double the time of the import
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn
    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Stream = int | Path | Any | None    # Any: has a fileno()
    User = str | int | None
else:
    try:    # signal's core: the enums around it take 4 ms at each start
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["DaemonizeError", "AlreadyRunning", "NotRunning", "daemonize",
           "ready", "supervise", "fork_processes", "task_id", "status",
           "send_signal", "stop", "Daemon", "main"]
__version__ = "1.5.0"


# ---- The platform -------------------------------------------------------
#
# What only some systems have is asked for here, once; beside each use there
# is a path without it.

_POSIX = os.name == "posix"
_LINUX = sys.platform.startswith("linux")
_PROC = "/proc" if _LINUX else ""   # without it no start times and no users
# Where this process's descriptors are listed (the BSDs' /dev/fd is fixed)
_FDS = ("/proc/self/fd" if _LINUX else
        "/dev/fd" if sys.platform == "darwin" else "")
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", 7)  # of /proc/PID/stat; PyPy: 7
_pidfd_open = getattr(os, "pidfd_open", None)   # Linux 5.3, CPython 3.9
_PROCESS_GROUP = 4      # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
_ABSTRACT = _LINUX      # sockets that are no files, and say who has written
# glibc's and musl's struct flock with 64-bit offsets: the native alignment of
# q gives the padding, which differs on 32-bit x86 and ARM.  macOS and the
# BSDs put the offsets first (FreeBSD adds l_sysid).
_FLOCK = "hhqqi0q" if _LINUX else "qqihhi"


# ---- Errors and words ---------------------------------------------------
#
# All messages have one grammar, "cannot VERB OBJECT: reason" or a claim, and
# name the file, user or pid.  An error knows the exit status it stands for.

def _printable(text: str) -> str:
    """Escapes what could move a terminal's cursor or fake a second line."""
    return "".join(c if c.isprintable() else
                   c.encode("unicode_escape").decode() for c in text)


class DaemonizeError(Exception):
    """What went wrong, in one line fit for a person.

    exit_status is what the command line gives for it, pid the process that
    is concerned, or None.  Only where a command died at its start do lines
    follow, indented: the last that it wrote.
    """

    exit_status = 125

    def __init__(self, message: str, exit_status: int = 0,
                 pid: int | None = None, details: Sequence[str] = ()) -> None:
        super().__init__("\n    ".join(map(_printable, (message, *details))))
        self.exit_status = exit_status or self.exit_status
        self.pid = pid
        self.told = message, self.exit_status, pid, tuple(details)


class AlreadyRunning(DaemonizeError):
    """The pidfile's daemon is running; pid is None if that is hidden."""

    exit_status = 1


class NotRunning(DaemonizeError):
    """The pidfile has no running daemon."""

    exit_status = 1


class _doing:
    """A block in which an OSError becomes "cannot WHAT: reason"."""

    def __init__(self, what: str, locks: bool = False) -> None:
        self.what = what
        self.locks = locks      # it is something that not all disks can do

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, where: object) -> None:
        if isinstance(error, OSError):
            hint = ("; put the pidfile on a local file system"
                    if self.locks and error.errno in (
                        errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP) else "")
            raise DaemonizeError(
                f"cannot {self.what}: {error.strerror or error}{hint}"
            ) from error


def _reason(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


_FOREVER = float("inf")
_RETRY = "TERM/10/KILL/5"       # how a process is ended: signals, seconds


def _require_posix() -> None:
    if not _POSIX:
        raise DaemonizeError("daemonize needs a POSIX system (fork, setsid)")


def _signals() -> dict[str, int]:
    return {name: int(number) for name, number in vars(signal).items()
            if name.startswith("SIG") and "_" not in name}


def _all_signals() -> list[int]:
    """valid_signals() came with CPython 3.8 only."""
    first = getattr(signal, "SIGRTMIN", 1)
    return [*range(1, 32), *range(first, getattr(signal, "SIGRTMAX", 0) + 1)]


def _signal_name(number: int) -> str:
    """Of two names the first: SIGABRT beats SIGIOT."""
    return min([name for name, known in _signals().items()
                if known == number], default=f"signal {number}")


def _user_name(uid: int) -> str:
    import pwd
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _seconds(word: str | float) -> float:
    seconds = float(str(word))      # an int may be too large for a float
    if not 0 <= seconds < 1e6:
        raise ValueError(f"bad number of seconds: {word}")
    return seconds


def _patience(word: str | float) -> float:
    """Not 0, which somebody may take for "for ever"."""
    if not _seconds(word):
        raise ValueError(f"bad number of seconds: {word}")
    return _seconds(word)


def _count(word: str | int, least: int = 0, most: int = 1 << 20) -> int:
    text = str(word)
    if not (text.isascii() and text.isdigit()
            and least <= int(text) <= most):
        raise ValueError(f"bad number: {word}")
    return int(text)


def _size(word: str | int) -> int:
    """"10M" -> 10485760 bytes."""
    text = str(word).upper()
    power = "KMG".find(text[-1:] or "?") + 1
    return _count(text[:-1] if power else text, 1, 1 << 60) << 10 * power


def _how_ended(wait_status: int) -> str:
    return (f"killed by {_signal_name(os.WTERMSIG(wait_status))}"
            if os.WIFSIGNALED(wait_status) else
            f"exited with status {os.WEXITSTATUS(wait_status)}")


def _exit_status(wait_status: int) -> int:
    """As a shell gives it: 128+N for signal N."""
    return (128 + os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status)
            else os.WEXITSTATUS(wait_status))


def _signal_number(word: int | str) -> int:
    """"TERM", "sigterm", "15", 15 -> 15; else ValueError."""
    name = str(int(word) if isinstance(word, int) else word).upper()
    if name.isdigit() and int(name) in _all_signals():
        return int(name)
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in _signals():
        raise ValueError(f"unknown signal: {word}")
    return _signals()[name]


def _schedule(retry: str | float = _RETRY) -> list[tuple[int, float]]:
    """"TERM/10/KILL/5" -> [(SIGTERM, 10.0), (SIGKILL, 5.0)].

    As in start-stop-daemon(8) a number is seconds (a signal by number is
    -15), and one alone is TERM/number/KILL/number.  A signal without a time
    has 5 s, and KILL at least that: the kernel, too, takes its time.
    """
    words = str(retry if isinstance(retry, str) else
                _seconds(retry)).split("/")
    if words[0][:1].isdigit():
        words = ["TERM", *words, *["KILL", *words] * (len(words) == 1)]
    steps = []
    while words:
        word = words.pop(0)
        if word[:1].isdigit():
            raise ValueError(f"{word} s come after no signal")
        number = _signal_number(word.lstrip("-"))
        timed = words and words[0][:1].isdigit()
        seconds = _seconds(words.pop(0)) if timed else 5.0
        steps.append((number, max(seconds, 5.0)
                      if number == signal.SIGKILL else seconds))
    return steps


# ---- Waiting ------------------------------------------------------------

def _poll(condition: Callable[[], bool], timeout: float) -> bool:
    """Waits for what no descriptor announces; False if it does not come."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
    return condition()      # once more after the clock: sleep() may take long


def _await_readable(timeout: float, *fds: int) -> bool:
    poll = select.poll()        # select() takes no descriptor over 1023
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout == _FOREVER else
                          min(max(timeout, 0), 1e6) * 1000))


def _is_writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


class _Waiting:
    """A long wait: after a second a person at a terminal is told what for."""

    def __init__(self, is_shown: bool = False) -> None:
        self.is_shown = is_shown
        self.began = time.monotonic()

    def until(self, wait: Callable[[float], bool], timeout: float, what: str
              ) -> bool:
        """wait(timeout), and the line, if that has not been written yet."""
        deadline = time.monotonic() + timeout
        told = self.began + 1
        if self.is_shown and told < deadline:
            if wait(max(told - time.monotonic(), 0)):
                return True
            self.is_shown = False
            self.tell(f"daemonize: waiting for {_printable(what)}\n")
        return wait(deadline - time.monotonic())

    def tell(self, line: str) -> None:
        try:
            # In the background we could be stopped by it; by Ctrl-S it is
            if os.tcgetpgrp(2) == os.getpgrp() and _is_writable(2):
                os.write(2, line.encode(errors="backslashreplace"))
        except OSError:
            pass        # it is not the terminal that controls us, or has gone


# ---- Other processes ----------------------------------------------------

def _has_proc() -> bool:
    """Is there a /proc, and does it tell of our pid namespace?

    Another's has strangers under our numbers ("unshare -pf" without
    --mount-proc).
    """
    try:
        return os.readlink(f"{_PROC}/self") == str(os.getpid())
    except OSError:
        return False


def _proc(pid: int | str, name: str) -> bytes:
    """A file of /proc/PID; empty without such a process, or without /proc."""
    if isinstance(pid, int) and not _has_proc():
        return b""
    try:
        with open(f"{_PROC}/{pid}/{name}", "rb", 0) as file:
            return file.read()
    except OSError:
        return b""


def _proc_tells_all() -> bool:
    """hidepid= hides other users' processes, and what is not dumpable."""
    return _has_proc() and bool(_proc(1, "stat"))


def _proc_stat(pid: int) -> list[bytes]:
    """/proc/PID/stat from the state on, which proc(5) counts as field 3."""
    return _proc(pid, "stat").rpartition(b")")[2].split() or [b""]


def _ticks(pid: int) -> int | None:
    """When a living process began, in clock ticks from the boot on.

    One of which only the first thread has ended looks like a zombie.
    """
    fields = _proc_stat(pid)
    if len(fields) < 20 or fields[0] in b"ZX" and int(fields[17]) < 2:
        return None
    return int(fields[19])


def _start_time(pid: int) -> float | None:
    """The same in seconds since the epoch."""
    ticks = _ticks(pid)
    if ticks is None:
        return None
    uptime = -_FOREVER
    while time.clock_gettime(_BOOTTIME) - uptime > 0.01:    # for it may be
        uptime = time.clock_gettime(_BOOTTIME)      # interrupted in between
        booted = time.time() - uptime
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def _mark(pid: int) -> int:
    """A number of this process, for the nanoseconds of its pidfile's mtime.

    From the boot's id and the ticks: no step of the clock changes it.  In
    hundreds, as some file systems keep no less.  0 if it cannot be told.
    """
    boot = _proc("sys/kernel/random", "boot_id").strip().replace(b"-", b"")
    ticks = _ticks(pid)
    if not boot or ticks is None:
        return 0
    return 100 * ((int(boot, 16) + ticks) % _MARKS)


def _ask(ask: Callable[[int], int], pid: int) -> int | None:
    """os.getpgid or os.getsid of a process."""
    try:
        return ask(pid)
    except OSError:             # gone; and OpenBSD tells only of one's own
        return None


def _is_exiting(pid: int) -> bool:
    """It loses its locks, and is not yet a zombie: PF_EXITING, Linux's."""
    fields = _proc_stat(pid)
    return len(fields) > 6 and fields[0] != b"Z" and int(fields[6]) & 4 != 0


def _has_executed(pid: int) -> bool:
    """Not if it still is, or died as, what fork(2) has made: Linux's
    PF_FORKNOEXEC.  Yes, where that cannot be told.  No, when it is gone.
    """
    fields = _proc_stat(pid)
    if len(fields) > 6:
        return not int(fields[6]) & 0x40
    return not _has_proc() or _ask(os.getpgid, pid) is not None     # hidden


def _uptime(pid: int) -> float | None:
    started = _start_time(pid)
    return None if started is None else round(max(
        0, time.time() - started), 2)


def _ids(pid: int, kind: str) -> list[int]:
    """A process's real, effective and saved "Uid" or "Gid"; [] if hidden.

    Not the owner of /proc/PID, which is root while a process that changed
    its user has not called exec (PR_SET_DUMPABLE in prctl(2)).
    """
    line = _proc(pid, "status").partition(f"\n{kind}:".encode())[2]
    return [int(number) for number in line.split()[:3]]


def _uid_of(pid: int) -> int | None:
    uids = _ids(pid, "Uid")
    return uids[1] if uids else None


def _has_open(pid: int, file: os.stat_result, byte: int | None = None
              ) -> bool:
    """Has that process this file open?  OSError if it cannot be told.

    With a byte: and read-locked by its own table of descriptors, where the
    kernel tells (as it tells "ino:", Linux 5.14).  On a descriptor that can
    be ours, which is not below 10: sudo and its like let only 0, 1 and 2 in.
    First where ours is: another may be on a hung file system.
    """
    def is_it(name: str) -> bool:
        try:
            if byte is not None and int(name) < _LOWEST or (
                    not os.path.samestat(os.stat(f"{fds}/{name}"), file)):
                return False
        except OSError:
            return False        # just closed, or its disk has trouble
        told = _proc(pid, f"fdinfo/{name}")
        return byte is None or b"\nino:" not in told or any(
            b" POSIX " in line and b" READ " in line
            and line.endswith(b" %d %d" % (byte, byte))
            for line in told.split(b"\n"))

    fds = f"{_PROC}/{pid}/fd"
    with os.scandir(fds if _has_proc() else "") as entries:
        return is_it(str(_HIGH)) or any(is_it(entry.name)
                                        for entry in entries)


def _who(pid: int | None) -> str:
    if not pid or pid < 1:
        return ("an open file description (OFD) lock" if pid == -1 else
                "a process outside this pid namespace or host")
    uid = _uid_of(pid)
    return f"pid {pid}" + ("" if uid is None else
                           f" of user {_user_name(uid)}")


def _pids() -> list[int]:
    """All processes that /proc tells of."""
    return [int(name) for name in (os.listdir(_PROC) if _has_proc() else ())
            if name.isdigit()]


def _kill(pid: int, number: int = 9) -> bool:
    """Signals a process, or, if negative, a group.

    False where nothing was left, or nothing that we may signal.
    """
    try:
        if pid != -1:           # PID 1's group: that would be everybody
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill_session() -> None:
    """KILLs the others of the session that this process leads.

    Until a look shows nobody new: who is killed forks no more, but may have
    just done so.
    """
    killed = {os.getpid()}
    for _ in range(100):
        with _doing("look for what is left of the session"):
            pids = _pids()
        found = {pid for pid in pids if pid not in killed
                 and _ask(os.getsid, pid) == os.getpid()}
        for pid in found:
            _kill(pid)
        killed |= found
        if not found:
            break


class _Group:
    """What is left of a process group whose leader is dead.

    The number stays taken as long as a member bears it, or the leader until
    it is reaped; a moment later it may be a stranger's.  A pidfd of the
    leader reaches the group and nobody else, also when that is reaped.
    """

    def __init__(self, number: int, session: int, pidfd: int = -1) -> None:
        self.number = number
        self.session = session
        self.pidfd = pidfd
        self.members: list[int] = []    # as last seen

    def signal(self, number: int) -> bool:
        """False where nothing was left, or nothing that we may signal."""
        try:
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, number, None,
                                         _PROCESS_GROUP)
                return True
        except OSError as error:
            if error.errno != errno.EINVAL:     # of an older kernel
                return False
        # Has somebody the number now who is not of the leader's session?
        return (_ask(os.getsid, self.number) in (None, self.session)
                and _kill(-self.number, number))

    def end(self, number: int) -> None:
        self.signal(number)
        self.signal(signal.SIGCONT)     # it may be stopped

    def is_empty(self) -> bool:
        """Zombies count as gone, where /proc tells them, and whom we may
        not signal.
        """
        if not self.signal(0):
            return True
        if not _proc_tells_all():
            return False
        seen = [pid for pid in self.members if self.has(pid)]
        if not any(map(self.is_alive, seen)):
            seen = [pid for pid in _pids() if self.has(pid)]
        self.members = [pid for pid in seen if self.is_alive(pid)]
        return bool(seen) and not self.members      # else they are hidden

    def has(self, pid: int) -> bool:
        return _proc_stat(pid)[2:4] == [b"%d" % self.number,
                                        b"%d" % self.session]

    def is_alive(self, pid: int) -> bool:
        return _ticks(pid) is not None and _kill(pid, 0)


# ---- Descriptors and streams --------------------------------------------
#
# A descriptor that this process inherited is closed in the daemon; one that
# the program opened itself goes on working.  They can be told apart: what
# came through exec was open already when this module was imported and lacks
# FD_CLOEXEC; what Python opens has the flag (PEP 446).

def _lift(fd: int, floor: int = 3, inheritable: bool = False) -> int:
    """Moves a descriptor that is below floor, or is to be inheritable, up to
    floor; or lower if RLIMIT_NOFILE is low.
    """
    if fd >= floor and not inheritable:
        return fd
    # At once, where that is known: another thread may be about to exec
    dup = getattr(fcntl, "F_DUPFD_CLOEXEC", fcntl.F_DUPFD)      # not in PyPy
    with _doing("duplicate a descriptor"):
        try:
            moved = fcntl.fcntl(fd, dup, floor)
        except OSError:
            moved = fcntl.fcntl(fd, dup, min(floor, _LOWEST))
    os.set_inheritable(moved, inheritable)
    os.close(fd)
    return moved


def _open(path: str, flags: int, mode: int = 0) -> int:
    """open(2), close-on-exec.

    Never as 0, 1 or 2 where one of these is closed: a message would be
    written into the file.  O_NONBLOCK, so that no FIFO hangs us.
    """
    flags |= os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, mode)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(
                os.stat(path).st_mode):
            error.strerror = "nobody reads this FIFO"
        raise
    return _lift(fd)


# As a shell's >>: with O_CREAT the kernel refuses, in sticky directories, what
# another user has put there (fs.protected_regular, fs.protected_fifos)
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def _descriptors() -> Iterable[int]:
    """Those that may be open.

    The cost follows what is open, never RLIMIT_NOFILE; where nothing lists
    it, the first 4096 are tried.
    """
    try:
        return [int(name) for name in os.listdir(_FDS)]
    except OSError:
        return range(4096)


def _inheritable_descriptors() -> dict[int, os.stat_result]:
    """Those above 2 without FD_CLOEXEC, and what they are."""
    found = {}
    for fd in _descriptors():
        try:
            if fd > 2 and os.get_inheritable(fd):
                found[fd] = os.fstat(fd)
        except OSError:
            pass                # it was the listing's own, or is not open
    return found


_INHERITED = _inheritable_descriptors() if _POSIX else {}


def _close_inherited(keep: Iterable[int]) -> None:
    for fd, info in _inheritable_descriptors().items():
        if fd in _INHERITED and fd not in keep and os.path.samestat(
                info, _INHERITED[fd]):
            os.close(fd)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False            # EBADF
    return True


def _is_regular(fd: int) -> bool:
    return _is_open(fd) and stat.S_ISREG(os.fstat(fd).st_mode)


def _fileno(thing: Any) -> int:
    fd = getattr(thing, "fileno", lambda: thing)()
    if not isinstance(fd, int):
        raise TypeError(f"neither a descriptor nor a file: {thing!r}")
    if not 0 <= fd < 1 << 31:
        raise ValueError(f"not a descriptor: {fd}")
    with _doing(f"use descriptor {fd}"):
        os.fstat(fd)
    return fd


def _path(path: Any) -> str:
    text = os.fsdecode(path)
    if "\0" in text:
        raise ValueError("a path cannot contain a null byte")
    return text


_LINKS = {"/dev/stdin": "/dev/fd/0", "/dev/stdout": "/dev/fd/1",
          "/dev/stderr": "/dev/fd/2"}


def _stream(stream: Any) -> int | str | None:
    """/dev/stdout is descriptor 1, whatever that is: a socket, say, or a
    terminal of another user, which could not be opened.
    """
    if stream is None:
        return None
    if not isinstance(stream, (str, bytes, os.PathLike)):
        return _fileno(stream)
    path = _path(stream)
    directory, name = os.path.split(_LINKS.get(path, path))
    if directory == "/dev/fd" and name.isascii() and name.isdigit():
        return _fileno(int(name))
    return path


def _absolute(path: str) -> str:
    """For after the chdir; without abspath(), for which x/.. is nothing,
    also where x is a symbolic link.
    """
    if path.startswith("/"):
        return path
    with _doing("find the current directory"):
        return os.path.join(os.getcwd(), path)


def _outlive_writers(path: str, fd: int) -> None:
    """A FIFO that is open for writing, too, does not end with its writers."""
    try:
        console = _open(path, os.O_RDWR)
    except PermissionError:
        return                  # one that may be read only ends with them
    # Never what somebody has put there since
    if os.path.samestat(os.fstat(fd), os.fstat(console)):
        os.dup2(console, fd, inheritable=False)
    os.close(console)


def _open_stream(wanted: int | str, number: int) -> int:
    """A descriptor over 2 of what is to become 0, 1 or 2."""
    with _doing(f"open {wanted}"):
        if isinstance(wanted, int):
            return _lift(os.dup(wanted))
        fd = _open(wanted, _APPEND if number else os.O_RDONLY, 0o640)
        if not number and stat.S_ISFIFO(os.fstat(fd).st_mode):
            _outlive_writers(wanted, fd)
        os.set_blocking(fd, True)
    return fd


def _redirect(opened: Sequence[int]) -> None:
    """Puts them on 0, 1, 2 (those that are not -1)."""
    with _doing("redirect the streams"):
        for number, fd in enumerate(opened):
            if fd >= 0:
                os.dup2(fd, number)


def _close(*fds: int) -> None:
    for fd in fds:
        try:
            if fd >= 0:
                os.close(fd)
        except OSError:
            pass                # closed all the same: a full disk, say


def _write(fd: int, text: str) -> None:
    """Unbuffered: nothing is left that could fail again at exit."""
    rest = text.encode(sys.getfilesystemencoding(), "backslashreplace")
    with _doing("write to standard output"):
        while rest and _is_open(fd):
            rest = rest[os.write(fd, rest):]    # a part, on a full disk


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8", "backslashreplace").splitlines()[-10:]


def _last_lines(path: str, log: int, since: int) -> list[str]:
    """The last ten lines of a log that were written after byte since.

    log is our descriptor of it: its user may have put something else there,
    a device, say, that is better not opened.
    """
    try:
        info = os.fstat(log)
        if not os.path.samestat(os.stat(path), info):
            return ["(it was replaced)"]
        with open(_open(path, os.O_RDONLY), "rb") as file:
            if not os.path.samestat(os.fstat(file.fileno()), info):
                return ["(it was replaced)"]
            file.seek(max(since, info.st_size - _MOST_WORDS))
            return _lines(file.read())
    except OSError as error:
        return [f"(it cannot be read: {error.strerror})"]


# ---- The pidfile --------------------------------------------------------
#
# A pidfile that is only a number goes stale: after a kill -9 or a reboot it
# names nobody, or a stranger who got the number since.  So here the number is
# for people, and the truth is in POSIX record locks (F_SETLK in fcntl(2)):
# they belong to one process, survive exec, are not inherited by fork, die
# with their process however it dies, and F_GETLK names who holds them.
# (flock(2) and OFD locks are shared with every child and name nobody.)
#
#     byte 0      read-locked by the daemon for its whole life
#     byte 1+i    read-locked by worker i, for its life
#     byte 2^30   write-locked, for a moment, by whoever changes the file
#
# The first trap: a process loses all its locks on a file when it closes ANY
# descriptor of that file.  Hence: whoever is to hold a lock opens, dups and
# closes first and locks last; the process that writes the file (the starter)
# is never the one that holds byte 0 (the daemon); and a holder closes no
# descriptor that somebody else has put into its hands.
#
# The second: whoever can read the file can lock it, and the number that
# F_GETLK names is not tied to a process.  (A lock belongs to a table of
# descriptors: where a child shares it, CLONE_FILES, it outlives its taker,
# under a number that the next process may be given.)  So a process that a
# lock names must be one that can have been started here: see counts().
#
# The third: a command may close its descriptors, and with them its lock.
# So the file's mtime is the daemon's start, and has in its nanoseconds the
# daemon's mark, which nobody but the file's owner could set: see is_marked().

_DAEMON_BYTE = 0
_CHANGE_BYTE = 1 << 30
_CHANGE_TIMEOUT = 10.0          # seconds
_MARKS = 10 ** 7                # so many marks there are
_FEW = 5        # workers, for whom is looked first
_PATIENT = 0.2                  # seconds of finding strangers' locks alone
_HIGH = 240     # out of the way of scripts that say exec 3> or exec 9>
_LOWEST = 10    # where RLIMIT_NOFILE is low


class _PidFile:
    """An open pidfile; with O_RDWR to be written, and created."""

    is_kept = False         # by its holder, who would lose the lock by closing
    is_known = False        # to be a pidfile, whatever it holds

    def __init__(self, path: str, flags: int = os.O_RDONLY,
                 owner: int | None = None) -> None:
        """FileNotFoundError if it does not exist and is only to be read."""
        self.path = path
        self.owner = owner      # a uid that it may belong to, beside root's
        self.is_new = False     # we have made it
        self.is_awaited: Callable[[], bool] = lambda: True
        try:
            self.fd = self.open(flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENOENT and not flags:
                raise
            reason = ("it is a symbolic link" if os.path.islink(path)
                      else error.strerror)
            raise DaemonizeError(f"cannot open {path}: {reason}") from error
        try:
            info = self.info()
            if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
                raise DaemonizeError(f"{path} is no pidfile: not a regular "
                                     "file, or one with several links")
        except DaemonizeError:
            self.remove_new()
            os.close(self.fd)
            raise

    def open(self, flags: int) -> int:
        """First without O_CREAT, which would refuse --user's own pidfile in
        /tmp; whom it may belong to is looked at later.
        """
        try:
            return _open(self.path, flags)
        except FileNotFoundError:
            if not flags & os.O_RDWR:
                raise
            self.is_new = True
            return _open(self.path, flags | os.O_CREAT, 0o644)

    def __enter__(self) -> _PidFile:
        return self

    def __exit__(self, *error: object) -> None:
        if not self.is_kept:
            os.close(self.fd)

    def info(self) -> os.stat_result:
        with _doing(f"look at {self.path}"):
            return os.fstat(self.fd)

    def lock_in(self, first: int, length: int, writer: bool = False
                ) -> tuple[int, int, int, bool] | None:
        """F_GETLK: (start, length, pid, is it a read lock?) of a lock that
        another has there.

        It names one of them, and length is 0 if that has no end.
        """
        lock = fcntl.F_RDLCK if writer else fcntl.F_WRLCK   # in its way
        question = ((lock, os.SEEK_SET, first, length, 0) if _LINUX else
                    (first, length, 0, lock, os.SEEK_SET, 0))
        with _doing(f"ask who holds {self.path}", locks=True):
            answer = struct.unpack(_FLOCK, fcntl.fcntl(
                self.fd, fcntl.F_GETLK, struct.pack(_FLOCK, *question)))
        if _LINUX:
            kind, _, start, length, pid = answer
        else:
            start, length, pid, kind, _, _ = answer
        return None if kind == fcntl.F_UNLCK else (
            start, length, pid, kind == fcntl.F_RDLCK)

    def holder(self, byte: int, writer: bool = False) -> int | None:
        """The pid of the first other process that has it locked."""
        found = self.lock_in(byte, 1, writer)
        return None if found is None else found[2]

    def counts(self, pid: int, byte: int, number: int) -> bool:
        """Can this process, which a lock names, have been started here?

        Where /proc does not tell what it has open, because it is another
        user's or there is none, a daemon must have the number in the file;
        of a worker no file tells.
        """
        if pid == os.getpid() or not self.is_users(pid):
            return False        # ours was the number of somebody dead
        is_daemon = byte == _DAEMON_BYTE
        group = _ask(os.getpgid, pid)
        if not is_daemon and group != pid:
            return False
        info = self.info()
        try:
            # What is set-user-ID anybody can start, with what he has locked.
            # (One whose first thread has ended shows neither of the two.)
            if _has_proc():
                mode = os.stat(f"{_PROC}/{pid}/exe").st_mode
                return (not mode & (stat.S_ISUID | stat.S_ISGID)
                        and _has_open(pid, info, byte))
        except OSError:
            pass
        if is_daemon and (pid != number or group is None):
            return False
        if info.st_uid != os.geteuid() or info.st_uid == 0:
            return True
        # Of an ordinary user's file whoever he may not signal is no holder,
        # and no worker whom /proc knows and hides: it was root's, or shy
        is_hidden = not _ids(pid, "Uid")
        if is_daemon:
            return is_hidden or _kill(pid, 0)
        return is_hidden and _kill(pid, 0)

    def owner_of(self, lock: tuple[int, int, int, bool], number: int = 0
                 ) -> int | None:
        """The daemon or the worker that has taken this lock.

        0: to us it is hidden who that is; None: a stranger has it.  A
        worker has locked its byte alone, and leads its process group; else
        it is somebody's backup program.
        """
        byte, length, pid, is_read = lock
        if length != 1 or not is_read or pid == -1:
            return None
        if pid < 1:
            return 0
        return pid if self.counts(pid, byte, number) else None

    def is_users(self, pid: int) -> bool:
        """By its users; True where they are hidden.

        A start with --user gives the file the group that it drops to.
        """
        info = self.info()
        uids, gids = {*_ids(pid, "Uid")}, {*_ids(pid, "Gid")}
        return uids <= {0, info.st_uid, self.owner} or (
            info.st_uid == 0 and gids == {info.st_gid})

    def is_owners(self, pid: int) -> bool:
        """Who could put any pid and any mark on the file names himself."""
        return {*_ids(pid, "Uid")} == {self.info().st_uid}

    def is_marked(self, pid: int) -> bool:
        """Is this living process the one whose mark is on the file?

        Each mark comes again after 10^7 ticks (28 hours), for who waits for
        that: by the seconds he is known.
        """
        info = self.info()
        mark = _mark(pid)
        if not mark or info.st_mtime_ns % 10 ** 9 != mark or not (
                info.st_uid in (0, os.geteuid()) or self.is_owners(pid)):
            return False
        later = (_start_time(pid) or 0.0) - int(info.st_mtime)
        turn = _MARKS / os.sysconf("SC_CLK_TCK")
        turns = round(later / turn)
        comes_again = turns > 0 and abs(later - turns * turn) < 2
        return not comes_again or self.is_users(pid)

    def is_held_by(self, byte: int, pid: int) -> bool:
        """Is that process the daemon, or the worker of that byte?"""
        if byte == _DAEMON_BYTE and self.is_marked(pid):
            return True
        lock = self.lock_in(byte, 1)
        return (lock is not None and lock[2] == pid and lock[0] == byte
                and self.owner_of(lock, self.content() or 0) == pid)

    def workers(self) -> tuple[list[tuple[int, int]], list[int]]:
        """([(number, pid)], [pid of a stranger in the workers' bytes])

        -2: hidden from us, and may be a worker.  Of somebody who takes
        thousands of bytes only some are looked at: each question takes the
        kernel a walk through all of them.
        """
        workers = []
        strangers: list[int] = []
        ranges = [(_FEW, _CHANGE_BYTE), (1, _FEW)]
        deadline = time.monotonic() + _PATIENT
        while ranges and not (strangers and time.monotonic() > deadline):
            first, end = ranges.pop()
            lock = self.lock_in(first, end - first) if first < end else None
            if lock is None:
                continue
            start, length, pid, _ = lock
            ranges += [(start + length if length else end, end),
                       (first, start)]
            worker = None if pid in strangers else self.owner_of(lock)
            if worker:
                workers.append((start - 1, worker))
                deadline = time.monotonic() + _PATIENT
            else:
                strangers.append(pid if worker is None else -2)
        return sorted(workers), strangers

    def content(self, is_checked: bool = False) -> int | None:
        """The number in it; None where it is empty.

        Where it holds something else: None, too, or, to be checked, an
        error, lest somebody's own file be overwritten or removed.
        """
        with _doing(f"read {self.path}"):
            text = os.pread(self.fd, 65, 0)
        number = text.strip() or b"0"
        if len(text) <= 64 and number.isdigit():
            return int(number) or None
        if is_checked and not self.is_known:
            raise DaemonizeError(f"{self.path} is no pidfile: it holds "
                                 "something that is no pid")
        return None

    def refuse_foreign(self, daemon: int | None) -> None:
        """Root believes no file that somebody else can write."""
        info = self.info()
        if os.geteuid() == 0 and (info.st_mode & 0o022 or not (
                info.st_uid in (0, self.owner)
                or daemon and self.is_owners(daemon))):
            raise DaemonizeError(
                f"{self.path} is not trusted: user {_user_name(info.st_uid)}"
                f" or others can write it (mode {info.st_mode & 0o777:04o})")

    def judge(self, asking: int = 0) -> tuple[int | None, str]:
        """(pid, but): the running daemon's pid (0: hidden), or None.

        but says that it has let its lock go, or who else has the lock.
        asking is a process that is not the daemon, whatever the file says.

        The daemon is the process that the file names, if it bears the mark;
        else whoever has locked byte 0 alone and counts, whatever the file
        says.  Any other is a stranger, unless a start is under way, which
        has byte 2^30 locked until all agree.
        """
        looks = 0       # at a stranger, while nobody was changing the file
        deadline = time.monotonic() + _CHANGE_TIMEOUT
        while True:
            # In this order: a daemon locks before its pid is written
            number, lock = self.content(), self.lock_in(_DAEMON_BYTE, 1)
            holder = lock[2] if lock else None
            if number and number not in (os.getpid(), asking) and (
                    self.is_marked(number)):
                pid: int | None = number    # the dying lose their locks first
                will_change = holder != pid and _is_exiting(number)
            else:
                pid = self.owner_of(lock, number or 0) if lock else None
                will_change = holder not in (None, number) and (
                    self.holder(_CHANGE_BYTE, writer=True) is not None)
            if will_change and time.monotonic() < deadline:
                looks = 0
            elif pid is None and lock and looks < 2:
                looks += 1      # one may have ended its start just now
            else:
                break
            time.sleep(0.001)
        if pid == 0:
            return 0, f"{self.path} is held by {_who(0)}"
        self.refuse_foreign(pid)
        if pid is None:
            return None, "" if holder is None else self.held_by(holder)
        return pid, "" if lock else (       # behind a stranger's, say
            f"pid {pid} has let its lock on {self.path} go")

    def state(self) -> tuple[int | None, str, list[tuple[int, int]]]:
        """(pid, but, workers): judge() and workers() at once.

        Workers that have come since judge() found no daemon are those of a
        start just now, unless it finds none again.
        """
        while True:
            pid, but = self.judge()
            workers, strangers = ([], []) if pid == 0 else self.workers()
            if pid is None:
                self.content(is_checked=True)
                if -2 in strangers:
                    raise DaemonizeError(f"{self.path} is held by {_who(0)}")
                if strangers and not but:
                    but = self.held_by(strangers[0])
            if pid is not None or not workers or self.judge()[0] is None:
                return pid, but, workers

    def held_by(self, stranger: int | None) -> str:
        return (f"{self.path} is locked by {_who(stranger)}, which is not "
                "its daemon")

    def try_lock(self, byte: int = _CHANGE_BYTE) -> bool:
        """False where somebody else's lock is in the way."""
        kind = fcntl.LOCK_EX if byte == _CHANGE_BYTE else fcntl.LOCK_SH
        try:
            fcntl.lockf(self.fd, kind | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False        # EAGAIN or EACCES: POSIX allows both
        return True

    def lock(self) -> None:
        """Takes byte 2^30, for which many may queue: each has ten seconds."""
        def is_locked() -> bool:
            if not self.is_awaited():
                raise DaemonizeError("nobody waits for the start any more")
            return self.try_lock()

        holder: int | None = -2         # no process's number
        patience = 0.0
        with _doing(f"lock {self.path}", locks=True):
            while not _poll(is_locked, patience):
                before = holder
                found = self.lock_in(_CHANGE_BYTE, 1)
                holder = found[2] if found else None
                # A read lock is no starter's: those who pass it round are one
                if holder == before or patience and found and found[3]:
                    raise DaemonizeError(
                        f"{self.path} is locked by {_who(holder)}")
                patience = _CHANGE_TIMEOUT

    def unlock(self) -> None:
        with _doing(f"unlock {self.path}"):
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, _CHANGE_BYTE)

    def remove_new(self) -> None:
        """After a failure: what we have made is not to stay.

        Unless another start has it by now.
        """
        try:
            is_free = self.is_new and self.try_lock()
        except OSError:
            is_free = True      # locks are refused to all
        try:
            if is_free and not self.info().st_size and self.is_current():
                os.unlink(self.path)
        except (OSError, DaemonizeError):
            pass                # empty it harms nothing, and why is told

    def is_current(self) -> bool:
        """Does the path still name the file that we have open?"""
        with _doing(f"look at {self.path}"):
            try:
                return os.path.samestat(os.fstat(self.fd),
                                        os.lstat(self.path))
            except FileNotFoundError:
                return False

    def acquire(self, launcher: int) -> bool:
        """Locks it for a start; False if it must be opened anew."""
        self.lock()
        if not self.is_current():       # the old daemon is about to end
            return False
        pid, but = self.judge(launcher)
        if pid is not None:
            raise AlreadyRunning("already running: " + (
                but or f"{self.path} is held by pid {pid}"), 0, pid or None)
        self.content(is_checked=True)
        stranger = self.holder(_DAEMON_BYTE, writer=True)
        if stranger is not None:        # beside a read lock we could go on
            raise DaemonizeError(self.held_by(stranger))
        return self.is_current()

    def hold(self, byte: int) -> None:
        """In the daemon and in workers: takes a byte, for life."""
        with _doing(f"lock {self.path}", locks=True):
            if not self.try_lock(byte):
                raise DaemonizeError(self.held_by(self.holder(byte)))

    def write(self, pid: int, group: int) -> None:
        """In the starter: writes the pid of the holder over the old one.

        In one write, filled up to the old length, so that no reader ever
        sees an empty or a mixed number.  Then its mark; group is a gid, or
        -1.  Who is not the file's owner does without: then locks alone tell.
        """
        text = b"%d\n" % pid
        with _doing(f"write {self.path}"):
            padded = text.ljust(os.fstat(self.fd).st_size, b"\n")
            written = 0         # in part, on a full disk: then why
            while written < len(padded):
                written += os.pwrite(self.fd, padded[written:], written)
            os.ftruncate(self.fd, len(text))
            started = _start_time(pid) or time.time()
            stamp = int(started) * 10 ** 9 + _mark(pid)
        try:
            os.fchown(self.fd, -1, group)
        except OSError:
            pass                # nor can all file systems do it
        try:
            os.utime(self.fd, ns=(stamp, stamp))
        except OSError:
            pass                # the same

    def remove_if_free(self) -> None:
        """Under byte 2^30: removes the file, unless somebody has it.

        Where /proc does not tell, whoever has locked byte 0 may, whatever
        the file says.
        """
        self.lock()
        pid, _, workers = self.state()
        holder = self.holder(_DAEMON_BYTE) or 0
        may_be_daemon = holder > 0 and self.counts(holder, _DAEMON_BYTE,
                                                   holder)
        if (pid is None and not workers and not may_be_daemon
                and self.is_current()):
            with _doing(f"remove {self.path}"):
                try:
                    os.unlink(self.path)
                except PermissionError:     # made beforehand by root, in
                    os.ftruncate(self.fd, 0)    # /run: leave it as it was
        self.unlock()

    def remove_held(self) -> None:
        """In the holder of byte 0, at its end.

        Unless it has lost its lock, and a successor has the file; or a start
        that failed has found workers, by whose locks the next one knows them.
        """
        try:
            if (self.is_current() and self.judge()[0] is None
                    and not self.workers()[0]):
                os.unlink(self.path)
        except (OSError, DaemonizeError):   # privileges are dropped, or it
            pass                # holds no pid: left stale, it harms nothing


# ---- Ending others -------------------------------------------------------

class _Target:
    """The daemon or a worker of a pidfile, to be signalled.

    Its pid was read a moment ago, and may be somebody else's by now.  So it
    is pinned by a pidfd first, and then asked for again: then the pidfd is
    the daemon's.  Without pidfds that is asked before each kill(2).
    """

    def __init__(self, pidfile: _PidFile, byte: int, pid: int) -> None:
        self.pidfile = pidfile
        self.byte = byte
        self.pid = pid
        try:
            self.pidfd = _pidfd_open(pid) if _pidfd_open else -1
        except OSError:         # gone; or an old kernel, or a seccomp filter
            self.pidfd = -1
        self.uid = _uid_of(pid)
        leads = _ask(os.getpgid, pid) == pid
        self.session = _ask(os.getsid, pid) if leads else None
        self.last = 0           # the signal that it got last
        self.left: _Group | None = None     # of its group, when it is dead

    def close(self) -> None:
        _close(self.pidfd)
        self.pidfd = -1

    def is_it(self) -> bool:
        return self.pidfile.is_held_by(self.byte, self.pid)

    def described(self) -> str:
        if self.left is None:
            return _who(self.pid)
        members = ", ".join(map(str, self.left.members))
        return (f"what is left of the process group of pid {self.pid}" +
                f" (pid {members})" * bool(members))

    def supervises(self) -> bool:
        """Has it a child that leads a group?  Then that may be a worker,
        also one that has closed all its descriptors.
        """
        family = [b"%d" % self.pid, b"%d" % (self.session or 0)]
        return any(_ask(os.getpgid, pid) == pid and
                   _proc_stat(pid)[1:4:2] == family for pid in _pids())

    def signal(self, *numbers: int) -> None:
        self.last = numbers[0]
        try:
            for number in numbers:
                if self.left:
                    self.left.signal(number)
                elif self.pidfd >= 0:
                    signal.pidfd_send_signal(self.pidfd, number)
                elif self.is_it():
                    os.kill(self.pid, number)
        except ProcessLookupError:
            pass                # gone in the meantime
        except PermissionError as error:
            raise DaemonizeError(f"cannot signal {_who(self.pid)}: "
                                 f"{error.strerror}") from error

    def is_over(self) -> bool:
        """Is it dead, and what it has left?  That gets the signal, too."""
        if self.left is None:
            if (not _await_readable(0, self.pidfd) if self.pidfd >= 0
                    else self.is_it()):
                return False
            if self.session is None or not self.owns_group():
                return True
            if os.getpgrp() == self.pid:
                os.setpgid(0, 0)    # a daemon's child that stops its daemon
            self.left = _Group(self.pid, self.session, self.pidfd)
            self.signal(self.last, signal.SIGCONT)
        return self.left.is_empty()

    def owns_group(self) -> bool:
        """Of a worker's group all is the service's, of a daemon's in the
        foreground it is not.

        A session whose leader lives is a shell's or an init's, and the group
        may hold its "| tee".  Unless the leader is the daemon's starter, still
        waiting, which has the pidfile open.
        """
        leader = self.session
        if (self.byte != _DAEMON_BYTE or leader is None or leader == self.pid
                or _ask(os.getsid, leader) is None
                or _proc_stat(leader)[0] == b"Z"):
            return True
        try:
            return _has_open(leader, self.pidfile.info())
        except OSError:
            return False


def _await_ends(targets: list[_Target], timeout: float) -> bool:
    """Leaves in targets those that are not over; polls what no pidfd tells.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        is_last = time.monotonic() >= deadline
        targets[:] = [target for target in targets
                      if not target.is_over()]
        if not targets or is_last:
            return not targets
        pidfds = [target.pidfd for target in targets
                  if target.pidfd >= 0 and target.left is None]
        left = deadline - time.monotonic()
        _await_readable(left if len(pidfds) == len(targets) else
                        min(left, pause), *pidfds)
        pause = min(pause * 2, 0.02)


def _end(targets: list[_Target], schedule: list[tuple[int, float]],
         waiting: _Waiting) -> list[tuple[int, float]]:
    """Ends and closes them; raises (124) where they do not.

    Returns the schedule from the step on in which they have ended.
    """
    alive = targets[:]
    rest = schedule[:]
    try:
        while rest:
            number, seconds = rest[0]
            for target in alive:
                target.signal(number, signal.SIGCONT)   # it may be stopped
            if not alive or waiting.until(
                    lambda left: _await_ends(alive, left), seconds,
                    f"pid {alive[0].pid} to end"):
                break
            del rest[0]
    finally:
        for target in targets:
            target.close()
    deaf = [target for target in alive      # but a group that was KILLed
            if target.left is None or target.last != signal.SIGKILL]
    if deaf:
        total = sum(seconds for _, seconds in schedule)
        raise DaemonizeError(
            "; ".join(target.described() for target in deaf) +
            f" did not end in {total:g} s", 124, deaf[0].pid)
    return rest or schedule[-1:]


def _workers_of(pidfile: _PidFile, pinned: Sequence[_Target] = ()
                ) -> list[_Target]:
    """Pinned: when they are dead, no lock tells of what they have left."""
    targets = [*pinned]
    known = [(target.byte, target.pid) for target in pinned]
    for number, pid in pidfile.workers()[0]:
        if (1 + number, pid) not in known:
            target = _Target(pidfile, 1 + number, pid)
            if target.is_it():
                targets.append(target)
            else:
                target.close()      # it has ended just now
    return targets


def _end_workers(pidfile: _PidFile, schedule: list[tuple[int, float]],
                 waiting: _Waiting, pinned: Sequence[_Target] = ()
                 ) -> list[int]:
    """Ends the workers that a killed supervisor has left; their pids."""
    targets = _workers_of(pidfile, pinned)
    _end(targets, schedule, waiting)
    return [target.pid for target in targets]


def _end_daemon(daemon: _Target, workers: list[_Target],
                schedule: list[tuple[int, float]], waiting: _Waiting
                ) -> list[tuple[int, float]]:
    """Returns what of the schedule is left for its workers."""
    if os.getpgrp() in [target.pid for target in workers]:
        os.setpgid(0, 0)        # a service that restarts itself
    if workers or daemon.supervises():
        # A supervisor may have the same schedule: let it KILL them first
        following = [number for number, _ in schedule[1:]] + [0]
        schedule = [
            (number, seconds + 1 if after == signal.SIGKILL else seconds)
            for (number, seconds), after in zip(schedule, following)]
    try:
        return _end([daemon], schedule, waiting)
    except DaemonizeError:
        for target in workers:
            target.close()
        raise


# ---- Forking and telling ------------------------------------------------
#
#     launcher -> starter -> daemon
#
# The launcher is the process the user started, and it alone judges a start.
# The starter leads the new session, so that the daemon does not and can never
# get a controlling terminal, and it stays the daemon's parent until the start
# is judged: only a parent learns an exit status.

def _fork(blocked: bool = False) -> int:
    """The one fork.  All signals stay blocked in the child.

    So none can be handled there, by handlers that are the parent's, before
    the child has put its own in order.  blocked: they are in the parent.
    """
    pid = -1
    mask: Iterable[int] = ()
    if "threading" in sys.modules:
        # CPython's own warning comes when the child is made: since 3.15 it
        # may raise then.  Ours has come before: see _warn_of_threads()
        import warnings
        warnings.filterwarnings("ignore", ".*multi-threaded, use of fork",
                                DeprecationWarning, __name__)
    if not blocked:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # An interrupt of just before may be raised by this, behind its work
        if not blocked:
            signal.pthread_sigmask(signal.SIG_BLOCK, _all_signals())
        with _doing("fork"):
            pid = os.fork()
    finally:
        if pid != 0 and not blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _peek(pid: int = -1) -> tuple[int, int]:
    """(pid, wait status) of a child that has ended, or of any; (0, 0).

    It is not reaped yet, so that its number, and its group's, can be nobody
    else's.  It is without waitid(2) (macOS, PyPy), and without /proc, which
    alone tells it from a living member of its group.  Raises
    ChildProcessError.
    """
    if not hasattr(os, "waitid") or not _proc_tells_all():
        return os.waitpid(pid, os.WNOHANG)
    info = os.waitid(os.P_ALL if pid < 0 else os.P_PID, max(pid, 0),
                     os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if info is None:
        return 0, 0
    if info.si_code == os.CLD_EXITED:
        return info.si_pid, info.si_status << 8
    return info.si_pid, info.si_status


def _reap(pid: int, options: int = 0) -> bool:
    """False where options says not to wait, and it has not ended."""
    try:
        return os.waitpid(pid, options)[0] != 0
    except ChildProcessError:   # the program ignores SIGCHLD, or its handler
        return True             # was faster


def _leave_helpers(keeps_tracker: bool) -> None:
    """In a child: multiprocessing's processes are its parent's.

    They live as long as somebody has their pipes open, with the streams of
    the launching shell, and only the parent can wait for them.  A child that
    wants some begins its own.  But a worker keeps the tracker: one of its own
    would remove, at its end, the shared memory that its parent has made.
    """
    for name in "resource_tracker", "semaphore_tracker", "forkserver":
        helper = getattr(sys.modules.get("multiprocessing." + name),
                         "_" + name, None)      # 3.7 has the second
        for key, value in list(vars(helper).items()) if helper else ():
            if keeps_tracker and name != "forkserver":
                if key == "_pid":
                    setattr(helper, key, None)
                continue
            if key.endswith("_fd") and value is not None and _is_open(value):
                os.close(value)
            if key.endswith(("_fd", "_pid", "_address", "_authkey")):
                setattr(helper, key, None)


_BROKEN_OFF = "the start was broken off by a death"
_BACKSTOP = 2.0     # seconds that a launcher may be late with its verdict


def _told_error(message: str, exit_status: int, pid: int | None,
                details: Sequence[str]) -> DaemonizeError:
    kind = AlreadyRunning if exit_status == 1 else DaemonizeError
    return kind(message, exit_status, pid, details)


class _Pipe:
    """One way between two of our processes, closed by exec.

    A message is one line, the hex of a marshalled tuple, whose first word is
    its kind: read as a whole, however long it is.
    """

    is_over = False             # exec, death, or no more to be said
    rest = b""                  # of a message that is still to come
    unsent = b""                # that a writer who may not wait has left

    def __init__(self) -> None:
        with _doing("make a pipe"):
            self.reader, self.writer = map(_lift, os.pipe())

    def only_read(self) -> None:
        _close(self.writer)
        self.writer = -1

    def only_write(self) -> None:
        _close(self.reader)
        self.reader = -1

    def close(self) -> None:
        self.only_read()
        self.only_write()

    def tell(self, *message: Any) -> None:
        self.unsent += marshal.dumps(message).hex().encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Waits until it is sent, or, where the writer is set so, does not.
        """
        # A killed launcher does not harm the daemon of a program that lets
        # SIGPIPE kill it
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        try:
            while self.unsent and self.writer >= 0:
                self.unsent = self.unsent[os.write(self.writer, self.unsent):]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""
            if signal.SIGPIPE in signal.sigpending():
                signal.sigwait({signal.SIGPIPE})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def tell_error(self, error: BaseException) -> None:
        if isinstance(error, OSError):
            error = DaemonizeError(f"cannot start: {_reason(error)}")
        elif not isinstance(error, DaemonizeError):
            error = DaemonizeError(f"{type(error).__name__}: {error}")
        self.tell("error", *error.told)

    def read(self) -> list[Any]:
        """The messages that have come; waits for a part of one."""
        chunk = os.read(self.reader, 1 << 16)
        self.is_over = not chunk
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return [marshal.loads(bytes.fromhex(line.decode())) for line in lines]

    def expect(self, kind: str) -> None:
        """Waits for the other side's next step, or raises what it has told.
        """
        came: list[Any] = []
        while not came and not self.is_over:
            came = self.read()
        if not came:
            raise DaemonizeError(_BROKEN_OFF)
        if came[0][0] != kind:
            raise _told_error(*came[0][1:])


class _Caught:
    """Signals that are only noted, and wake a poll(2)."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.noted: set[int] = set()
        self.handlers = {number: signal.getsignal(number)
                         for number in numbers}
        self.pipe = _Pipe()
        for fd in self.pipe.reader, self.pipe.writer:
            os.set_blocking(fd, False)
        self.woken = signal.set_wakeup_fd(self.pipe.writer,
                                          warn_on_full_buffer=False)
        for number in self.handlers:
            signal.signal(number, self.note)

    def note(self, number: int, frame: object) -> None:
        self.noted.add(number)

    def sleep(self, poll: Any, timeout: float) -> set[int]:
        """Waits for one, or a descriptor; which have something to say."""
        poll.register(self.pipe.reader, select.POLLIN)
        if self.noted:
            timeout = 0
        polled = {fd for fd, _ in poll.poll(
            None if timeout == _FOREVER else
            max(0, int(min(timeout, 1e6) * 1000) + 1))}
        if self.pipe.reader in polled:
            os.read(self.pipe.reader, 1 << 16)
        return polled

    def forget(self) -> None:
        """All is as it was before."""
        for number, handler in self.handlers.items():
            if handler is not None:     # C's: it cannot be put back
                signal.signal(number, handler)
        signal.set_wakeup_fd(self.woken)
        self.pipe.close()


# ---- Readiness ----------------------------------------------------------
#
# sd_notify(3): a service sends datagrams, lines of VARIABLE=value, to the
# socket that NOTIFY_SOCKET names.  In the foreground that is an init's.  Of a
# start that waits for READY=1 it is ours: the launcher's, which holds no lock,
# reaps nobody, and may be held up by what a stranger has passed to it (to
# close that can take long).  Nobody else reads what anybody can send.

_DROP = struct.pack("HBBI", 6, 0, 0, 0)     # BPF_RET | BPF_K, 0: no byte
_LONGEST_MESSAGE = 8000 if _LINUX else 1900     # bytes, of one datagram


class _NotifySocket:
    """The receiving end.  On Linux the kernel says who has sent; elsewhere
    it is a file that only the daemon's user can write to.
    """

    directory = ""

    def __init__(self, user: int | None) -> None:
        """user: the uid that is to write to it, if not ours."""
        import socket
        name = f"daemonize-{os.getpid()}-{os.urandom(8).hex()}"
        with _doing("make a notification socket"):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            if _ABSTRACT:
                self.address = "@" + name
                self.socket.setsockopt(      # PyPy does not name it
                    socket.SOL_SOCKET, getattr(socket, "SO_PASSCRED", 16), 1)
                self.socket.bind("\0" + name)
                return
            self.directory = "/tmp/" + name     # TMPDIR may be one user's
            self.address = self.directory + "/socket"
            os.mkdir(self.directory, 0o700)
            os.chmod(self.directory, 0o711)
            self.socket.bind(self.address)
            os.chmod(self.address, 0o600)
            if user is not None:
                os.chown(self.address, user, -1)

    def keep(self, inheritable: bool) -> None:
        """In the daemon, which does not read it: as long as it lives the
        name is nobody else's, who would get its later messages.
        """
        if _ABSTRACT:
            _lift(self.socket.detach(), _HIGH + 1, inheritable)
        else:
            self.socket.close()

    def drop(self) -> None:
        """The start is over: from here on the kernel drops what comes.

        In the context of the sender, who neither waits nor is refused: a
        filter of one instruction, SO_ATTACH_FILTER in socket(7).  Elsewhere
        the file goes.
        """
        if not _ABSTRACT:
            return
        import array
        import socket
        program = array.array("B", _DROP)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, 26, struct.pack(
                "HP", 1, program.buffer_info()[0]))
        except OSError:
            # A seccomp filter: refused, but not blocked
            self.socket.shutdown(socket.SHUT_RD)

    def remove(self) -> None:
        """Closes it; and the file, where it is one."""
        self.socket.close()
        if self.directory:
            try:
                os.unlink(self.address)
                os.rmdir(self.directory)
            except OSError:
                pass            # a cleaner of /tmp was there before

    def receive(self) -> Iterable[tuple[int, dict[str, str]]]:
        """What has come: (pid of the sender, or -1, its variables).

        One after the other, as a sender may leave when the next is read:
        there is no room for descriptors, so the kernel closes what was
        passed, which is the answer to BARRIER=1.
        """
        import socket
        try:
            for _ in range(1000):   # then the clock is looked at
                text, extras, _, _ = self.socket.recvmsg(
                    1 << 16, socket.CMSG_SPACE(12) if _ABSTRACT else 0,
                    socket.MSG_DONTWAIT)
                pid = -1        # 0: outside our pid namespace
                for _, kind, content in extras:
                    if kind != socket.SCM_RIGHTS:       # SCM_CREDENTIALS
                        pid = struct.unpack_from("i", content)[0]
                    else:       # a command, which has the socket, made room
                        _close(*struct.unpack(f"{len(content) // 4}i",
                                              content[:len(content) & ~3]))
                yield pid, dict(line.partition("=")[::2] for line in
                                text.decode("utf-8", "backslashreplace"
                                            ).split("\n"))
        except BlockingIOError:
            pass


def _notify(message: bytes, address: str) -> None:
    """Says it to whoever waits; to nobody, where nobody does."""
    if not address.startswith(("/", "@")):
        return
    import socket
    with _doing(f"notify {address}"), socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(message, "\0" + address[1:] if address[0] == "@"
                          else address)
        except (ConnectionRefusedError, FileNotFoundError):
            pass                # it has gone: nobody waits any more


# ---- Privileges ---------------------------------------------------------

def _look_up(kind: str, name: str, by_name: Callable[[str], Any],
             by_number: Callable[[int], Any]) -> tuple[int, Any]:
    """(number, entry or None); names go before numbers."""
    try:
        entry = by_name(name)
    except KeyError:
        if not (name.isascii() and name.isdigit()) or int(name) >= 1 << 32:
            raise DaemonizeError(f"unknown {kind}: {name}") from None
        try:
            entry = by_number(int(name))
        except KeyError:
            return int(name), None
    return entry[2], entry


class _Identity:
    """A user and group to become, looked up before anything is done."""

    def __init__(self, user: User, group: User) -> None:
        """group beats user's ":group"."""
        import grp
        import pwd
        me = os.geteuid()
        name, _, its_group = str(me if user is None else user).partition(":")
        if not name or group == "":     # an unset $VARIABLE: not as root
            raise DaemonizeError("a user or group without a name")
        wanted = its_group if group is None else str(group)
        self.uid, entry = _look_up("user", name, pwd.getpwnam, pwd.getpwuid)
        self.is_known = entry is not None
        if not wanted and not self.is_known:
            raise DaemonizeError(
                f"uid {self.uid} has no passwd entry: name a group, too "
                f"({self.uid}:GROUP)")
        self.gid = (_look_up("group", wanted, grp.getgrnam, grp.getgrgid)[0]
                    if wanted else entry.pw_gid)
        self.name: str = entry.pw_name if entry else str(self.uid)
        home, shell = entry[5:7] if entry else ("/", "")
        self.environ = {"HOME": home, "USER": self.name,
                        "LOGNAME": self.name, "SHELL": shell or "/bin/sh"}
        if me != 0 and (me, os.getegid()) != (self.uid, self.gid):
            raise DaemonizeError(
                f"cannot become user {self.name} (uid {self.uid}, gid "
                f"{self.gid}): only root can, and this is user "
                + _user_name(me))

    def has_groups(self, has: set[int]) -> bool:
        """Then the right to change them, which the root of a user namespace
        may lack, is not needed.

        There all groups of outside have one number, and no way out.
        """
        wanted = (os.getgrouplist(self.name, self.gid) if self.is_known
                  else ())
        if _proc("self", "setgroups").strip() == b"deny":
            has.discard(int(_proc("sys/kernel", "overflowgid") or 65534))
        return has == {self.gid, *wanted}

    def assume(self) -> None:
        """Groups, gid, uid: any other order leaves some of root behind."""
        groups, gid = os.getgroups(), os.getegid()
        with _doing(f"become user {self.name}"):
            if os.geteuid() == 0:
                if not self.has_groups({*groups, gid}):
                    if self.is_known:
                        os.initgroups(self.name, self.gid)
                    else:
                        os.setgroups([self.gid])
                os.setgid(self.gid)
                try:
                    os.setuid(self.uid)
                except OSError:     # no CAP_SETUID: the caller goes on
                    os.setgid(gid)
                    os.setgroups(groups)
                    raise
        for regain in (os.setuid, os.seteuid) if self.uid else ():
            try:
                regain(0)
            except PermissionError:
                continue        # as it should be
            raise DaemonizeError(f"user {self.name} can become root again")
        if (os.getuid(), os.getgid()) != (self.uid, self.gid):
            raise DaemonizeError(f"did not become user {self.name}")
        os.environ.update(self.environ)


# ---- Signals ------------------------------------------------------------

def _ignored_signals() -> set[int]:
    """From /proc, as PyPy's getsignal() does not see what was inherited."""
    mask = _proc("self", "status").partition(b"\nSigIgn:")[2].split()
    return {number for number in range(1, signal.NSIG)
            if (int(mask[0], 16) >> number - 1 & 1 if mask else
                signal.getsignal(number) == signal.SIG_IGN)}


# Without SIGPIPE and SIGXFSZ, which Python itself ignores: a Python server
# would die of the default when the first client hangs up.
_IGNORED = (_ignored_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
            if _POSIX else set())


def _reset_signals(for_command: bool) -> None:
    """To default: for a command all, else what was inherited ignored."""
    for number in range(1, signal.NSIG):
        now = signal.getsignal(number)      # None: not Python's to reset
        if number in _IGNORED and now in (signal.SIG_IGN, signal.SIG_DFL
                ) or for_command and now not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)


# ---- The command --------------------------------------------------------

def _examine(path: str, directory: str) -> None:
    """Raises what can be seen against executing path in directory."""
    path = os.path.join(directory, path)
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise DaemonizeError(f"{path} is a directory", 126)
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise DaemonizeError(
            f"cannot execute {path}: {os.strerror(errno.EACCES)}", 126)
    with open(path, "rb") as file:
        head = file.read(256)
    # split at blanks only: a \r before the newline is part of the name
    line = head[2:].split(b"\n")[0].split(b"\0")[0].replace(b"\t", b" ")
    interpreter = os.fsdecode(line.strip(b" ").split(b" ")[0])
    if head[:2] == b"#!" and interpreter and not os.path.exists(
            os.path.join(directory, interpreter)):
        raise DaemonizeError(
            f"{path} exists, but its interpreter {interpreter} does not", 127)


def _candidates(name: str, directory: str = "") -> list[str]:
    """Where execvp(3) looks: PATH, in which an empty element is here.

    Less what cannot be entered (root's PATH, after su): it would turn each
    command that is not found into one that may not be executed.
    """
    if "/" in name or not name:
        return [name]
    path = os.environ.get("PATH", os.defpath).split(":")
    return [os.path.join(place or ".", name) for place in path
            if os.access(os.path.join(directory, place or "."), os.X_OK)]


def _check_command(name: str, directory: str = "") -> None:
    """Raises what would come of executing name there."""
    problems = []
    for found in _candidates(name, directory):
        try:
            _examine(found, directory)
            return
        except DaemonizeError as error:
            problems.append(error)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return              # it cannot be read, say: exec decides
    if problems:
        raise problems[0]
    import shlex
    path = os.environ.get("PATH", os.defpath)
    raise DaemonizeError("command not found: " + (
        os.path.join(directory, name) if "/" in name else
        f"{shlex.quote(name)} (PATH is {path})"), 127)


def _restore_locale() -> None:
    """Takes back what Python's start has put into the environment.

    Of PEP 538: in the C locale it sets LC_CTYPE, for the command, too.  What
    was given is in /proc; without that nothing tells it from the user's own.
    """
    if os.environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8"):
        return
    given = [item[9:] for item in _proc("self", "environ").split(b"\0")
             if item.startswith(b"LC_CTYPE=")]
    if given:
        os.environb[b"LC_CTYPE"] = given[0]
    elif _has_proc():
        del os.environ["LC_CTYPE"]


def _execute(command: list[str]) -> NoReturn:
    """exec, as execvp(3) does it; raises DaemonizeError."""
    for candidate in _candidates(command[0]):
        try:
            try:
                os.execv(candidate, command)
            except OSError as error:
                if error.errno != errno.ENOEXEC:    # no #! line
                    raise
                os.execv("/bin/sh", ["/bin/sh", candidate, *command[1:]])
        except OSError as error:
            last = error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR,
                                   errno.EACCES):
                break
    _check_command(command[0])
    if last.errno == errno.ENOENT:      # an ELF file's ld.so, or a script's
        raise DaemonizeError(f"{command[0]} exists, but its interpreter (or "
                             "that one's) does not", 127)
    raise DaemonizeError(f"cannot execute {command[0]}: {last.strerror}", 126)


# ---- The logs that the supervisor writes --------------------------------
#
# Workers write straight to the log, unless it is to be rotated, reopened or
# sent to syslog.  Then each has a pipe into the supervisor, which hands on
# whole lines only.  What a sink does not take stays in its backlog; until
# that is gone its pipes are not read, and the writers wait.
#
# splice(2) is not for this: it refuses a file that is open for appending, as
# a log must be that others write to, too, and it cannot see where lines end.

_SYSLOG = ("/dev/log", "/var/run/syslog", "/var/run/log")  # macOS, FreeBSD
_LONGEST = 1 << 20              # bytes of a line; a longer one is cut
_CHUNK = 1 << 18                # bytes that a pipe holds, and a read takes
_SET_PIPE_SIZE = 1031           # F_SETPIPE_SZ, which 3.10 names, and Linux has
_MOST_BACKLOG = 1 << 22         # bytes; then what the dead left is dropped
_MOST_WORDS = 8192              # bytes that are looked at for the last words
_TURN = 0.05                    # seconds of writing; then other work is due
_PATIENCE = 1.0                 # seconds between attempts on a full disk
_LAST_CALL = 10.0               # seconds of them, once all workers have ended


def _line(text: str) -> memoryview:
    """A line of ours for a log, after the time."""
    return memoryview((time.strftime("%Y-%m-%d %H:%M:%S daemonize: ") +
                       _printable(text) + "\n").encode(
                           errors="backslashreplace"))


def _say(text: str) -> None:
    """On stderr, if that takes it: a terminal may be stopped (Ctrl-S), and
    a pipe that is said to be writable takes PIPE_BUF bytes.
    """
    line = bytes(_line(text)).rstrip(b"\n")
    if _is_writable(2):
        try:
            os.write(2, line[:select.PIPE_BUF - 1] + b"\n")
        except OSError:         # a full disk, a reader that is gone: there
            pass                # is no other place to say it


def _is_same(file: str | int, fd: int) -> bool:
    """Is the file of that name, or descriptor, the one that fd is, too?"""
    try:
        return os.path.samestat(os.stat(file), os.fstat(fd))
    except FileNotFoundError:
        return False


class _Sink:
    """Takes whole lines: a file, or syslog."""

    name = ""
    backlog = memoryview(b"")
    words = b""                 # the last that were written, wherever they are
    dropped = 0                 # lines, from what the dead have left
    due = _FOREVER              # when to try again; _FOREVER: nothing waits
    stuck = 0.0                 # since when it takes nothing; 0: it does
    is_slow = False             # then its reader is, else a write has failed
    failed: tuple[float, str | None] | None = None      # since when, and why

    def add(self, lines: memoryview, pid: int) -> None:
        """To the backlog."""
        if self.backlog:
            lines = memoryview(b"".join((self.backlog, lines)))
        self.backlog = lines

    def put(self) -> None:
        """Writes the first lines of the backlog."""

    def reopen(self) -> None:
        """The name may be another file's now."""

    def close(self) -> None:
        """Others may go on with the descriptors."""

    def write(self, lines: memoryview, pid: int) -> None:
        self.words = (self.words + lines[-_MOST_WORDS:])[-_MOST_WORDS:]
        if len(self.backlog) > _MOST_BACKLOG:
            self.dropped += bytes(lines).count(b"\n")
            return
        self.add(lines, pid)
        if self.due == _FOREVER:        # else it will be tried again
            self.flush()

    def flush(self) -> None:
        """Writes what it can, and says so if that had failed before."""
        self.due = began = time.monotonic()
        before = len(self.backlog)
        try:
            while self.backlog:
                if time.monotonic() - began > _TURN:
                    return
                self.put()
        except OSError as error:
            self.put_off(error, len(self.backlog) < before)
        else:
            self.due = _FOREVER
            self.stuck = 0.0
            self.tell_failure(began)

    def put_off(self, error: OSError, has_taken: bool) -> None:
        """The longer it is stuck already, the later it is tried again.

        poll(2) would not do: it tells nothing of a full disk, and calls an
        unconnected socket writable however full its receiver is.
        """
        now = time.monotonic()
        if has_taken or not self.stuck:
            self.stuck = now
        self.due = now + min(max(now - self.stuck, 0.001), _PATIENCE)
        self.is_slow = error.errno in (errno.EAGAIN, errno.ENOBUFS)  # as BSD
        if not self.is_slow:
            self.failed = self.failed or (now, error.strerror)

    def tell_failure(self, now: float) -> None:
        """When it is over."""
        if self.failed:
            (since, why), self.failed = self.failed, None
            self.say(f"could not write {self.name} for {now - since:.1f} s: "
                     f"{why}")
        if self.dropped:
            count, self.dropped = self.dropped, 0
            self.say(f"dropped {count} lines of workers that had died, which "
                     "could not be written")

    def say(self, text: str) -> None:
        self.write(_line(text), os.getpid())


class _LogFile(_Sink):
    """A file, which is descriptor 1, 2 or both."""

    is_suspect = False          # it was the pidfile, and stays open

    def __init__(self, path: str, size: int | None, keep: int,
                 pidfile: _PidFile | None) -> None:
        self.name = path
        self.size = self.limit = size or sys.maxsize
        self.keep = keep
        self.pidfile = pidfile          # that is held here
        self.fds: list[int] = []

    def put(self) -> None:
        part = self.backlog[:self.fitting()]
        written = 0
        try:
            while written < len(part):
                written += os.write(self.fds[0], part[written:])
        except OSError:
            torn = len(bytes(part[:written]).rpartition(b"\n")[2])
            if torn and self.take_back(torn):
                written -= torn
            raise
        finally:
            self.backlog = self.backlog[written:]

    def take_back(self, torn: int) -> bool:
        """From a full disk, the start of a line: who knows in which file the
        rest would be.
        """
        try:
            os.ftruncate(self.fds[0], os.fstat(self.fds[0]).st_size - torn)
        except OSError:     # a pipe is only full; and what may be appended to
            return False    # alone cannot be rotated, either
        return True

    def fitting(self) -> int:
        """How much of the backlog goes into this file: whole lines."""
        used = os.fstat(self.fds[0]).st_size
        room = max(self.limit - used, 0)
        if len(self.backlog) <= room:
            return len(self.backlog)
        last = bytes(self.backlog[:room]).rfind(b"\n") + 1
        if not last and used:
            self.reopen("rotate")
        return last or bytes(self.backlog[:_LONGEST + 2]).find(b"\n") + 1

    def reopen(self, verb: str = "reopen") -> None:
        """Or rotate it."""
        try:
            if verb == "rotate":
                self.move()
            fd = self.opened()
        except OSError as error:
            used = os.fstat(self.fds[0]).st_size
            self.limit = used + max(self.size, 1 << 20)     # to try again
            self.add(_line(f"cannot {verb} {self.name}: {error.strerror}; it "
                           "goes on as it is"), 0)
            return
        self.limit = self.size
        for number in self.fds:
            os.dup2(fd, number)
        os.close(fd)

    def move(self) -> None:
        """The file behind a symbolic link, which stays.

        It is moved aside first: where that fails (it is a mount, or may only
        be appended to), no old one has been given up for it.
        """
        path = os.path.realpath(self.name)
        if not _is_same(path, self.fds[0]):
            return              # somebody has moved it: it is made anew
        if not self.keep:
            os.unlink(path)
            return
        self.shift(path)        # what a kill -9 has left aside
        os.rename(path, f"{path}.0")
        try:
            self.shift(path)
        except OSError:
            os.rename(f"{path}.0", path)
            raise

    def shift(self, path: str) -> None:
        """path.0 to .1, and so on up to the first that is free."""
        last = 0
        while last < self.keep and os.path.lexists(f"{path}.{last}"):
            last += 1
        for number in range(last, 0, -1):
            os.rename(f"{path}.{number - 1}", f"{path}.{number}")

    def opened(self) -> int:
        """Not the pidfile: to close that would drop the lock, and somebody
        may have put it here, even between a look and the opening: then it
        stays open, but only once.
        """
        if not self.is_suspect and not self.is_pidfile(self.name):
            fd = _open(self.name, _APPEND, 0o640)
            self.is_suspect = self.is_pidfile(fd)
            if not self.is_suspect:
                return fd
        raise OSError(errno.EINVAL, "it is the pidfile")

    def is_pidfile(self, file: str | int) -> bool:
        return self.pidfile is not None and _is_same(file, self.pidfile.fd)

    def close(self) -> None:
        for fd in self.fds:     # others may go on with it
            os.set_blocking(fd, True)


class _Syslog(_Sink):
    """syslog(3) without its call, which blocks: datagrams of our own.

    The socket is not connected: so a syslogd may be started anew.
    """

    name = "to syslog"

    def __init__(self, priority: int, tag: str) -> None:
        import socket
        self.priority = priority
        self.tag = os.fsencode(tag)[:255]
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Not as descriptor 1, where that is closed
        self.socket = socket.socket(fileno=_lift(made.detach()))
        self.socket.setblocking(False)

    def add(self, lines: memoryview, pid: int) -> None:
        # ctime(), unlike strftime(), has no locale: "Jan  1 12:34:56"
        head = b"<%d>%s %s[%d]: " % (
            self.priority, time.ctime()[4:19].encode(), self.tag, pid)
        super().add(memoryview(b"".join(
            b"%s%s\n" % (head, line[at:at + _LONGEST_MESSAGE])
            for line in bytes(lines).split(b"\n")[:-1]
            for at in range(0, len(line) or 1, _LONGEST_MESSAGE))), pid)

    def put(self) -> None:
        message = bytes(self.backlog[:2 * _LONGEST_MESSAGE]
                        ).partition(b"\n")[0]
        rest = self.backlog[len(message) + 1:]
        path = next(filter(os.path.exists, _SYSLOG), _SYSLOG[0])
        try:
            self.socket.sendto(message, path)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            head, middle = message.index(b"]: ") + 3, len(message) // 2
            if middle > head:           # in two halves
                rest = memoryview(b"%s\n%s%s\n%s" % (
                    message[:middle], message[:head], message[middle:], rest))
        self.backlog = rest

    def close(self) -> None:
        self.socket.close()


class _Stream:
    """The reading end of what one run of a worker writes."""

    pid = 0
    rest = b""                  # of a line that has no end yet

    def __init__(self, sink: _Sink, worker: int) -> None:
        self.sink = sink
        self.worker = worker

    def hand_on(self, chunk: bytes) -> None:
        """The whole lines; an empty chunk is the end of the last."""
        text = self.rest + chunk
        end = text.rfind(b"\n") + 1
        if len(text) - end > (_LONGEST if chunk else 0):
            text += b"\n"
            end = len(text)
        if end:
            self.sink.write(memoryview(text)[:end], self.pid)
        self.rest = text[end:]


class _Logs:
    """The sinks of stdout and stderr, and the pipes that lead to them."""

    def __init__(self, out: _Sink | None, err: _Sink | None) -> None:
        self.sinks = [out, err]         # None: is not ours to write
        self.each = set(filter(None, self.sinks))
        self.streams: dict[int, _Stream] = {}
        self.ended = 0.0                # when all workers had
        for number, sink in enumerate(self.sinks, 1):
            if isinstance(sink, _LogFile):
                sink.fds.append(number)
                os.set_blocking(number, False)

    def pipes(self, worker: int, ends: list[int], user: int) -> None:
        """Appends a new run's 1 and 2, to be closed here after the fork.

        They belong to that uid (-1: to us), for whom /dev/stdout is to open.
        """
        for number, sink in enumerate(self.sinks if self.each else ()):
            if sink is None:
                ends.append(-1)
            elif number and sink is self.sinks[0]:
                ends.append(ends[0])    # one pipe keeps their order, too
            else:
                pipe = _Pipe()
                os.set_blocking(pipe.reader, False)
                self.streams[pipe.reader] = _Stream(sink, worker)
                ends.append(pipe.writer)
                try:
                    os.fchown(pipe.writer, user, -1)
                    if len(self.streams) <= 16:     # of a user's 64 MiB
                        fcntl.fcntl(pipe.reader, _SET_PIPE_SIZE, _CHUNK)
                except OSError:
                    pass        # not everywhere, and not without CAP_CHOWN

    def name_pid(self, worker: int, pid: int) -> None:
        for stream in self.streams.values():
            if stream.worker == worker and not stream.pid:
                stream.pid = pid

    def register(self, poll: Any) -> None:
        for fd, stream in self.streams.items():
            if stream.sink.due == _FOREVER:
                poll.register(fd, select.POLLIN)

    def due(self) -> float:
        return min((sink.due for sink in self.each), default=_FOREVER)

    def serve(self, polled: Iterable[int]) -> None:
        now = time.monotonic()
        for sink in self.each:
            if sink.due <= now:
                sink.flush()
        for fd in [fd for fd in self.streams if fd in polled]:
            if self.streams[fd].sink.due == _FOREVER:
                self.take(fd)

    def take(self, fd: int) -> bool:
        """False where no more is waiting."""
        # It becomes the last: next time the others come first
        stream = self.streams[fd] = self.streams.pop(fd)
        try:
            chunk = os.read(fd, min(_CHUNK, _LONGEST + 1 - len(stream.rest)))
        except BlockingIOError:
            return False
        stream.hand_on(chunk)
        if not chunk:
            os.close(fd)
            del self.streams[fd]
        return bool(chunk)

    def drain(self, worker: int) -> None:
        """After a death all that is left in its pipes, lest each stay open as
        long as its log cannot be written.
        """
        for fd, stream in list(self.streams.items()):
            if stream.worker == worker:
                for _ in range(16):     # somebody else may write on and on
                    if not self.take(fd):
                        break

    def reopen(self) -> None:
        for sink in self.each:
            sink.reopen()
            sink.flush()

    def close(self) -> None:
        _close(*self.streams)
        for sink in self.each:
            sink.close()

    def is_behind(self, hurries: bool) -> bool:
        """When all workers have ended: is there more to be written?

        A slow reader gets it all, however long that takes; what cannot be
        written, for a full disk or without a syslogd, is given up after ten
        seconds, lest an init take the dead for running.  Told to stop, or
        as a proxy whose command was told, it waits no more than a second,
        and only for a slow reader.
        """
        self.serve(self.streams)
        now = time.monotonic()
        self.ended = self.ended or now
        slow, failing = (_PATIENCE, 0.0) if hurries else (
            _FOREVER, _LAST_CALL)
        return any(sink.due <= now or sink.due < _FOREVER and
                   now - self.ended < (slow if sink.is_slow else failing)
                   for sink in self.each)

    def end(self) -> None:
        self.serve(self.streams)
        for stream in self.streams.values():
            stream.hand_on(b"")
        for sink in self.each:
            sink.flush()

    def words(self) -> list[bytes | None]:
        """The last of stdout and stderr, where it is we who write them."""
        return [sink.words if isinstance(sink, _LogFile) else None
                for sink in self.sinks]

    def say(self, text: str) -> None:
        if self.sinks[1]:
            self.sinks[1].say(text)
        else:
            _say(text)


class _Policy:
    """What is wanted of a supervisor: the options of supervise()."""

    def __init__(self, *, workers: int | str = 1,
                 respawn: str | None = "on-failure",
                 respawn_delay: float | str = 60,
                 respawn_max: int | str | None = None,
                 respawn_period: float | str = 10,
                 retry: str | float = _RETRY, log_reopen: bool = False,
                 log_size: int | str | None = None, log_keep: int | str = 5,
                 syslog: bool = False, syslog_tag: str | None = None
                 ) -> None:
        if respawn not in (None, "on-failure", "always"):
            raise ValueError(f"bad respawn: {respawn!r}")
        self.workers = _count(workers, 1)
        self.always = respawn == "always"
        self.is_proxy = respawn is None and self.workers == 1
        self.delay = _seconds(respawn_delay)
        self.most = None if respawn_max is None else _count(respawn_max)
        self.period = _seconds(respawn_period)
        self.in_total = False           # counts restarts of all, for ever
        self.schedule = _schedule(retry)
        self.log_reopen = log_reopen
        self.log_size = None if log_size is None else _size(log_size)
        self.log_keep = _count(log_keep)
        self.syslog = syslog
        self.syslog_tag = syslog_tag and os.fsdecode(syslog_tag)


_POLICIES = tuple(_Policy.__init__.__kwdefaults__ or ())


def _logs_of(policy: _Policy, paths: Sequence[Any], tag: str,
             inherits: bool, pidfile: _PidFile | None) -> _Logs:
    """The logs that a supervisor is to write for stdout and stderr.

    paths are those of descriptors 1 and 2, where they are named files.
    inherits: a stderr that is not named is not where stdout goes.  pidfile
    is the one that is held here: no log may be it.
    """
    writes = policy.log_reopen or policy.log_size is not None
    if writes and not any(isinstance(path, str) for path in paths):
        raise DaemonizeError("a log that is to be rotated or reopened must "
                             "be a file: name stdout or stderr", 2)
    sinks: list[_Sink | None] = []
    for number, path in enumerate(paths):
        if path is None and policy.syslog:
            sinks.append(_Syslog(27 if number else 30,
                                 policy.syslog_tag or tag))
        elif number and (path is None and not inherits or writes
                         and _is_same(1, 2)):
            sinks.append(sinks[0])
        elif isinstance(path, str) and writes:
            sinks.append(_LogFile(path, policy.log_size, policy.log_keep,
                                  pidfile))
        else:
            sinks.append(None)
    return _Logs(*sinks)


# ---- Supervision --------------------------------------------------------
#
# A crash is back at once, a crash loop costs nothing, and nobody is orphaned:
# each worker leads a process group, which ends with the worker, and
# whatever ends the supervisor ends its workers.  After a kill -9, which
# nothing can answer, the locks on their bytes tell who they are.
#
# Of starts it knows this: while the launcher has its pipe open, that is told
# the deaths, and nothing is started again.

_WORKER = "DAEMONIZE_WORKER"    # in the environment: 0 to N-1
_WORKERS = "DAEMONIZE_WORKERS"  # N


class _Backoff:
    """Counts restarts without a healthy run between them."""

    restarts = 0

    def __init__(self, policy: _Policy) -> None:
        self.policy = policy

    def after(self, ran: float) -> float | None:
        """Counts a death after so many seconds of running.

        Returns the seconds to wait, or None: that was one too many.
        """
        policy = self.policy
        if ran >= policy.period and not policy.in_total:
            self.restarts = 0
        self.restarts += 1
        if policy.most is not None and self.restarts > policy.most:
            return None
        if self.restarts == 1:
            return 0.0
        return float(min(0.1 * (1 << min(self.restarts - 2, 30)),
                         policy.delay))


class _Worker:
    """One of the workers that are wanted, and what is."""

    pid = 0                             # 0: it does not run
    began = 0.0
    due = 0.0                           # when to start it, _FOREVER: not again
    left: _Group | None = None          # what it has left, to be ended gently
    report: _Pipe | None = None         # of its first run, until exec
    is_up = False                       # that has come as far
    traceback = ""
    # How, after how many seconds, wait status: until the start is judged
    death: tuple[str, float, int] | None = None

    def __init__(self, number: int, backoff: _Backoff) -> None:
        self.number = number
        self.backoff = backoff

    def end_report(self) -> None:
        if self.report:
            self.report.close()
        self.report = None
        self.is_up = True


def _numbers(names: str) -> set[int]:
    return {_signal_number(name) for name in names.split()}


class _Crew:
    """The workers, as they are: it forks them, and learns of their ends."""

    def __init__(self, policy: _Policy, held: _PidFile | None, logs: _Logs,
                 identity: _Identity | None, start: _Start | None = None,
                 body: Callable[[_Worker], None] | None = None) -> None:
        """start has the command, and the launcher's pipes.

        body is called in the workers of a program instead.
        """
        self.policy = policy
        self.held = held
        self.logs = logs
        self.identity = identity
        self.start = start
        self.body = body
        self.pid = os.getpid()
        # Of sd_listen_fds(3), sd_watchdog_enabled(3): name who is to read
        self.pid_names = [name for name in ("LISTEN_PID", "WATCHDOG_PID")
                          if os.environ.get(name) == str(self.pid)]
        total = _Backoff(policy)
        self.workers = [
            _Worker(number, total if policy.in_total else _Backoff(policy))
            for number in range(policy.workers)]

    def catch(self) -> None:
        """From here on signals are noted, and wake the loop."""
        ours = _numbers("CHLD TERM INT HUP QUIT USR1 USR2 WINCH")
        others = _numbers("KILL STOP TTIN TTOU SEGV BUS FPE ILL ABRT TRAP SYS"
                          " PIPE XFSZ")
        realtime = {number for number in _all_signals() if number > 31}
        if not self.policy.is_proxy:
            others |= {*_numbers("TSTP CONT"), *realtime}
        # None is C's, and could not be put back; those that the program
        # handles itself it goes on to handle
        self.caught = _Caught([
            number for number in sorted({*_all_signals()} - others)
            if signal.getsignal(number) is not None and (
                number in ours or not self.body
                or signal.getsignal(number) == signal.SIG_DFL)])
        self.mask = signal.pthread_sigmask(signal.SIG_UNBLOCK,
                                           self.caught.handlers)
        if not self.body:       # a real-time signal is for nobody: it waits
            signal.pthread_sigmask(signal.SIG_SETMASK,
                                   realtime - {*self.caught.handlers})

    def spawn(self, worker: _Worker) -> bool:
        """True in the worker, if that has no command to execute."""
        worker.due = _FOREVER
        worker.began = time.monotonic()
        ends: list[int] = []
        # Not in the child, where each page that is written is copied
        if not self.policy.is_proxy:
            os.environ[_WORKER] = str(worker.number)
            os.environ[_WORKERS] = str(self.policy.workers)
        try:
            if not worker.is_up:
                worker.report = _Pipe()
            self.logs.pipes(worker.number, ends,
                            self.identity.uid if self.identity else -1)
            pid = _fork()
            if pid == 0:
                self.be_worker(worker, ends)
                return True
        finally:
            _close(*{*ends})
        worker.pid = pid
        if worker.report:
            worker.report.only_read()
        self.logs.name_pid(worker.number, pid)
        try:
            os.setpgid(pid, pid)        # now, lest a KILL come before its own
        except OSError:
            pass                        # it has, and has called exec
        return False

    def be_worker(self, worker: _Worker, ends: list[int]) -> None:
        """All signals are blocked until none of them can be ours.

        Returns only where the worker is to return to the program.
        """
        try:
            signal.set_wakeup_fd(-1)
            os.setpgid(0, 0)
            _leave_helpers(True)    # before the lock: it closes descriptors
            if self.held:
                self.held.hold(1 + worker.number)
            # After a kill -9 just now, a start that has not seen our lock is
            # not to find us alive
            if os.getppid() != self.pid:
                os._exit(DaemonizeError.exit_status)
            if ends:
                _redirect([-1, *ends])
            for name in self.pid_names:
                os.environ[name] = str(os.getpid())
            if self.start and not self.body:
                if self.pid == 1 and self.policy.is_proxy:
                    self.take_terminal()
                self.start.enter_directory()
                self.start.execute()
            if self.identity:
                self.identity.assume()
            self.be_program(worker)
        except BaseException as error:
            try:
                if worker.report:
                    worker.report.tell_error(error)
                else:
                    _say(str(error))
            finally:
                os._exit(getattr(error, "exit_status",
                                 DaemonizeError.exit_status))

    def be_program(self, worker: _Worker) -> None:
        """Without exec: what is the supervisor's alone is let go."""
        self.caught.forget()
        signal.set_wakeup_fd(-1)
        self.logs.close()
        for other in self.workers:
            if other is not worker:
                other.end_report()
        if self.start and not self.start.foreground:
            self.start.told.close()     # the launcher waits for their end
            self.start.go.close()
        if worker.report:
            worker.report.tell("running")
            if not (self.start and self.start.awaits_ready):
                worker.end_report()         # else see report_exception()

    def take_terminal(self) -> None:
        try:
            os.tcsetpgrp(0, os.getpid())    # SIGTTOU is blocked
        except OSError:
            pass                # no terminal, or not ours

    def find_dead(self) -> Iterable[tuple[_Worker, int]]:
        """(worker, wait status) of those that have died, to be reaped.

        With a command all children are ours, also those adopted as PID 1,
        which are reaped here.  (A Python program may have its own.)
        """
        for worker in self.workers:
            if worker.pid:
                try:
                    pid, wait_status = _peek(worker.pid)
                except ChildProcessError:
                    # A thread of the program has reaped it
                    pid, wait_status = worker.pid, 255 << 8
                if pid:
                    yield worker, wait_status
        try:
            while not self.body:
                pid, wait_status = _peek()
                if not pid or pid in [worker.left.number for worker in
                                      self.workers if worker.left]:
                    break       # it hides the others, but not for long
                running = [worker for worker in self.workers
                           if worker.pid == pid]
                if running:
                    yield running[0], wait_status
                else:
                    _reap(pid)
        except ChildProcessError:
            pass                # there is none

    def end(self) -> None:
        """Whatever ends the supervisor ends its workers; in no worker."""
        if os.getpid() != self.pid:
            return
        for worker in self.workers:
            left = worker.left or _Group(worker.pid, os.getsid(0))
            if left.number:
                left.signal(signal.SIGKILL)
                _reap(left.number)
            worker.end_report()
        self.logs.end()
        self.logs.close()
        for name in _WORKER, _WORKERS:
            os.environ.pop(name, None)
        self.caught.forget()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


class _Supervisor:
    """Keeps workers running, until they have ended well or it is to stop.

    What is wanted and what is are kept apart: handlers only note a signal,
    obey() and bury() change what is wanted, and reconcile() alone starts and
    ends workers.  It sleeps in poll(2), and wakes for a signal, a line to be
    written, or a time that has come.
    """

    is_wanted = True                    # False: no worker is
    is_told_to_stop = False
    has_told_a_death = False            # to the launcher
    is_up = False                       # all first runs have come to exec
    failure: DaemonizeError | None = None       # why one of them has not
    gave_up = ""
    exit_status = 0
    passed_on = 0                       # to a proxy's command, to end it, at:
    passed_on_at = -_FOREVER
    step = 0                            # the signal that ends them now
    next_step = 0.0
    trial_ends = _FOREVER               # whatever the launcher does
    pause = 0.001                       # between two looks at what is left

    def __init__(self, crew: _Crew) -> None:
        self.crew = crew
        self.policy = crew.policy
        self.workers = crew.workers
        self.logs = crew.logs
        self.steps = [*self.policy.schedule, (int(signal.SIGKILL), _FOREVER)]
        # As long as the launcher judges: if it is stopped, we are not
        start = crew.start
        self.heard_by = start if start and not start.foreground else None
        if self.heard_by:
            os.set_blocking(self.heard_by.told.writer, False)

    def run(self) -> None:
        """Returns when all is over, or in a worker whose body has returned.

        Raises what made the start fail.
        """
        self.crew.catch()
        try:
            while self.is_needed():
                born = self.reconcile()
                if born and self.crew.body:
                    self.crew.body(born)
                    return
                self.await_event()
                self.obey()
        finally:
            self.crew.end()
        trial = self.heard_by
        if trial and trial.told.unsent:
            self.exit_status = DaemonizeError.exit_status   # that tells it
        if self.failure:
            if trial:           # there is nothing else to be done: it waits
                os.set_blocking(trial.told.writer, True)
            raise self.failure

    def is_needed(self) -> bool:
        if any(worker.pid or worker.left or self.is_wanted and
               (worker.due < _FOREVER or worker.death)
               for worker in self.workers):
            return True
        return self.logs.is_behind(self.is_told_to_stop or
                                   self.failure is not None)

    def await_event(self) -> None:
        poll = select.poll()
        reports = {worker.report.reader: worker for worker in self.workers
                   if worker.report}
        for fd in reports:
            poll.register(fd, select.POLLIN)
        trial = self.heard_by
        if trial and trial.told.unsent:
            poll.register(trial.told.writer, select.POLLOUT)
        elif trial:
            poll.register(trial.go.reader, select.POLLIN)
        self.logs.register(poll)
        polled = self.crew.caught.sleep(
            poll, self.deadline() - time.monotonic())
        self.logs.serve(polled)
        for fd in reports.keys() & polled:
            self.hear(reports[fd])
        if trial and trial.told.writer in polled:
            trial.told.flush()
        elif trial and (trial.go.reader in polled
                        or time.monotonic() >= self.trial_ends):
            self.end_trial(trial)

    def deadline(self) -> float:
        if self.is_wanted:
            return min(self.logs.due(), self.trial_ends,
                       *(worker.due for worker in self.workers))
        looks = _FOREVER
        if any(worker.left for worker in self.workers):
            looks = time.monotonic() + self.pause
            self.pause = min(self.pause * 2, 0.02)
        return min(self.logs.due(), self.next_step, looks)

    # The first runs, and who waits for them

    def hear(self, worker: _Worker) -> None:
        """What a worker reports until it calls exec: that is the end."""
        assert worker.report
        for kind, *words in worker.report.read():
            if kind == "error":
                self.failure = self.failure or _told_error(*words)
                self.shorten_schedule()
            elif kind == "traceback":
                worker.traceback = words[0]
            else:
                worker.is_up = True
        if worker.report.is_over:
            worker.end_report()
        if not self.is_up and all(worker.is_up for worker in self.workers):
            self.is_up = True
            if self.crew.start and not self.failure:
                self.crew.start.let_go()
            if self.heard_by and not self.failure:
                self.heard_by.told.tell("running", time.monotonic(), *[
                    worker.pid for worker in self.workers])
                if not self.heard_by.awaits_ready:      # else see the starter
                    self.trial_ends = (time.monotonic() + self.heard_by.wait
                                       + _BACKSTOP)

    def shorten_schedule(self) -> None:
        """A start that has failed does not wait for long to say so."""
        self.steps[:-1] = [(int(signal.SIGTERM), 1.0)]
        self.is_wanted = False

    def tell_death(self, told: _Pipe, worker: _Worker, wait_status: int,
                   ran: float) -> None:
        """The last words of the first alone: it is the one that counts."""
        told.tell("died", worker.number, worker.pid, wait_status, ran,
                  time.monotonic(), *(
                      ["", [None, None]] if self.has_told_a_death else
                      [worker.traceback, self.logs.words()]))
        self.has_told_a_death = True

    def end_trial(self, start: _Start) -> None:
        """The launcher has heard enough, has gone, or is stopped."""
        self.reap()             # of a death in time the launcher still hears
        if start.told.unsent and time.monotonic() < self.trial_ends:
            return
        self.heard_by = None
        self.trial_ends = _FOREVER
        start.told.close()
        start.go.close()
        for worker in self.workers:
            if worker.death:
                self.answer_death(worker, *worker.death)

    # What is wanted

    def obey(self) -> None:
        caught, self.crew.caught.noted = self.crew.caught.noted, set()
        if caught:
            self.reap()         # first: a signal to the dead would be lost
        for worker in self.workers:
            if worker.left and (self.step == signal.SIGKILL
                                or worker.left.is_empty()):
                _reap(worker.left.number)
                worker.left = None
        orders: dict[int, Callable[[], None]] = {}
        if not self.policy.is_proxy or not self.workers[0].pid:
            orders[signal.SIGTERM] = orders[signal.SIGINT] = self.stop
        if self.policy.log_reopen:
            orders[signal.SIGHUP] = self.logs.reopen
        ends = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
        for number in sorted(caught - {signal.SIGCHLD}):
            if number in orders:
                orders[number]()
                continue
            if self.policy.is_proxy and number in ends:
                self.passed_on = number
                self.passed_on_at = time.monotonic()
            self.signal(number)

    def stop(self) -> None:
        """TERM and INT; asked to stop is a success, but not for a start."""
        self.is_told_to_stop = True
        self.is_wanted = False
        if self.heard_by:
            self.heard_by.told.tell("stopped")
            if self.has_told_a_death:
                self.shorten_schedule()

    def reap(self) -> None:
        """All that have died: one SIGCHLD may stand for many."""
        for worker, wait_status in self.crew.find_dead():
            self.bury(worker, wait_status)

    def bury(self, worker: _Worker, wait_status: int) -> None:
        """After a death."""
        while worker.report and _await_readable(0, worker.report.reader):
            self.hear(worker)   # it knows better why its exec has failed
        worker.end_report()
        self.end_group(worker)
        self.logs.drain(worker.number)
        how = (f"worker {worker.number} (pid {worker.pid}) "
               f"{_how_ended(wait_status)}")
        ran = time.monotonic() - worker.began
        if self.policy.is_proxy:
            self.exit_status = _exit_status(wait_status)
            # Later it has ended by itself
            self.is_told_to_stop |= (
                time.monotonic() - self.passed_on_at < _LAST_CALL)
        if self.heard_by and not self.failure:
            self.tell_death(self.heard_by.told, worker, wait_status, ran)
            worker.death = how, ran, wait_status
        else:
            self.answer_death(worker, how, ran, wait_status)
        worker.pid = 0
        if worker.left and self.is_wanted:      # of a proxy's command
            self.is_wanted = False
            self.steps[0] = (self.passed_on, self.steps[0][1])

    def end_group(self, worker: _Worker) -> None:
        """What a worker has left that died by itself is KILLed, before its
        successor starts; of one that was told to end it gets the same
        signal, and its time.  Only then the worker is reaped: until then
        the group's number is nobody else's.
        """
        left = _Group(worker.pid, os.getsid(0))
        if self.step == signal.SIGKILL or (
                self.is_wanted and not self.passed_on):
            left.signal(signal.SIGKILL)
            _reap(worker.pid)
            return
        if self.step:
            left.end(self.step)
        worker.left = left
        self.pause = 0.001

    def answer_death(self, worker: _Worker, how: str, ran: float,
                     wait_status: int) -> None:
        worker.death = None
        if self.is_wanted and not self.policy.is_proxy and (
                wait_status or self.policy.always):
            self.plan_restart(worker, how, ran, _exit_status(wait_status))
        elif not self.failure and (any(self.logs.sinks)
                                   or not self.policy.is_proxy):
            self.logs.say(how)          # as PID 1 the status says it all

    def plan_restart(self, worker: _Worker, why: str, ran: float,
                     exit_status: int) -> None:
        """After a failure: when to start it again, or the end of all."""
        pause = worker.backoff.after(ran)
        count = worker.backoff.restarts
        if pause is None:
            self.gave_up = f"{why}; given up after {count - 1} restarts"
            self.exit_status = exit_status or DaemonizeError.exit_status
            self.logs.say(self.gave_up)
            self.is_wanted = False
        else:
            worker.due = time.monotonic() + pause
            self.logs.say(f"{why}; restart {count} in {pause:g} s")

    # What is

    def reconcile(self) -> _Worker | None:
        """Starts and ends workers; returned is, in a new one, itself."""
        now = time.monotonic()
        if not self.is_wanted:
            self.escalate(now)
            return None
        for worker in self.workers:
            if worker.due <= now:
                try:
                    if self.crew.spawn(worker):
                        return worker
                except DaemonizeError as error:
                    self.count_unforked(worker, error)
                if self.crew.caught.noted - {signal.SIGCHLD}:
                    break               # a stop takes effect at once
        return None

    def count_unforked(self, worker: _Worker, error: DaemonizeError) -> None:
        """It could not be forked."""
        worker.end_report()
        if worker.backoff.restarts:
            self.plan_restart(
                worker, f"cannot start worker {worker.number}: {error}", 0,
                error.exit_status)
        else:
            self.failure = self.failure or error
            self.shorten_schedule()

    def escalate(self, now: float) -> None:
        """The next step of ending them and what they left, if it is time."""
        if now >= self.next_step:
            self.reap()         # first: what a thread has reaped is no more
            self.step, seconds = self.steps.pop(0)
            self.next_step = now + seconds
            self.signal(self.step)
            for worker in self.workers:
                if worker.left:
                    worker.left.end(self.step)

    def signal(self, number: int) -> None:
        also = () if self.is_wanted else (signal.SIGCONT,)  # if stopped
        for worker in self.workers:
            try:
                for each in (number, *also) if worker.pid else ():
                    os.kill(worker.pid, each)
            except ProcessLookupError:
                pass            # a thread of the program has reaped it
            except PermissionError as error:
                self.logs.say(f"cannot signal pid {worker.pid}: "
                              f"{error.strerror}")


# ---- The start: its steps -----------------------------------------------

_OUT_OF_REACH = ("if it put itself into the background it is out of reach: "
                 "let it stay in the foreground")
_STALE = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
          "WATCHDOG_PID", "WATCHDOG_USEC", _WORKER, _WORKERS)


def _refuse_as_stream(pidfile: str) -> None:
    """It would be closed by a process that has locked it."""
    for fd in range(3):
        if (_is_open(fd) and os.path.exists(pidfile)
                and os.path.samestat(os.stat(pidfile), os.fstat(fd))):
            raise DaemonizeError(f"descriptor {fd} is the pidfile, {pidfile}",
                                 2)


class _Start:
    """What is wanted of a start, and the steps, in the order of daemon(7),
    of the process that becomes the daemon, by a fork or in the foreground.
    """

    pidfile: _PidFile | None = None     # to be written, in the starter
    held: _PidFile | None = None        # the daemon's
    notify: _NotifySocket | None = None
    saved: Sequence[int] = ()           # in the foreground: the first 0, 1, 2
    pipes: Sequence[_Pipe] = ()         # all four:
    # By the end of the file each side knows that the other one has gone.
    # The last two: at first the starter's end, then the launcher's
    reports: _Pipe              # of the starter, to the launcher
    orders: _Pipe               # of the launcher, to the starter
    told: _Pipe                 # by the daemon
    go: _Pipe                   # to it: open as long as it is judged

    def __init__(self, pidfile: Path | None, streams: Iterable[Stream],
                 command: Sequence[str] = (), policy: _Policy | None = None,
                 *, chdir: Path | None = "/", umask: int | None = 0o022,
                 user: User = None, group: User = None,
                 keep_fds: Iterable[Any] = (), foreground: bool = False,
                 wait: float = 0, notify_await: float | None = None) -> None:
        """Raises all that can be known before anything is done."""
        self.launcher = os.getpid()
        self.path = None if pidfile is None else _path(pidfile)
        if self.path:
            _refuse_as_stream(self.path)
        self.wanted = [_stream(stream) for stream in streams]
        self.opened = [-1, -1, -1]
        self.chdir = None if chdir is None else _absolute(_path(chdir))
        if umask is not None and umask not in range(0o1000):
            raise ValueError(f"bad umask: {umask!r}")
        self.umask = umask
        self.identity = (None if user is None and group is None
                         else _Identity(user, group))
        self.owner = self.identity.uid if self.identity else None
        self.foreground = foreground
        self.keep_fds = {_fileno(thing) for thing in keep_fds}
        self.command = list(command)
        self.policy = policy
        patience = None if notify_await is None else _patience(notify_await)
        # In the foreground an init waits, and not we
        self.awaits_ready = patience is not None and not foreground
        self.patience = patience or 0.0
        self.wait = 0.0 if self.awaits_ready else _seconds(wait)
        # The user whom the daemon becomes may not be able to read them
        if patience is not None:
            import socket  # noqa: F401
            import traceback  # noqa: F401
        self.log_paths: list[Any] = [
            _absolute(path) if isinstance(path, str) else path
            for path in self.wanted[1:]]
        self.check_command(chdir)

    def check_command(self, chdir: Path | None) -> None:
        """And the directory, by the name that was given."""
        if self.chdir is not None:
            with _doing(f"change directory to {_path(chdir)}"):
                os.stat(os.path.join(self.chdir, "."))
        if self.command:
            _check_command(self.command[0], self.chdir or "")

    def who(self) -> str:
        return self.command[0] if self.command else "the daemon"

    def open_pipes(self) -> None:
        self.pipes = pipes = []
        for _ in range(4):
            pipes.append(_Pipe())
        self.reports, self.orders, self.told, self.go = self.pipes
        if self.awaits_ready:
            self.notify = _NotifySocket(self.owner)

    def close_pipes(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        if self.notify:
            self.notify.remove()

    def rehearse(self) -> None:
        """Before a restart stops what runs: opens the pidfile, if there is
        one, and the streams, if none is that.
        """
        umask = None if self.umask is None else os.umask(self.umask)
        try:
            if self.path and os.path.lexists(self.path) and (
                    not _SELF.open_here(self.path)):
                with _PidFile(self.path, os.O_RDWR, self.owner) as pidfile:
                    self.open_streams(pidfile)
            else:
                self.open_streams(None)
        finally:
            if umask is not None:
                os.umask(umask)

    def open_streams(self, pidfile: _PidFile | None) -> None:
        for number, wanted in enumerate(self.wanted):
            if wanted is None and self.foreground:
                continue        # inherited
            if wanted is None:
                wanted = self.opened[1] if number == 2 else os.devnull
            fd = _open_stream(wanted, number)
            # Of a restart; not before, as the reader of a FIFO is to stay
            _close(self.opened[number])
            self.opened[number] = fd
            if pidfile and os.path.samestat(os.fstat(fd), pidfile.info()):
                raise DaemonizeError(f"{wanted} is the pidfile")

    def end_left_workers(self, pidfile: _PidFile | None) -> None:
        """Of a killed supervisor; not before all that can fail has worked."""
        if pidfile:
            _end_workers(pidfile, self.policy.schedule if self.policy else
                         _schedule(), _Waiting())

    def hold(self, asked: _Pipe, answers: _Pipe) -> None:
        """Opens the pidfile anew and holds it: see _Starter.register()."""
        if self.path is None:
            return
        asked.expect("acquired")
        path = _absolute(self.path)
        with _doing(f"open {self.path}"):
            pidfile = _PidFile(self.path, owner=self.owner)
        pidfile.fd = _lift(pidfile.fd, _HIGH, inheritable=bool(self.command))
        pidfile.hold(_DAEMON_BYTE)
        pidfile.path = path     # for after the chdir
        pidfile.is_kept = True
        self.held = pidfile
        answers.tell("held")
        asked.expect("go")

    def release(self) -> None:
        """After a failure in the process that holds the pidfile."""
        if self.held:
            self.held.remove_held()
            os.close(self.held.fd)

    def enter_directory(self) -> None:
        """Each worker anew: the name may be that of another release now."""
        if self.chdir is not None:
            with _doing(f"change directory to {self.chdir}"):
                os.chdir(self.chdir)

    def complete(self) -> None:
        """The last steps; with a command, never returns."""
        if self.command:
            _restore_locale()
        self.enter_directory()
        if self.policy and self.command:
            self.supervise(self.policy)
        if self.command:
            self.execute()
        if self.identity and not self.policy:
            self.identity.assume()

    def execute(self) -> NoReturn:
        """In the daemon, or in a worker."""
        if self.identity:
            self.identity.assume()
        _reset_signals(True)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _execute(self.command)

    def supervise(self, policy: _Policy) -> NoReturn:
        while not all(map(_is_open, range(3))):
            os.open(os.devnull, os.O_RDWR)
        logs = _logs_of(policy, self.log_paths, os.path.basename(
            self.command[0]), self.foreground, self.held)
        supervisor = _Supervisor(_Crew(policy, self.held, logs, self.identity,
                                       self))
        try:
            with _doing("go on supervising"):
                supervisor.run()
        except BaseException as error:
            if supervisor.failure or not supervisor.is_up:
                raise                   # a start that has failed
            if isinstance(error, DaemonizeError):
                _say(str(error))
            else:
                sys.excepthook(*sys.exc_info())
            supervisor.exit_status = DaemonizeError.exit_status
        self.release()
        os._exit(supervisor.exit_status)

    def be_daemon(self, caught: _Caught) -> None:
        """In the forked child, until it is replaced, or the program's again.
        """
        try:
            for pipe in self.reports, self.orders:
                pipe.close()
            self.told.only_write()
            self.go.only_read()
            caught.forget()
            os.setpgid(0, 0)
            if not self.command:
                _reset_signals(False)
            for name in _STALE:
                os.environ.pop(name, None)
            if self.notify:
                os.environ["NOTIFY_SOCKET"] = self.notify.address
                self.notify.keep(bool(self.command) and not self.policy)
            # Before the lock: any of these may be a descriptor of the pidfile
            _close_inherited(self.keep_fds)
            if self.pidfile:
                os.close(self.pidfile.fd)
            self.hold(self.go, self.told)
            self.complete()
        except BaseException as error:
            try:
                self.told.tell_error(error)
                self.release()
            finally:                # or it would go on as a starter
                os._exit(DaemonizeError.exit_status)

    def tell_success(self) -> None:
        """Where no exec says it: when all is as it is to stay."""
        if not self.foreground:
            self.told.tell("running", time.monotonic())
            if not self.awaits_ready:       # else see report_exception()
                self.told.close()
            self.go.close()
        self.let_go()

    def let_go(self) -> None:
        """What is kept open until the start has succeeded."""
        _close(*self.opened, *self.saved)
        self.opened = [-1, -1, -1]
        self.saved = ()


# ---- The start: the starter ---------------------------------------------

class _Starter:
    """Leads the new session, writes the pidfile, and is the daemon's parent
    until the launcher, which judges, lets it go.
    """

    daemon = -1
    has_executed = False        # the daemon
    has_ended = False           # it, too, by this:
    wait_status = 0
    has_told = False            # the launcher of it
    stays = False               # for the daemon's sake, which is stopped
    deadline = _FOREVER         # then the launcher was silent for too long
    sizes = [0, 0, 0]           # of the logs, before the start

    def __init__(self, start: _Start) -> None:
        self.start = start

    def run(self) -> None:
        """Returns in the daemon only."""
        start = self.start
        try:
            start.reports.only_write()
            start.orders.only_read()
            self.prepare()
            self.daemon = _fork(blocked=True)
            if self.daemon:
                start.told.only_read()
                start.go.only_write()
                self.register(self.daemon, start.told, start.go)
                start.told.close()      # the launcher reads it from here on
                start.go.close()
                start.reports.tell("pid", self.daemon, time.monotonic())
                self.obey()
                if self.stays:
                    self.linger()
        except BaseException as error:
            start.reports.tell_error(error)
            self.fail()
        finally:
            if self.daemon:
                os._exit(0)
        start.be_daemon(self.caught)

    def prepare(self) -> None:
        """All that the daemon will inherit, and can fail."""
        start = self.start
        os.setsid()
        _leave_helpers(False)
        # Before the fork: ignored, SIGCHLD would take the exit status away
        self.caught = _Caught([signal.SIGCHLD])
        if start.umask is not None:
            os.umask(start.umask)
        while not all(map(_is_open, range(3))):     # lest a file land there
            os.open(os.devnull, os.O_RDWR)
        self.acquire()
        start.open_streams(start.pidfile)
        start.end_left_workers(start.pidfile)
        self.sizes = [os.fstat(fd).st_size for fd in start.opened]
        _redirect(start.opened)

    def acquire(self) -> None:
        """Opens the pidfile and locks it for the start."""
        start = self.start
        while start.path is not None and start.pidfile is None:
            pidfile = _PidFile(start.path, os.O_RDWR, start.owner)
            try:
                if not start.foreground:
                    pidfile.is_awaited = lambda: not _await_readable(
                        0, start.orders.reader)     # its end of file
                is_ours = pidfile.acquire(start.launcher)
            except BaseException:
                pidfile.remove_new()
                raise
            if is_ours:
                pidfile.is_awaited = lambda: True
                start.pidfile = pidfile
            else:
                os.close(pidfile.fd)

    def register(self, pid: int, answers: _Pipe, asks: _Pipe) -> None:
        """Writes the pid of the process that is to hold the pidfile.

        It says: acquired.  That one answers: held, byte 0 is locked.  It
        says: go, your pid is written.  End of file instead: the other died.
        """
        start = self.start
        pidfile = start.pidfile
        if pidfile:
            asks.tell("acquired")
            answers.expect("held")
            if not pidfile.is_current():
                raise DaemonizeError(f"{start.path} was replaced by somebody")
            pidfile.write(pid, start.identity.gid if start.identity else
                          os.getegid() if os.geteuid() == 0 else -1)
            asks.tell("go")
            pidfile.unlock()

    def obey(self) -> None:
        """Tells of the daemon's end, and obeys the launcher, or its end."""
        start = self.start
        if start.awaits_ready:
            self.deadline = time.monotonic() + start.patience + _BACKSTOP
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        while True:
            if self.caught.noted:
                self.caught.noted.clear()
                self.tell_end()
            left = self.deadline - time.monotonic()
            if left <= 0:
                start.reports.tell("late")
                self.end_gently()
                return self.fail()
            poll = select.poll()
            poll.register(start.orders.reader, select.POLLIN)
            if start.orders.reader not in self.caught.sleep(poll, left):
                continue
            for kind, word in start.orders.read():
                if kind == "extend":
                    self.deadline = max(self.deadline, time.monotonic()
                                        + word + _BACKSTOP)
                elif kind == "fail":
                    self.end_gently()
                    return self.fail()
                elif start.wait and not word and self.look():
                    self.tell_end()     # in time: to be judged, too
                else:
                    return self.leave(word)
            if start.orders.is_over:        # nobody waits any more
                return self.leave()

    def look(self) -> bool:
        """Has it ended?  Where _peek() can do that it is not reaped yet."""
        if not self.has_ended:
            self.has_executed = _has_executed(self.daemon)
            pid, self.wait_status = _peek(self.daemon)
            self.has_ended = pid != 0
        return self.has_ended

    def tell_end(self) -> None:
        if not self.has_told and self.look():
            self.has_told = True
            self.start.reports.tell("ended", self.wait_status,
                                    self.has_executed, time.monotonic())

    def leave(self, epitaph: str = "") -> None:
        """The start has succeeded, or nobody waits for it any more.

        An epitaph: it has, and the daemon has ended.
        """
        start = self.start
        note = ""
        if start.pidfile and epitaph:
            note = epitaph
            start.pidfile.remove_if_free()
        elif start.pidfile and start.command and not start.policy:
            note = self.lock_note(start.pidfile)
        if start.notify:
            start.notify.drop()
            start.notify.remove()
        self.stays = not self.has_ended and self.is_stopped(os.WNOHANG)
        start.reports.tell("left", note, self.stays)

    def linger(self) -> None:
        """As long as the daemon is stopped: the starter is all that keeps
        its process group from being orphaned, and one that is orphaned
        while stopped gets SIGHUP (POSIX, _exit).

        With nothing open that somebody waits for the end of.
        """
        signal.set_wakeup_fd(-1)
        for fd in _descriptors():
            os.closerange(max(fd, 3), fd + 1)
        while self.stays:
            self.stays = self.is_stopped(os.WCONTINUED)

    def is_stopped(self, option: int) -> bool:
        pid, wait_status = os.waitpid(self.daemon, option | os.WUNTRACED)
        return pid != 0 and os.WIFSTOPPED(wait_status)

    def lock_note(self, pidfile: _PidFile) -> str:
        """What is to be said of a command that has closed its descriptors."""
        if (pidfile.holder(_DAEMON_BYTE) is None
                and not _is_exiting(self.daemon) and not self.look()):
            return (f"started, pid {self.daemon}, which has let its lock on "
                    f"{pidfile.path} go: --respawn keeps it in a supervisor")
        return ""

    def fail(self) -> None:
        """The start has failed: nothing of it is left."""
        failures = self.clean_up()
        if self.start.notify:
            self.start.notify.remove()
        self.start.reports.tell("failed", self.last_words(), failures)

    def last_words(self) -> list[list[str] | None]:
        """What has come to the logs since; None: there is none."""
        start = self.start
        return [_last_lines(path, fd, size)
                if isinstance(path, str) and _is_regular(fd) else None
                for path, fd, size in zip(
                    start.log_paths, start.opened[1:], self.sizes[1:])]

    def clean_up(self) -> list[str]:
        """After a failure: no process and no pidfile is left.

        Returns what could not be done.
        """
        failures = []
        for step in (self.end_daemon, _kill_session, self.end_workers,
                     self.remove_pidfile):
            try:
                step()
            except (OSError, DaemonizeError) as error:
                failures.append(str(error))
        return failures

    def end_gently(self) -> None:
        """Of a daemon that lives: TERM, and its time to end by itself, as
        its supervisor has it for the workers, and a second more.
        """
        if self.daemon <= 0 or self.look():
            return
        schedule = (self.start.policy.schedule if self.start.policy
                    else _schedule())
        deadline = time.monotonic() + 1 + sum(
            seconds for number, seconds in schedule
            if number != signal.SIGKILL)
        for number in signal.SIGTERM, signal.SIGCONT:
            _kill(self.daemon, number)
        _poll(self.look, deadline - time.monotonic())
        left = _Group(self.daemon, os.getsid(0))
        if self.has_ended:
            left.end(signal.SIGTERM)
            _poll(left.is_empty, deadline - time.monotonic())

    def end_daemon(self) -> None:
        if self.daemon > 0:
            if not self.look():
                with _doing(f"end pid {self.daemon}"):
                    os.kill(self.daemon, signal.SIGKILL)
            _kill(-self.daemon)     # not reaped yet: see _peek()
            _reap(self.daemon)

    def end_workers(self) -> None:
        """Those of a supervisor that was killed during its start."""
        if self.start.policy and self.start.pidfile and self.daemon > 0:
            _end_workers(self.start.pidfile, [(int(signal.SIGKILL), 10.0)],
                         _Waiting())

    def remove_pidfile(self) -> None:
        if self.start.pidfile:
            self.start.pidfile.remove_if_free()


# ---- The start: its trial -----------------------------------------------

class _Trial:
    """In the launcher, which alone judges a start.

    It hears the starter, the daemon and whoever says READY=1, keeps the
    clock, and orders the starter to leave, or to end what has failed.
    """

    pid = 0                     # the daemon's, when it is registered
    is_over = False             # there is a verdict
    failure: DaemonizeError | None = None
    order = "", ""              # that the starter has got last
    words: Sequence[bytes | None] | None = None     # the last are to be shown
    is_running = False          # it has called exec, or taken all steps
    is_cleared = False          # the starter has said what it could not end
    is_settled = False          # its last message has come
    note = ""
    stays = False               # the starter, for a stopped daemon
    traceback = ""
    status = ""                 # the last STATUS
    stranger: int | None = None     # whose READY=1 was not believed

    def __init__(self, start: _Start, starter: int, waiting: _Waiting,
                 tell_status: Callable[[str], None]) -> None:
        for pipe in start.reports, start.told:
            pipe.only_read()
        for pipe in start.orders, start.go:
            pipe.only_write()
        self.start = start
        self.starter = starter
        self.waiting = waiting
        self.tell_status = tell_status
        self.began = time.monotonic()
        self.deadline = _FOREVER
        self.extended = 0.0     # the deadline that the starter knows
        self.awaited = (f"{start.who()} to be ready" if start.awaits_ready else
                        f"the start of {start.who()}")
        self.needed = start.policy.workers if start.policy else 1
        self.workers: dict[int, int] = {}       # {pid: number}
        self.ended_well = 0                     # of the workers
        self.ready: set[int] = set()            # groups that have said so
        self.last_words: list[list[str] | None] = [None, None]
        self.left_undone: list[str] = []    # why not all of it was ended

    def judge(self) -> tuple[str, int]:
        """(note, pid), or raises what made the start fail."""
        start = self.start
        # Its last message, too: a thread's child may keep the pipe open
        while not (start.reports.is_over or self.is_settled):
            if self.is_over:
                self.give_order()
            self.hear()
        if start.notify:        # those who wait for that, of before the filter
            for _ in range(9):
                list(start.notify.receive())
        if not self.stays:
            _reap(self.starter)
        if self.failure:
            raise self.explain(self.failure)
        return self.note, self.pid

    def give_order(self) -> None:
        """To the starter.  Before it may leave, a supervisor tells what it
        has not told yet, and closes its pipe.
        """
        order = "fail" if self.failure else "leave", self.note
        if not self.failure:
            self.start.go.close()
            if self.start.policy and not self.start.told.is_over:
                return
        if order != self.order:
            self.order = order
            self.start.orders.tell(*order)

    def hear(self) -> None:
        """Something that is said, or that the time is up."""
        start = self.start
        sources = {start.reports.reader: self.hear_starter}
        if self.pid and not start.told.is_over:
            sources[start.told.reader] = self.hear_daemon
        if self.pid and start.notify:
            sources[start.notify.socket.fileno()] = self.hear_notify
        left = _FOREVER if self.is_over else self.deadline - time.monotonic()
        self.waiting.until(lambda left: _await_readable(left, *sources),
                           left, self.awaited)
        for fd, hear in sources.items():
            if _await_readable(0, fd):
                hear()
        if not self.is_over and time.monotonic() >= self.deadline:
            self.end_time()

    def end_time(self) -> None:
        if self.start.awaits_ready:
            self.hear_notify()      # what has come in time, if we are late
            if not self.is_over and time.monotonic() >= self.deadline:
                self.be_late()
        elif self.is_running:
            self.is_over = True
        else:
            self.fail(DaemonizeError(_BROKEN_OFF))

    def fail(self, error: DaemonizeError,
             words: Sequence[bytes | None] | None = None) -> None:
        """words: the last are to be shown, and come from the logs, or from
        the supervisor that writes them.
        """
        if not (self.failure or len(self.ready) >= self.needed):
            self.failure = error
            self.words = words
            self.is_over = True

    # What the starter says

    def hear_starter(self) -> None:
        reports = self.start.reports
        for kind, *words in reports.read():
            if kind == "pid":
                self.pid, self.began = words
                if self.start.awaits_ready:
                    self.deadline = self.began + self.start.patience
            elif kind == "ended":
                self.hear_end(*words)
            elif kind == "left":
                self.note, self.stays = words
                self.is_settled = True
            elif kind == "failed":
                self.last_words, self.left_undone = words
                self.is_cleared = self.is_settled = True
            else:               # it ends the daemon, without an order
                self.ready.clear()
                self.order = "fail", self.note
                self.is_cleared = kind == "error"
                self.fail(_told_error(*words) if words else self.held_up())
        if reports.is_over and not self.is_over:
            self.fail(DaemonizeError(_BROKEN_OFF + (
                f": pid {self.pid} may run" if self.pid else ""), 0,
                self.pid or None))
        elif reports.is_over and not self.is_cleared:
            self.left_undone = [_BROKEN_OFF]    # what has failed may live

    def held_up(self) -> DaemonizeError:
        """The starter has waited longer than for the daemon alone."""
        return DaemonizeError(
            f"{self.start.who()} was ended: that it is ready was not heard "
            f"in time (was this process stopped, or pid {self.pid}?)", 124,
            self.pid)

    def hear_end(self, wait_status: int, has_executed: bool, when: float
                 ) -> None:
        """The daemon has ended: what has it said before?"""
        start = self.start
        while not start.told.is_over and _await_readable(
                0, start.told.reader):
            self.hear_daemon()
        if start.notify:
            self.hear_notify()
        if has_executed and start.command and not (
                start.policy or self.is_running or self.is_over):
            # It is reaped: the starter has seen it
            self.note_running(time.monotonic())
        seconds = when - self.began
        if wait_status == 0 and not start.awaits_ready:
            if start.wait or not self.is_over:
                self.note = f"{self.how(0, seconds)}; {_OUT_OF_REACH}"
            self.is_over = True
        elif not self.is_over or start.wait:
            self.fail(DaemonizeError(self.how(
                wait_status, seconds,
                "the supervisor" if start.policy else "")), [None, None])

    # What the daemon says

    def hear_daemon(self) -> None:
        start = self.start
        for kind, *words in start.told.read():
            if kind == "running":
                when, *pids = words
                self.workers = {pid: number
                                for number, pid in enumerate(pids)}
                self.note_running(when)
            elif kind == "died":
                self.hear_death(*words)
            elif kind == "traceback":
                self.traceback = words[0]
            elif kind == "stopped":
                self.fail(DaemonizeError(f"the start of {start.who()} was "
                                         "broken off by a signal"))
            else:
                self.fail(_told_error(*words))
        if start.told.is_over and not (self.is_running or self.is_over):
            if start.command and not start.policy and _has_executed(self.pid):
                self.note_running(time.monotonic())
            else:       # it was a death, of which the starter is to tell
                self.deadline = min(self.deadline, time.monotonic() + 10)

    def note_running(self, when: float) -> None:
        self.is_running = True
        if not self.start.awaits_ready:
            self.deadline = when + self.start.wait
            self.is_over = self.is_over or not self.start.wait

    def hear_death(self, number: int, pid: int, wait_status: int, ran: float,
                   when: float, traceback: str,
                   words: Sequence[bytes | None]) -> None:
        """Of a worker.  When all have ended well, it is no trial any more.

        Nor is one a failed start that comes when the time is up, and is
        told to us because we were stopped.
        """
        start = self.start
        self.workers.setdefault(pid, number)
        if start.notify:
            self.hear_notify()
        if wait_status == 0 and (not start.awaits_ready or pid in self.ready):
            self.ended_well += 1
            if self.ended_well == self.needed:
                start.go.close()
        elif start.awaits_ready or start.wait and when < self.deadline + 1:
            self.traceback = self.traceback or traceback
            self.fail(DaemonizeError(self.how(
                wait_status, ran, "" if start.command and self.needed == 1
                else f"worker {number}")), words)

    # What is said to the socket

    def hear_notify(self) -> None:
        start = self.start
        for pid, said in start.notify.receive() if start.notify else ():
            group = self.group_of(pid)
            if group is None:
                if said.get("READY") == "1":
                    self.stranger = pid
                continue
            if said.get("STATUS"):
                self.status = said["STATUS"]
                if self.needed > 1 and group in self.workers:
                    self.status = f"worker {self.workers[group]}: " + (
                        self.status)
                self.tell_status(self.status)
            wish = said.get("EXTEND_TIMEOUT_USEC", "")
            if wish.isdecimal():
                self.extend(min(int(wish[:18]) / 1e6, 1e6))
            if said.get("READY") == "1":
                self.ready.add(group)
        if len(self.ready) >= self.needed and not self.failure:
            self.is_over = True

    def extend(self, seconds: float) -> None:
        """Seldom enough for a starter that is slow to read; one that ends
        the daemon reads nothing more.
        """
        deadline = time.monotonic() + seconds
        if self.is_over or deadline <= self.deadline:
            return
        self.deadline = deadline
        if deadline > self.extended + _BACKSTOP / 2 and _is_writable(
                self.start.orders.writer):
            self.extended = deadline
            self.start.orders.tell("extend", seconds)

    def group_of(self, pid: int) -> int | None:
        """The process group of who has sent, if he is of the daemon's
        session, or a child of ours, which may be dead by now.

        Where the kernel does not tell, it was the daemon's user: each time
        another, as far as we know.
        """
        if not _ABSTRACT:
            return -len(self.ready)
        if pid == self.pid or pid in self.workers:
            return pid
        session = _ask(os.getsid, pid)
        return _ask(os.getpgid, pid) if session == self.starter else None

    # The verdict

    def be_late(self) -> None:
        start = self.start
        why = ("READY=1 did not come (does it speak sd_notify?)"
               if start.command else "ready() was not called")
        silent = [f"worker {number}" for pid, number in self.workers.items()
                  if pid not in self.ready]
        if self.stranger is not None:
            why = (f"READY=1 came from pid {self.stranger}, which is not of "
                   "its session, or had gone")
        elif self.needed > 1 and silent and (self.ready or self.status):
            why = f"{', '.join(silent)} did not say READY=1"
        elif self.status:
            why = f"its last status was {self.status}"
        late = time.monotonic() - self.began
        self.fail(DaemonizeError(
            f"{start.who()} was not ready in {late:.1f} s: {why}", 124,
            self.pid))

    def how(self, wait_status: int, seconds: float, who: str = "") -> str:
        """An end in words."""
        start = self.start
        how = (f"{who or start.who()} {_how_ended(wait_status)} after "
               f"{seconds:.2f} s")
        if start.awaits_ready:
            how += (", before all were ready" if self.needed > 1
                    else ", before it was ready")
            if wait_status == 0 and start.command:
                how += f"; {_OUT_OF_REACH}"
        return how

    def explain(self, failure: DaemonizeError) -> DaemonizeError:
        """What is to be raised: with a traceback, or the last words."""
        start = self.start
        how, exit_status, pid, details = failure.told
        traceback = self.traceback.splitlines()[-50:]
        if traceback and (exit_status == 124 or self.words is not None):
            how += ":" * (exit_status != 124)
            details = tuple(traceback)
        elif self.words is not None:
            logs = {name: lines if said is None else _lines(said)
                    for name, said, lines in zip(
                        start.wanted[1:], self.words, self.last_words)
                    if lines is not None}
            details = tuple(line for log in logs.values() for line in log)
            if start.policy and start.policy.syslog and not logs:
                how += "; its output went to syslog"
            elif start.wanted[1:] == [None, None]:
                how += "; its output went to /dev/null, and " + (
                    "--stdout FILE" if start.command else "stdout="
                    ) + " keeps it"
            elif logs:
                how += "; the last that it wrote to " if details else (
                    "; it wrote nothing to ")
                how += " and ".join(map(str, logs)) + ":" * bool(details)
        if details:
            details = (*details, *(f"({cause})" for cause in self.left_undone))
        else:
            how = "; ".join((how, *self.left_undone))
        return _told_error(how, exit_status, pid, details)


def _detach(start: _Start, waiting: _Waiting | None = None,
            tell_status: Callable[[str], None] = lambda status: None
            ) -> tuple[str, int]:
    """In the launcher (note, pid), or what went wrong is raised there;
    ("", 0) in the daemon.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    starter = -1
    try:
        # An interrupt of just before may be raised by this, behind its work
        signal.pthread_sigmask(signal.SIG_BLOCK, _all_signals())
        start.open_pipes()
        starter = _fork(blocked=True)
        if starter:         # from here on an interrupt knows whom it leaves
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            with _doing(f"follow the start of {start.who()}, which goes on"):
                return _Trial(start, starter, waiting or _Waiting(),
                              tell_status).judge()
    except BaseException:
        # The starter leaves, too, unless a stopped daemon needs it
        start.close_pipes()
        if starter > 0:
            _poll(lambda: _reap(starter, os.WNOHANG), _PATIENCE)
        raise
    finally:
        if starter:
            start.close_pipes()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _Starter(start).run()
    return "", 0


# ---- The start: in the foreground ---------------------------------------

def _claim(start: _Start) -> None:
    """Holds the pidfile in this process; a forked helper writes it."""
    answers, asks = _Pipe(), _Pipe()
    helper = _fork()
    if helper == 0:
        starter = _Starter(start)
        try:
            answers.only_read()
            asks.only_write()
            starter.acquire()
            starter.register(start.launcher, answers, asks)
        except BaseException as error:
            asks.tell_error(error)
            starter.remove_pidfile()
        finally:
            os._exit(0)
    answers.only_write()
    asks.only_read()
    try:
        start.hold(asks, answers)
    finally:
        answers.close()
        asks.close()
        _reap(helper)           # the command is to have no child of ours


def _stay(start: _Start) -> None:
    """Goes through the steps without a fork that stays."""
    start.saved = saved = [_open_stream(fd, fd) if _is_open(fd) else -1
                           for fd in range(3)]
    umask = None if start.umask is None else os.umask(start.umask)
    try:
        directory = os.getcwd()
    except OSError:
        directory = ""          # it was removed: there is no way back
    try:
        if start.path is not None:
            _claim(start)
        start.open_streams(start.held)
        start.end_left_workers(start.held)
        _redirect(start.opened)
        if not start.command:
            _reset_signals(False)
        start.complete()
    except BaseException:
        _redirect(saved)        # the message goes where the user stands
        start.release()
        if umask is not None:
            os.umask(umask)
        if directory and start.chdir is not None:
            os.chdir(directory)
        start.let_go()
        raise


# ---- daemonize() --------------------------------------------------------

class _Self:
    """What daemonize() has made of this process; there is one, _SELF."""

    pid = 0                             # of the daemon
    start: _Start | None = None         # that has made it one
    task: int | None = None             # the number of a worker
    killed = 0                          # its exit status, by a SIGTERM
    is_over = False                     # too late for one
    told: _Pipe | None = None           # by which ready() is awaited
    notify_socket = ""                  # of who awaits it
    excepthook: Any = None              # the one before ours
    unraisablehook: Any = None          # the same
    shutdown: Any = None                # the same, of threading

    @property
    def pidfile(self) -> _PidFile | None:
        return self.start.held if self.start else None

    def is_daemon(self) -> bool:
        return self.pid == os.getpid()      # not so in a child it has forked

    def has_open(self, path: str) -> bool:
        """Is path the pidfile that this very process has open?

        Then it must not be opened: closing it again would drop the lock.
        """
        if not self.start or not self.pidfile:
            return False
        try:
            return os.path.samestat(os.stat(path),
                                    os.fstat(self.pidfile.fd))
        except OSError:         # removed, or relative to where it was started
            return path in (self.start.path, self.pidfile.path)

    def holds(self, path: str) -> bool:
        return self.is_daemon() and self.has_open(path)

    def open_here(self, path: str) -> _PidFile | None:
        """In whoever holds a lock on it: to be used, and not closed."""
        return (self.pidfile if (self.is_daemon() or self.task is not None)
                and self.has_open(path) else None)

    def remove_pidfile(self) -> None:
        if self.is_daemon() and self.pidfile:
            mask = signal.pthread_sigmask(     # lest one break it off
                signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                self.pidfile.remove_held()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def end(self) -> None:
        """What stop() does in the daemon itself."""
        import threading
        if threading.current_thread() is threading.main_thread():
            self.exit(0)
        os.kill(self.pid, signal.SIGTERM)

    def exit(self, exit_status: int) -> NoReturn:
        """Raises SystemExit, of which nothing is said where nothing catches
        it: at the end of the program, while Python waits for its threads or
        is in an atexit handler.
        """
        hook: Any = getattr(sys, "unraisablehook", None)
        if hook and hook != self.ignore_exit:
            self.unraisablehook = hook
            sys.unraisablehook = self.ignore_exit
        raise SystemExit(exit_status)

    def ignore_exit(self, unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, SystemExit):
            self.unraisablehook(unraisable)

    def await_threads(self) -> None:
        """As threading._shutdown() in 3.7, which has no such hook."""
        try:
            self.shutdown()
        except SystemExit:
            pass

    def settle(self, start: _Start) -> None:
        """The daemon's own last steps, after which it is the program's."""
        import atexit
        if self.pidfile:        # of a daemon that daemonizes again
            self.remove_pidfile()
            os.close(self.pidfile.fd)
        self.pid = os.getpid()
        self.start = start
        self.told = start.told if start.awaits_ready else None
        self.notify_socket = os.environ.get("NOTIFY_SOCKET", "")
        if self.told and sys.excepthook != self.report_exception:
            self.excepthook = sys.excepthook
            sys.excepthook = self.report_exception
        if sys.version_info < (3, 8) and not self.shutdown:
            import threading
            self.shutdown = threading._shutdown
            threading._shutdown = self.await_threads
        atexit.register(self.remove_pidfile)
        if self.task is not None and not start.foreground:
            self.task = None    # a worker that has daemonized is none
            if signal.getsignal(signal.SIGTERM) == self.exit_as_worker:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self.exit_on_sigterm)
        # Started with 0, 1, 2 closed, Python has None here; now they exist.
        # As its own: not to be closed, in the encoding of the locale
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            if getattr(sys, name) is None and _is_open(fd):
                setattr(sys, name, open(
                    fd, "w" if fd else "r", 1, sys.getfilesystemencoding(),
                    "backslashreplace", closefd=False))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def report_exception(self, kind: Any, error: Any, where: Any) -> None:
        """As sys.excepthook: for the launching terminal, too."""
        self.excepthook(kind, error, where)
        import traceback
        # In neither a child that the program has forked, nor after ready()
        if self.told and (self.is_daemon() or self.task is not None):
            try:
                lines = traceback.format_exception(kind, error, where)
            except Exception:       # of an exception that is itself broken
                lines = [f"{kind.__name__}, whose traceback is in the log"]
            text = "".join(lines)
            # Workers may write at once: as much as a pipe keeps together
            if self.task is not None:
                text = text.encode("ascii", "backslashreplace")[
                    -1900:].decode()
            self.told.tell("traceback", text[-_LONGEST_MESSAGE:])

    def address(self) -> str:
        """Where to notify, also if the program has cleared its environment.
        """
        return os.environ.get("NOTIFY_SOCKET", self.notify_socket
                              if self.told else "")

    def be_ready(self) -> None:
        if self.told:
            if self.task is None:
                os.environ.pop("NOTIFY_SOCKET", None)   # its reader leaves
            self.told.close()
        self.told = None
        if sys.excepthook == self.report_exception:
            sys.excepthook = self.excepthook

    def exit_as_worker(self, number: int, frame: object) -> None:
        if self.is_over:
            return              # nothing is left that it could break off
        # A failure: killed by hand, it comes back
        self.killed = 128 + number
        self.exit(self.killed)

    def exit_on_sigterm(self, number: int, frame: object) -> None:
        if self.is_daemon():
            self.exit(0)
        signal.signal(number, signal.SIG_DFL)   # a child: die as children do
        os.kill(os.getpid(), number)


_SELF = _Self()


def _refuse_wrong_place(foreground: bool, oversees: bool) -> None:
    # gevent's os.fork() has its own loop reap our children, and eventlet
    # leaves no select.poll() at all
    monkey = sys.modules.get("gevent.monkey")
    if not hasattr(select, "poll") or (
            oversees and monkey and monkey.is_module_patched("os")):
        raise DaemonizeError("this does not work under the patches of gevent "
                             "or eventlet: patch after daemonize(), and in "
                             "the workers")
    threading = sys.modules.get("threading")
    if foreground and threading and (
            threading.current_thread() is not threading.main_thread()):
        raise DaemonizeError("only the main thread can set signal handlers, "
                             "as supervise() and daemonize(foreground=True) "
                             "do")
    asyncio = sys.modules.get("asyncio")
    try:
        if asyncio is None or not asyncio.get_running_loop():
            return
    except RuntimeError:
        return                  # none is running, as it should be
    raise DaemonizeError("daemonize() and supervise() must come before the "
                         "event loop: neither loop nor threads survive a "
                         "fork")


def _warn_of_threads(level: int) -> None:
    threading = sys.modules.get("threading")
    names = [thread.name for thread in threading.enumerate()
             if thread is not threading.current_thread()] if threading else ()
    if names:
        import warnings
        warnings.warn("these threads do not survive the fork: "
                      + ", ".join(names), RuntimeWarning, stacklevel=level)


def _check_place(start: _Start) -> None:
    _refuse_wrong_place(start.foreground, bool(
        start.policy or start.awaits_ready))
    if not start.foreground:
        _warn_of_threads(5)


def _flush() -> None:
    """Before a fork: what is buffered would be written twice."""
    stream: Any
    for stream in sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__:
        if hasattr(stream, "flush") and not getattr(stream, "closed", False):
            with _doing("write what is buffered for stdout and stderr"):
                stream.flush()


def _become_daemon(start: _Start) -> None:
    """Returns in the daemon, which has yet to tell_success()."""
    _check_place(start)
    if sys.version_info < (3, 8):
        # For settle(), when the user may not be able to read it
        import threading  # noqa: F401
    _flush()
    if start.foreground:
        _stay(start)
    elif _detach(start)[1]:
        _SELF.remove_pidfile()      # of a daemon that daemonizes again
        os._exit(0)
    _SELF.settle(start)


def daemonize(pidfile: Path | None = None, stdin: Stream = None,
              stdout: Stream = None, stderr: Stream = None, *,
              chdir: Path | None = "/", umask: int | None = 0o022,
              user: User = None, group: User = None,
              keep_fds: Iterable[Any] = (), foreground: bool = False,
              wait: float = 0, notify_await: float | None = None) -> None:
    """Make the calling program a daemon, as daemon(7) has it.

    Returns in the daemon: a new process in a new session, without a
    controlling terminal, leader of its own process group.  The calling
    process leaves with status 0, its stdio flushed; its atexit handlers and
    finally blocks do not run there, as they belong to the daemon now.  If
    anything fails, it raises in the calling process, which goes on
    unchanged (but for signals, in the foreground): AlreadyRunning if the
    pidfile's daemon runs, else DaemonizeError (TypeError, ValueError for a
    wrong argument).

    pidfile     path; holds the pid, and is the lock of the single instance
                for the daemon's life.  Removed by an atexit handler, so
                before those that were registered earlier run
    stdin, stdout, stderr
                path, open file, descriptor or None: /dev/null, for stderr
                wherever stdout goes.  Files are appended to, and created
                with mode 0640 less umask
    chdir       directory to go to; None: stay
    umask       0 to 0o777; None: keep
    user        "name", "name:group" or uid to become, with all its groups;
                HOME, USER, LOGNAME and SHELL follow
    group       name or gid, instead of the user's own
    keep_fds    inherited descriptors (numbers, or objects with fileno())
                that stay open; what the program opened itself always does
    foreground  do not fork: same process, session, terminal, environment,
                descriptors, and streams where they are None
    wait        seconds in which a death of the daemon is a failed start
    notify_await
                seconds in which the program must call ready(), or say
                READY=1 as sd_notify(3) has it (EXTEND_TIMEOUT_USEC is
                honoured).  If it ends before, or is late, and is ended
                for it, that is a failed start: raised in the calling
                process, with the traceback.  Replaces wait; in the
                foreground it is an init that waits

    In the daemon SIGTERM raises SystemExit(0), so that finally blocks and
    atexit handlers run, unless the program handles SIGTERM itself.  No
    signal is blocked, and none ignored that was so when the module was
    imported.  Call it before threads and event loops are started: neither
    survives a fork.  Other threads are a RuntimeWarning before anything is
    done.
    """
    _require_posix()
    start = _Start(pidfile, (stdin, stdout, stderr), chdir=chdir,
                   umask=umask, user=user, group=group, keep_fds=keep_fds,
                   foreground=foreground, wait=wait,
                   notify_await=notify_await)
    _become_daemon(start)
    start.tell_success()


def ready() -> None:
    """Tell whoever waits that this program is ready to serve.

    That is the launching process, under notify_await; in the foreground
    whatever init has set NOTIFY_SOCKET, as systemd does for Type=notify: it
    is told READY=1 (sd_notify(3)).  A worker of a Daemon speaks for itself,
    and all must be ready; of those of supervise() the first one counts.
    Where nobody waits, or nobody does any more, it does nothing.  Raises
    DaemonizeError if NOTIFY_SOCKET exists and refuses the message.
    """
    _require_posix()
    _notify(b"READY=1", _SELF.address())
    _SELF.be_ready()


# ---- supervise() and fork_processes() -----------------------------------

def _status_of(function: Callable[[], object]) -> int:
    """Calls it; the exit status that an interpreter would have."""
    try:
        try:
            function()
            return 0
        except SystemExit as error:
            code = 0 if error.code is None else error.code
            if isinstance(code, int):
                return code & 0xff if abs(code) < 1 << 31 else 0xff
            print(code, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
    except BaseException:
        # stderr is closed, or on a full disk: the status alone can tell; or
        # TERM has come once more
        return _SELF.killed or 1
    return 1


def _library_exits() -> list[Callable[[], object]]:
    """What ends what target has begun with the standard library."""
    modules: Any = sys.modules
    return [modules["weakref"].finalize._exitfunc] + [
        getattr(modules[module], name) for module, name in (
            ("concurrent.futures.thread", "_python_exit"),
            ("concurrent.futures.process", "_python_exit"),
            ("multiprocessing.util", "_exit_function"),
            ("logging", "shutdown")) if module in modules]


def _run(target: Callable[[], object], mask: Iterable[int]) -> NoReturn:
    """In a worker: target, and the end that an interpreter would have.

    But for the atexit handlers of the supervisor's program, and for what
    that has begun: they are not the worker's to run, or to end.
    """
    import atexit
    import threading
    modules: Any = sys.modules
    atexit._clear()
    modules["weakref"].finalize._registry.clear()
    if "multiprocessing.process" in modules:
        modules["multiprocessing.process"]._children.clear()
    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL,
                                            _SELF.exit_on_sigterm):
        signal.signal(signal.SIGTERM, _SELF.exit_as_worker)
    exit_status = 0
    try:
        exit_status = _status_of(lambda: signal.pthread_sigmask(
            signal.SIG_SETMASK, mask)) or _status_of(target)
        _SELF.killed = 0        # target may have made a good end of it
        for step in (threading._shutdown,  # type: ignore[attr-defined]
                     atexit._run_exitfuncs, *_library_exits(), _flush):
            ended = _status_of(step)
            exit_status = exit_status or ended
        _SELF.is_over = True    # or it would raise past os._exit()
    finally:
        os._exit(exit_status or _SELF.killed)


def _supervise(policy: _Policy, target: Callable[[], object] | None = None,
               identity: _Identity | None = None, start: _Start | None = None
               ) -> _Supervisor:
    """Returns when all is over; or, without a target, in a worker."""
    if _SELF.task is not None:
        raise DaemonizeError(f"this is worker {_SELF.task} itself: it cannot "
                             "supervise")
    _refuse_wrong_place(True, True)
    _warn_of_threads(4)
    # Here for the workers, whose user may not be able to read them
    import atexit  # noqa: F401
    import threading  # noqa: F401
    import weakref  # noqa: F401
    _flush()
    # Here, or each worker's logging.shutdown() does it
    logging: Any = sys.modules.get("logging")
    for handler in logging._handlerList[:] if logging else ():
        try:
            handler().flush()
        except (AttributeError, OSError, ValueError):
            pass        # it is gone, or its stream closed: as shutdown() does
    program = os.path.basename(sys.argv[0] if sys.argv else "") or "python"
    became = _SELF.start
    held = _SELF.pidfile if _SELF.is_daemon() else None
    logs = _logs_of(policy, became.log_paths if became else (None, None),
                    program, became is None or became.foreground, held)

    def body(worker: _Worker) -> None:
        _SELF.task = worker.number
        if worker.report:           # of a start that awaits READY=1
            _SELF.told = worker.report
        _SELF.notify_socket = _SELF.address()   # each may have its own
        if target:
            _run(target, supervisor.crew.mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, supervisor.crew.mask)

    supervisor = _Supervisor(_Crew(policy, held, logs, identity, start, body))
    supervisor.run()
    return supervisor


def supervise(target: Callable[[], object], *, workers: int = 1,
              respawn: str = "on-failure", user: User = None,
              group: User = None, **options: Any) -> None:
    """Run target() in worker processes, and start them again.

    Each worker is a forked child, leader of its own process group; task_id()
    and DAEMONIZE_WORKER in its environment give its number.  It ends with 0
    when target returns, with 1 and a traceback on stderr when that raises,
    as sys.exit() says; in it SIGTERM raises SystemExit(143), unless the
    program handles it.  None of the program's atexit handlers run there,
    but those of logging, multiprocessing and concurrent.futures.

    Returns when all workers have ended well, or at SIGTERM or SIGINT, when
    they have been ended.  Raises DaemonizeError when it gives up.  Never
    returns in a worker.  After daemonize(pidfile), status and stop know the
    workers.  Call it in the main thread, before event loops are started.

    workers         how many
    respawn         "on-failure": after a signal or a status other than 0;
                    "always": after 0, too
    user, group     whom the workers become; the supervisor stays who it is

    The options, all of them keywords:

    respawn_delay   seconds, at most, between restarts: 0, 0.1, doubling [60]
    respawn_max     restarts of a worker without a healthy run between them,
                    after which the next death is the end [None: no limit]
    respawn_period  seconds after which a run counts as healthy [10]
    retry           how workers are ended, as for stop(); KILL comes last
    log_reopen, log_size, log_keep
                    the supervisor writes the logs that daemonize() opened:
                    reopens them at SIGHUP (which is then not passed on) if
                    True, rotates them at that size (bytes, or "10M"), and
                    keeps so many [5]
    syslog, syslog_tag
                    True: stdout and stderr, where not named, go to syslog

    SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are passed on.
    """
    _require_posix()
    if respawn is None:
        raise ValueError("respawn is \"on-failure\" or \"always\"")
    if not callable(target):
        raise TypeError(f"not callable: {target!r}")
    policy = _Policy(workers=workers, respawn=respawn, **options)
    identity = (None if user is None and group is None
                else _Identity(user, group))
    gave_up = _supervise(policy, target, identity)
    if gave_up.gave_up:
        raise DaemonizeError(gave_up.gave_up, gave_up.exit_status)


def fork_processes(num_processes: int | None, max_restarts: int | None = 100
                   ) -> int:
    """Fork workers, and start them again; tornado's function of that name.

    num_processes: None or <= 0 is one for each CPU.  Returns in each worker
    its task id, 0 to num_processes - 1.  One that ends by a signal or with a
    status other than 0 is started again, under its id, without a delay.
    The parent never returns: it exits with 0 when all have ended well, or
    when SIGTERM or SIGINT has told it to end them (as TERM/10/KILL); after
    more than max_restarts (in total) it ends the others and raises
    RuntimeError.
    """
    _require_posix()
    if num_processes is None or num_processes <= 0:
        num_processes = os.cpu_count() or 1
    policy = _Policy(
        workers=num_processes, respawn_delay=0,
        respawn_max=100 if max_restarts is None else max_restarts)
    policy.in_total = True
    supervisor = _supervise(policy)
    if _SELF.task is not None:
        return _SELF.task
    if supervisor.gave_up:
        raise RuntimeError("Too many child restarts, giving up: "
                           + supervisor.gave_up)
    raise SystemExit(0)


def task_id() -> int | None:
    """The number of this worker of supervise() or fork_processes()."""
    return _SELF.task


# ---- Control ------------------------------------------------------------

def _opened(path: str, owner: int | None = None) -> _PidFile:
    """To be read, and closed; NotRunning if it does not exist."""
    try:
        return _SELF.open_here(path) or _PidFile(path, owner=owner)
    except FileNotFoundError:
        raise NotRunning(f"not running: there is no {path}") from None


def _inspect(path: str, owner: int | None = None
             ) -> tuple[bool, int | None, str, list[tuple[int, int]]]:
    """(whether the pidfile exists, pid, but, workers): see _PidFile's
    judge() and workers().
    """
    if _SELF.pidfile and _SELF.holds(path):
        return True, os.getpid(), "", _SELF.pidfile.workers()[0]
    try:
        while True:
            with _opened(path, owner) as pidfile:
                pid, but, workers = pidfile.state()
                if pid is not None or pidfile.is_current():
                    return True, pid, but, workers
    except NotRunning:
        return False, None, "", []


def status(pidfile: Path) -> int | None:
    """The pid of the running daemon, or None.

    Raises DaemonizeError where that cannot be told: no permission, not a
    pidfile, held where its pid is not known (another pid namespace).
    """
    _require_posix()
    _, pid, but, _ = _inspect(_path(pidfile))
    if pid == 0:
        raise DaemonizeError(but)
    return pid


def _find(pidfile: _PidFile) -> _Target | None:
    """The daemon; None where a killed supervisor has left its workers."""
    while True:
        pid, but, workers = pidfile.state()
        if pid == 0:
            raise DaemonizeError(but)
        if pid is None and workers:
            return None
        if pid is None:
            raise NotRunning("not running: " +
                             (but or f"{pidfile.path} is stale"))
        target = _Target(pidfile, _DAEMON_BYTE, pid)
        if target.is_it():
            if but and target.pidfd < 0:
                raise DaemonizeError(f"{but}: kill {pid}", pid=pid)
            return target
        target.close()


def _clear(path: str, owner: int | None = None,
           known: os.stat_result | None = None) -> str:
    """Removes a dead daemon's pidfile; returns why it could not.

    known was locked by a daemon: it is nobody's app.py.
    """
    try:
        if os.path.lexists(path) and not _SELF.open_here(path):
            with _PidFile(path, os.O_RDWR, owner) as pidfile:
                pidfile.is_known = known is not None and os.path.samestat(
                    known, pidfile.info())
                pidfile.remove_if_free()
    except DaemonizeError as error:
        return str(error)
    return ""


def _send_signal(path: str, number: int, owner: int | None = None) -> None:
    numbers = [number]
    if number == signal.SIGTERM:
        numbers.append(signal.SIGCONT)      # it may be stopped
    if _SELF.holds(path):
        os.kill(os.getpid(), number)
        return
    with _opened(path, owner) as pidfile:
        target = _find(pidfile)
        if not target:
            raise NotRunning(f"not running: {path} is stale")
        try:
            target.signal(*numbers)
        finally:
            target.close()


def send_signal(pidfile: Path, sig: int | str) -> None:
    """Signal the running daemon, and nobody else.

    sig is a number or a name, "HUP" or "SIGHUP".  Raises ValueError for an
    unknown one, NotRunning, and DaemonizeError without permission.  The pid
    in the file alone is never believed.
    """
    _require_posix()
    _send_signal(_path(pidfile), _signal_number(sig))


def _refuse_worker(path: str, owner: int | None = None) -> None:
    """A worker that has called exec, or main(): it would be ended in the
    middle of the restart.
    """
    number = os.environ.get(_WORKER, "0")
    try:
        with _opened(path, owner) as pidfile:
            # A child of ours inherits the file, but not the lock, of which
            # not all kernels tell
            told = _proc("self", f"fdinfo/{pidfile.fd}")
            is_worker = (
                os.getppid() == pidfile.content()
                and os.getpgrp() == os.getpid()
                and number.isascii() and number.isdigit() and len(number) < 8
                and (_WORKER in os.environ or b"\nino:" in told)
                and (not told or _has_open(os.getpid(), pidfile.info(),
                                           1 + int(number))))
    except NotRunning:
        return
    if is_worker:
        raise DaemonizeError(f"this is worker {number} of {path} itself, "
                             "which a restart ends: a child of it can do that")


def _stop(path: str, schedule: list[tuple[int, float]],
          first: int | None = None, owner: int | None = None,
          is_shown: bool = False) -> tuple[str, str]:
    """(who was ended, why the pidfile could not be removed)

    What a supervisor leaves is ended, too: it was killed, by us or before.
    """
    if _SELF.holds(path):
        _SELF.end()
        return f"pid {os.getpid()}", ""
    if first is not None:
        schedule = [(first, schedule[0][1]), *schedule[1:]]
    waiting = _Waiting(is_shown)
    known = None
    try:
        with _opened(path, owner) as pidfile:
            daemon = _find(pidfile)
            workers = _workers_of(pidfile)
            if daemon:
                known = pidfile.info()
                owner = daemon.uid if owner is None else owner
                schedule = _end_daemon(daemon, workers, schedule, waiting)
            left = _end_workers(pidfile, schedule, waiting, workers)
    except NotRunning as error:
        why = _clear(path, owner)
        raise NotRunning(f"{error}; {why}" if why else str(error)) from None
    return (f"pid {daemon.pid}" if daemon else
            "the workers that were left: pid " + ", ".join(map(str, left)),
            _clear(path, owner, known))


def stop(pidfile: Path, retry: str | float = _RETRY, *,
         signal: int | str | None = None) -> None:
    """End the running daemon, and its workers; returns when they are gone.

    retry is a schedule as in start-stop-daemon(8), signals and seconds in
    turn; a number alone is TERM/number/KILL/number.  signal replaces the
    first signal.  What is left of the daemon's process group when it is gone
    gets the signal that ended it, and the rest of the schedule.  Then the
    pidfile is removed (where the caller may; a stale one harms nothing).
    Raises NotRunning; DaemonizeError, with exit_status 124 if it did not
    end, 125 without permission; ValueError.  Called in the daemon itself,
    it raises SystemExit(0), or from a thread sends SIGTERM.
    """
    _require_posix()
    schedule = _schedule(retry)
    first = None if signal is None else _signal_number(signal)
    _stop(_path(pidfile), schedule, first)


# ---- The class ----------------------------------------------------------

def _policy_of(options: dict[str, Any]) -> _Policy | None:
    """None without respawn, workers or a log to be written."""
    wanted = {name: options[name] for name in _POLICIES
              if options.get(name) is not None and options[name] is not False}
    if wanted.keys() & {"respawn", "workers", "log_reopen", "log_size",
                        "syslog"}:
        respawn = "on-failure" if "workers" in wanted else None
        wanted["respawn"] = options.get("respawn", respawn) or None
        return _Policy(**wanted)
    if wanted.keys() - {"retry"}:
        raise ValueError(f"{', '.join(wanted)}: without respawn, workers "
                         "or a log to be written")
    return None


class Daemon:
    """The well-known recipe: subclass it and override run().

        class App(Daemon):
            def run(self): ...

        if __name__ == "__main__":
            raise SystemExit(App("/run/app.pid", stdout="app.log").main())

    options are daemonize()'s; or, with respawn ("on-failure", "always") or
    workers, supervise()'s, too: then run() runs in each worker.  A subclass
    may set self.pidfile, and the streams, itself, without calling
    super().__init__().
    """

    pidfile: Path | None = None
    stdin: Stream = None
    stdout: Stream = None
    stderr: Stream = None
    _options: dict[str, Any] | None = None      # a subclass may have options
    _rehearsed: _Start | None = None            # by restart()
    _wanted_start: _Start | None = None         # by start(), of daemonize()

    def __init__(self, pidfile: Path, stdin: Stream = None,
                 stdout: Stream = None, stderr: Stream = None,
                 **options: Any) -> None:
        self.pidfile = pidfile
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._options = options

    def run(self) -> None:
        """What the daemon does; override it."""

    def start(self) -> None:
        """daemonize() and run(); returns in the daemon only, after run().

        If it is running already, says so on stderr and exits with 1;
        otherwise raises what daemonize() raises.
        """
        self._start()

    def daemonize(self) -> None:
        """What start() calls before run(): become the daemon.

        A subclass's own may do more; without super().daemonize() it stays
        what it is, and start() calls run() in this very process.
        """
        wanted, self._wanted_start = self._wanted_start, None
        start = wanted or self._new_start()
        if not wanted:          # called by itself: what comes is not known
            start.policy = None
        try:
            _become_daemon(start)
        except AlreadyRunning:
            self._refuse_start()
        if not wanted:
            start.tell_success()

    def delpid(self) -> None:
        """Remove the pidfile, in the daemon that holds it; else nothing.

        It goes by itself at the end: this is for scripts that call it.
        """
        if self.pidfile is not None and _SELF.holds(self._path()):
            _SELF.remove_pidfile()

    def stop(self) -> None:
        """Stop the daemon; if there is none, say so on stderr and return."""
        try:
            stop(self._path(), (self._options or {}).get("retry") or _RETRY)
        except NotRunning:
            print(f"pidfile {self._path()} does not exist. "
                  "Daemon not running?", file=sys.stderr)

    def restart(self) -> None:
        """stop() and start(); what must fail stops nothing."""
        _require_posix()
        _refuse_worker(self._path())
        start = self._new_start()
        _check_place(start)
        try:
            start.rehearse()
            self._rehearsed = start
            self.stop()
            self.start()
        finally:
            self._rehearsed = None
            start.let_go()

    def status(self) -> int | None:
        """The pid of the running daemon, or None."""
        return status(self._path())

    def main(self, argv: Sequence[str] | None = None) -> int:
        """start|stop|restart|status|run: returns the exit status.

        argv is without the program's name; None: sys.argv[1:].  run runs in
        the foreground, with the pidfile locked.
        """
        words = list(sys.argv[1:] if argv is None else argv)
        actions: dict[str, Callable[[], int | None]] = {
            "start": self.start, "stop": self._main_stop,
            "restart": self.restart, "status": self._main_status,
            "run": lambda: self._start(foreground=True)}
        if len(words) != 1 or words[0] not in actions:
            print(f"usage: {os.path.basename(sys.argv[0])} "
                  f"{'|'.join(actions)}", file=sys.stderr)
            return 2
        before = _SELF.pid
        try:
            return actions[words[0]]() or 0
        except DaemonizeError as error:
            if _SELF.pid != before:
                raise           # the daemon's own: with its traceback
            print(f"daemonize: {error}", file=sys.stderr)
            return 4 if words[0] == "status" else error.exit_status

    def _path(self) -> str:
        if self.pidfile is None:
            raise DaemonizeError("this Daemon has no pidfile")
        return _path(self.pidfile)

    def _refuse_start(self) -> NoReturn:
        print(f"pidfile {self._path()} already exist. "
              "Daemon already running?", file=sys.stderr)
        raise SystemExit(1) from None

    def _new_start(self, **more: Any) -> _Start:
        options = {**(self._options or {}), **more}
        return _Start(
            self.pidfile, (self.stdin, self.stdout, self.stderr), (),
            _policy_of(options), **{name: value for name, value
                                    in options.items()
                                    if name not in _POLICIES})

    def _start(self, **more: Any) -> None:
        _require_posix()
        start = self._rehearsed or self._new_start(**more)
        self._rehearsed = None
        # Before a daemonize() of its own
        if _inspect(start.path or "", start.owner)[1] is not None:
            self._refuse_start()
        self._wanted_start = start
        self.daemonize()
        if self._wanted_start and start.foreground:
            Daemon.daemonize(self)      # run: with the pidfile locked
        if self._wanted_start:          # it has stayed what it was
            start.foreground, start.awaits_ready = True, False
            start.chdir = None
            self._wanted_start = None
        if not start.policy:
            start.tell_success()
            self.run()
            return
        try:
            ended = _supervise(start.policy, self.run, start.identity, start)
        except DaemonizeError as error:
            if start.foreground or start.told.writer < 0:
                raise
            start.told.tell_error(error)        # to the launching process
            raise SystemExit(error.exit_status) from None
        start.tell_success()
        if ended.exit_status:
            raise SystemExit(ended.exit_status)     # it has said why

    def _main_stop(self) -> int:
        _, pid, _, workers = _inspect(self._path())
        self.stop()
        return 0 if workers or pid is not None else NotRunning.exit_status

    def _main_status(self) -> int:
        exists, pid, but, _ = _inspect(self._path())
        if pid == 0:
            raise DaemonizeError(but)
        if pid is None:
            print("not running", file=sys.stderr)
            return 1 if exists else 3
        print(pid)
        return 0


# ---- The command line ---------------------------------------------------

def _octal(word: str) -> int:
    if not word.isdigit() or int(word, 8) > 0o777:
        raise ValueError(word)
    return int(word, 8)


def _retry(word: str) -> str:
    _schedule(word)
    return word


# Letter and name, and what makes a value of its word; None: it takes none
_OPTIONS: dict[str, Callable[[str], Any] | None] = {
    "p pidfile": str, "i stdin": str, "o stdout": str, "e stderr": str,
    "d chdir": str, "k umask": _octal, "u user": str, "g group": str,
    "f foreground": None, "  wait": _seconds, "  notify-await": None,
    "  notify-timeout": _patience, "r respawn": None,
    "  respawn-always": None, "  respawn-delay": _seconds,
    "  respawn-max": _count, "  respawn-period": _seconds,
    "w workers": lambda word: _count(word, 1), "H log-reopen": None,
    "  log-size": _size, "  log-keep": _count, "S syslog": None,
    "T syslog-tag": str, "  status": None, "  json": None, "  stop": None,
    "  restart": None, "s signal": _signal_number, "R retry": _retry,
    "  oknodo": None, "v verbose": None, "q quiet": None, "  version": None,
    "h help": None}
_ACTIONS = ("help", "version", "status", "stop", "restart", "signal")
# Without one of these an option would do nothing
_GOES_WITH = {
    "json": ["status"], "notify-timeout": ["notify-await"],
    **dict.fromkeys(["respawn-delay", "respawn-max", "respawn-period"],
                    ["respawn", "respawn-always", "workers"]),
    **dict.fromkeys(["log-reopen", "log-size"], ["stdout", "stderr"]),
    "log-keep": ["log-size"], "syslog-tag": ["syslog"]}


def _parse(argv: list[str], options: dict[str, Any]) -> list[str]:
    """Fills options, returns the command."""
    # getopt can do without gettext, which brings re: 5 ms at each start
    spare = "gettext" not in sys.modules
    if spare:
        sys.modules["gettext"] = None   # type: ignore[assignment]
    import getopt
    if spare:
        del sys.modules["gettext"]
    names = {"-" + option[0]: option[2:] for option in _OPTIONS}
    conversions = {option[2:]: convert
                   for option, convert in _OPTIONS.items()}
    try:
        found, command = getopt.getopt(
            argv, "".join(option[0] + ":" * bool(convert)
                          for option, convert in _OPTIONS.items()
                          if option[0] != " "),
            [name + "=" * bool(convert)
             for name, convert in conversions.items()])
    except getopt.GetoptError as error:
        if argv[0] in ("-q", "--quiet"):
            options["quiet"] = True
        raise DaemonizeError(f"{error} (see --help)", 2) from None
    words = [(names.get(option, option[2:]), word) for option, word in found]
    options.update(words)       # all of them: is it to be quiet?
    for name, word in words:
        convert = conversions[name]
        if convert and not word:        # an unset $VARIABLE
            raise DaemonizeError(f"--{name} is empty (see --help)", 2)
        try:
            options[name] = convert(word) if convert else True
        except ValueError:
            raise DaemonizeError(f"bad --{name}: {word} (see --help)",
                                 2) from None
    return list(command)


def _execute_bytecode(argv: list[str]) -> None:
    """Executes the interpreter anew, on the bytecode of this script.

    CPython keeps the syntax tree of a script as long as that runs: in a
    supervisor 5 MB for life, and more than half a millisecond of each fork.
    """
    frame: Any = sys._getframe()
    while frame.f_code.co_name != "<module>":
        frame = frame.f_back
    code = marshal.dumps(frame.f_code)
    # Not sys.executable: that is what PATH has under the name that we were
    # given, by "exec -a NAME" say, or nothing
    name = os.fsdecode(_proc("self", "cmdline").partition(b"\0")[0])
    try:
        executable = os.readlink(f"{_PROC}/self/exe")
        with open(os.memfd_create("daemonize", 0), "wb", 0) as file:
            if (not os.path.basename(executable).startswith("python")
                    or file.write(code) != len(code)):
                return
            _restore_locale()   # or it would be taken for the user's own
            os.execv(executable, [
                name or executable, "-S",
                *["-E"] * sys.flags.ignore_environment, "-c",
                # The path is for ps(1) and pgrep(1); and nothing is to be
                # imported from where we stand
                f"{__file__!r}; import sys; "
                "sys.path = [path for path in sys.path if path]; "
                f"import marshal, os; fd = {file.fileno()}; "
                f"code = os.pread(fd, {len(code)}, 0); "
                "os.close(fd); exec(marshal.loads(code))", *argv])
    except (AttributeError, OSError):
        # No memfd_create(), RLIMIT_FSIZE, an interpreter that has gone
        pass                    # it runs as it is, and is larger


class _CommandLine:
    """The actions, one method each, which returns the exit status."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.command: list[str] = []
        self.path = ""

    def complain(self, error: Exception) -> None:
        if "quiet" not in self.options:
            try:
                _write(2, f"daemonize: {error}\n")
            except DaemonizeError:
                pass            # the exit status has to say it all

    def boast(self, text: str) -> None:
        if "verbose" in self.options and "quiet" not in self.options:
            self.tell(f"daemonize: {_printable(text)}")

    def show(self, status: str) -> None:
        """Of a start, whose judge may not wait for who does not read."""
        if _is_writable(1):
            self.boast(f"status: {status}")

    def tell(self, *lines: str) -> None:
        """On stdout; if that fails, the exit status is still true."""
        try:
            _write(1, "".join(line + "\n" for line in lines))
        except DaemonizeError as error:
            self.complain(error)

    def owner(self) -> int | None:
        """--user, whom a pidfile may belong to beside root."""
        user = self.options.get("user")
        if user is None or os.geteuid() != 0:
            return None
        return _Identity(user, self.options.get("group")).uid

    def help(self) -> int:
        """The end of this file's docstring, of which -OO leaves nothing."""
        _, usage, options = (__doc__ or "").partition("usage: ")
        _write(1, usage + options or "daemonize: python -OO has no help: "
               "see README.md, or the head of daemonize.py\n")
        return 0

    def version(self) -> int:
        _write(1, f"daemonize {__version__}\n")
        return 0

    def policy(self) -> _Policy | None:
        """None where the command replaces us, and nothing of us stays."""
        options = {name.replace("-", "_"): value
                   for name, value in self.options.items()}
        if "respawn" in options:
            options["respawn"] = "on-failure"
        if "respawn_always" in options:
            options["respawn"] = "always"
        policy = _policy_of(options)
        if not policy and "foreground" in options and os.getpid() == 1:
            policy = _Policy(respawn=None,
                             retry=options.get("retry", _RETRY))
        return policy

    def wanted(self) -> _Start:
        get = self.options.get
        return _Start(
            get("pidfile"), map(get, ("stdin", "stdout", "stderr")),
            self.command, self.policy(), chdir=get("chdir"),
            umask=get("umask"), user=get("user"), group=get("group"),
            foreground=get("foreground", False), wait=get("wait", 0.2),
            notify_await=get("notify-timeout", 60.0)
            if "notify-await" in self.options else None)

    def start(self, wanted: _Start | None = None) -> int:
        wanted = wanted or self.wanted()
        if wanted.foreground:
            _stay(wanted)       # does not return
        note, pid = _detach(wanted, _Waiting("quiet" not in self.options),
                            self.show)
        if note:
            self.complain(DaemonizeError(note))
        else:
            self.boast(f"started, pid {pid}")
        return 0

    def end(self) -> tuple[str, str]:
        return _stop(self.path, _schedule(self.options.get("retry", _RETRY)),
                     self.options.get("signal"), self.owner(),
                     "quiet" not in self.options)

    def restart(self) -> int:
        """Looks for all that could fail before it stops what runs."""
        wanted = self.wanted()
        _refuse_worker(self.path, self.owner())
        try:
            wanted.rehearse()
            try:
                self.end()
            except NotRunning:
                pass                # then there is only the start
            return self.start(wanted)
        finally:
            wanted.let_go()

    def stop(self) -> int:
        who, why = self.end()
        if why:
            self.complain(DaemonizeError(
                f"stopped {who}, but the stale pidfile stays: {why}"))
        self.boast(f"stopped {who}")
        return 0

    def signal(self) -> int:
        number = self.options["signal"]
        _send_signal(self.path, number, self.owner())
        self.boast(f"sent {_signal_name(number)}")
        return 0

    def status(self) -> int:
        try:
            with _doing(f"tell the status of {self.path}"):
                exists, pid, but, found = _inspect(self.path, self.owner())
        except DaemonizeError as error:
            error.exit_status = 4
            raise
        if "json" in self.options:
            import json
            self.tell(json.dumps({
                "running": pid is not None, "pid": pid or None,
                "pidfile": self.path, "workers": [
                    {"id": number, "pid": worker, "uptime": _uptime(worker)}
                    for number, worker in found]}))
        else:
            lines = [f"running, pid {pid}"] if pid else []
            for number, worker in found:
                up = _uptime(worker)
                lines.append(f"worker {number}, pid {worker}" + (
                    "" if up is None else f", up {up:.2f} s"))
            self.tell(*lines)
        if pid == 0:
            raise DaemonizeError(but, 4)
        if pid is None and "json" not in self.options:
            but = but or (f"{self.path} is stale" if exists else
                          f"there is no {self.path}")
            if found:
                but += ("; the workers of a killed supervisor run "
                        "(--stop ends them)")
            self.complain(NotRunning(f"not running: {but}"))
        return 0 if pid else 1 if exists else 3

    def action(self) -> str:
        """What is wanted, if that fits the other words."""
        options = self.options.keys()
        wanted = [name for name in _ACTIONS if name in options]
        if wanted == ["stop", "signal"]:
            wanted.pop()        # it belongs to the stop
        action = wanted[0] if wanted else "start"
        starts = action in ("start", "restart")
        rules: list[tuple[object, str]] = [
            (name in options and options.isdisjoint(others),
             f"--{name} goes with --" + " or --".join(others))
            for name, others in _GOES_WITH.items()]
        rules += [
            ({"syslog", "stdout", "stderr"} <= options,
             "--syslog has nothing to take: both streams are named"),
            (wanted[1:], f"--{' or --'.join(wanted[:2])}, not both"),
            (wanted and not self.path, f"--{action} needs --pidfile"),
            (starts and not self.command, "no command given (see --help)"),
            (self.command and not starts, f"--{action} takes no command")]
        for is_broken, message in rules:
            if is_broken and action not in ("help", "version"):
                raise DaemonizeError(message, 2)
        return action

    def act(self, argv: list[str]) -> int:
        self.command = _parse(argv, self.options)
        self.path = self.options.get("pidfile", "")
        action = self.action()
        if (action in ("start", "restart") and __name__ == "__main__"
                and __spec__ is None and "__file__" in globals()
                and self.policy()):
            _execute_bytecode(sys.argv[1:])
        result: int = getattr(self, action)()
        return result


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status.

    argv is without the program's name; None: sys.argv[1:].
    """
    line = _CommandLine()
    try:
        _require_posix()
        return line.act(list(sys.argv[1:] if argv is None else argv))
    except DaemonizeError as error:
        if error.exit_status == 1 and "oknodo" in line.options:
            line.boast(str(error))
            return 0
        line.complain(error)
        return error.exit_status
    except OSError as error:    # out of descriptors or memory, say
        line.complain(DaemonizeError(f"cannot go on: {_reason(error)}"))
        return DaemonizeError.exit_status
    except ValueError as error:     # a null byte, from a caller in Python
        line.complain(error)
        return 2


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)    # no traceback
    os._exit(main())    # nothing is buffered; finalizing would take 3 ms
