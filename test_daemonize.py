"""Tests of daemonize.py: real processes, observed from outside.

    python3 test_daemonize.py            all of them, half a minute
    python3 test_daemonize.py -v ControlTest
    python3 test_daemonize.py bench      speed, beside the peers installed

TEST_PROCESSES=1 runs them one after the other (two minutes).
"""
import contextlib
import errno
import faulthandler
import fcntl
import inspect
import json
import os
import pwd
import py_compile
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

try:        # a Python may be built without it, or a distribution take it out
    import ctypes
except ImportError:
    ctypes = None



def may_become_others():
    """Root may not, in a user namespace that has none, or in a jail."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def effective_capabilities():
    with open("/proc/self/status") as file:
        return int(re.search(r"\nCapEff:\t(.*)", file.read()).group(1), 16)


HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "daemonize.py")
README = os.path.join(HERE, "README.md")
ROOT = os.geteuid() == 0
OTHERS = ROOT and may_become_others()
LINUX = sys.platform.startswith("linux")
PYPY = sys.implementation.name == "pypy"
# CAP_SYS_PTRACE, which the root of a container often lacks
LOOKS = OTHERS and LINUX and effective_capabilities() >> 19 & 1
MARK = "DAEMONIZE_TEST"     # in the environment of all that a test starts
FAST = ["-S", "-E"]         # helpers need no site-packages

MODULES = []    # a directory with daemonize.py and its bytecode


def setUpModule():
    """Compiling it at each start would be half the time of these tests."""
    MODULES.append(tempfile.mkdtemp(prefix="daemonize-modules-"))
    os.chmod(MODULES[0], 0o755)
    py_compile.compile(shutil.copy(SCRIPT, MODULES[0]))
    # Whoever ignores a signal, as nohup(1) has us do, hands that down; a
    # handler is no more after an exec, and a hangup still does not end us.
    for number in set(signal.Signals) - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *args: None)


def tearDownModule():
    shutil.rmtree(MODULES.pop())


# Reports itself as one line of JSON in the file it is given, and stays.
SPY = r"""
import json, os, signal, sys, time
def status():
    fields = {}
    for line in open("/proc/self/status"):
        key, _, value = line.partition(":")
        fields[key] = value.strip()
    return fields
def tty():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        return True
    except OSError:
        return False
fds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        fds[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
fields = status()
umask = os.umask(0)
os.umask(umask)
report = dict(
    pid=os.getpid(), ppid=os.getppid(), sid=os.getsid(0), pgid=os.getpgrp(),
    cwd=os.getcwd(), umask=umask, fds=fds, tty=tty(), argv=sys.argv[2:],
    ignored=int(fields["SigIgn"], 16), blocked=int(fields["SigBlk"], 16),
    uid=os.getresuid(), gid=os.getresgid(), groups=os.getgroups(),
    environ=dict(os.environ))
with open(sys.argv[1] + ".new", "w") as file:
    json.dump(report, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""

# In front of every program.  One long sleep would be a race: Python runs no
# handler for a signal that comes just before the system call, until it ends.
IDLE = """
def idle():
    import time
    while True:
        time.sleep(0.05)
"""

# In front of what stands between daemonize.py and the system, in whichever
# process that calls it: generation counts the forks that made this one.
DRIVER = """
import errno, fcntl, os, select, signal, socket, struct, sys, time
def instead_of(owner, name):
    def decorate(function):
        plain = getattr(owner, name)
        def wrapper(*args, **options):
            return function(plain, *args, **options)
        setattr(owner, name, wrapper)
        return plain
    return decorate
def instead_of_poll(function):
    plain = select.poll
    class Poll:
        def __init__(self):
            self.plain = plain()
        def __getattr__(self, name):
            return getattr(self.plain, name)
        def poll(self, timeout=None):
            return function(self.plain.poll, timeout)
    select.poll = Poll
def state(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
def locks(how, byte, args):     # of lockf(): LOCK_UN has no other bit
    return how != fcntl.LOCK_UN and args[1:2] == (byte,)
generation, children = 0, []
@instead_of(os, "fork")
def fork(plain):
    global generation
    pid = plain()
    if pid:
        children.append(pid)
    else:
        generation += 1
        del children[:]
    return pid
"""


def wait_until(condition, timeout=60.0, what=""):
    """The one place that sleeps; returns the condition's true value.

    What is not there yet, or not while a process is in its exec, is waited
    for as well: a file, an item of a list, the number in a line.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        try:
            value = condition()
            if value:
                return value
        except (LookupError, OSError, ValueError) as error:
            value = repr(error)
        if time.monotonic() > deadline:
            raise AssertionError("waited %g s for %s, saw %r" % (
                timeout, what or inspect.getsource(condition), value))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def is_alive(pid):
    """Neither gone nor a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return not LINUX


def limit(mark):
    """As a soft RLIMIT_LOCKS, which Linux heeds no more but hands down."""
    return int.from_bytes(mark.encode()[-7:], "big")


def marked(mark):
    """The pids of all processes with that mark in their environment.

    Without CAP_SYS_PTRACE that of another user's is closed to root; what
    limits one has is open to all.
    """
    wanted = ("%s=%s" % (MARK, mark)).encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open("/proc/%s/environ" % name, "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(name))
            except PermissionError:
                with contextlib.suppress(OSError), open(
                        "/proc/%s/limits" % name) as file:
                    if re.search(r"\nMax file locks +%d " % limit(mark),
                                 file.read()):
                        found.append(int(name))
            except OSError:
                pass
    return [pid for pid in found if is_alive(pid)]


def doings(pid):
    """(context switches, ticks of the processor, state), so far."""
    with open("/proc/%d/status" % pid) as file:
        switches = sum(map(int, re.findall(r"ctxt_switches:\s*(\d+)",
                                           file.read())))
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return switches, sum(map(int, fields[11:13])), fields[0]


class DaemonTestCase(unittest.TestCase):
    """A directory of its own, and no process left behind."""

    maxDiff = None
    CLI = [sys.executable, "-S", "-m", "daemonize"]     # no site-packages

    def setUp(self):
        faulthandler.dump_traceback_later(300, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="daemonize-"))
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(self.kill_all)
        if LINUX:
            with contextlib.suppress(ValueError):       # a lower hard limit
                resource.setrlimit(10, (limit(self.dir),
                                        resource.getrlimit(10)[1]))
        self.p = self.path("p")
        self.log = self.path("log")
        self.env = dict(os.environ, **{MARK: self.dir})
        for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE",
                     "PYTHONUNBUFFERED", "NOTIFY_SOCKET"):
            self.env.pop(name, None)
        self.env["PYTHONPATH"] = MODULES[0]
        self.env["PYTHONDONTWRITEBYTECODE"] = "1"

    def path(self, name):
        return os.path.join(self.dir, name)

    def kill_all(self):
        if not LINUX:
            return
        looks = 2               # one in its exec is not seen
        while looks:
            left = marked(self.dir)
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            looks = 2 if left else looks - 1

    def assert_nothing_left(self, but=()):
        wait_until(lambda: set(marked(self.dir)) <= set(but),
                   what="the end of all processes")

    def assert_alone(self, *pids):
        """These processes live, and no others: now, and not a little later.

        One in the middle of its exec is not seen, so it is waited for.
        """
        def look():
            seen = set(marked(self.dir))
            self.assertLessEqual(seen, set(pids))
            return seen == set(pids)
        wait_until(look)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def script(self, name, text):
        path = self.write(name, text)
        os.chmod(path, 0o755)
        return path

    def popen(self, command, **options):
        options = dict(dict(cwd=self.dir, env=self.env,
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True), **options)
        process = subprocess.Popen(command, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for stream in (process.stdout, process.stderr):
            if stream:
                self.addCleanup(stream.close)
        return process

    def call(self, command, **options):
        """(status, stdout, stderr); hangs if a daemon keeps our pipes."""
        options = dict(dict(cwd=self.dir, env=self.env, timeout=120,
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True), **options)
        done = subprocess.run(command, **options)
        return done.returncode, done.stdout, done.stderr

    def cli(self, *args, **options):
        return self.call(self.CLI + list(args), **options)

    def ok(self, *args, **options):
        """A call that must succeed without a word on stderr; its stdout."""
        status, out, err = self.cli(*args, **options)
        self.assertEqual((status, err), (0, ""))
        return out

    def all_fail(self, status, cases):
        """[(message, arguments)], as fails(), but in one interpreter."""
        code, out, err = self.python(
            "import contextlib, daemonize, json, os, sys\n"
            "for args in json.loads(sys.argv[1]):\n"
            "    print(daemonize.main(args), flush=True)\n"
            "    os.write(2, b'\\0')\n", json.dumps(
                [list(args) for _, args in cases]))
        self.assertEqual((code, out), (0, "%d\n" % status * len(cases)), err)
        for (message, args), line in zip(cases, err.split("\0")):
            self.assertRegex(line, r"\Adaemonize: " + message + r"\n\Z", args)

    def fails(self, status, message, *args, **options):
        """A call that must fail with that status and, as one line, message
        (a regular expression).
        """
        got, out, err = self.cli(*args, **options)
        self.assertEqual((got, out), (status, ""), err)
        self.assertRegex(err, r"\Adaemonize: " + message + r"\n\Z")

    def start(self, *command, options=()):
        """Starts a daemon on self.p; its pid."""
        self.ok("-p", self.p, "--wait", "0", *options, "--", *command)
        return self.pid()

    def pid(self):
        return int(self.read("p"))

    def is_running(self):
        """As --status says, without the time of an interpreter's start."""
        import daemonize
        return daemonize.status(self.p) is not None

    def spy(self, *options, **how):
        """What a spy, started as a daemon, says of itself."""
        self.write("spy.py", SPY)
        self.ok("--wait", "0", *options, "--", sys.executable, *FAST,
                self.path("spy.py"), self.path("report"), **how)
        return self.report()

    def report(self, name="report"):
        wait_until(lambda: os.path.exists(self.path(name)), what=name)
        return json.loads(self.read(name))

    def broken_elf(self, name):
        """A program of this machine's that wants a loader which does not
        exist.  Made by hand: true(1) may be static, and ld.so has many names.
        """
        with open("/proc/self/exe" if LINUX else sys.executable,
                  "rb") as file:
            head = file.read(64)
        self.assertEqual(head[:4], b"\x7fELF")
        word, size, entry = ("Q", 64, 56) if head[4] == 2 else ("I", 52, 32)
        order = "<" if head[5] == 1 else ">"
        flags, = struct.unpack(order + "I", head[size - 16:size - 12])
        loader = b"/no/such/loader\0"
        segment = [3, size + entry, 0, 0, len(loader), len(loader), 4, 1]
        if word == "Q":     # PT_INTERP, which is all that the kernel looks at
            segment.insert(1, segment.pop(6))
        with open(self.path(name), "wb") as file:
            file.write(head[:24] + struct.pack(
                order + 3 * word + "I6H", 0, size, 0, flags, size, entry, 1,
                0, 0, 0) + struct.pack(
                order + "II" + 6 * word, *segment) + loader)
        os.chmod(self.path(name), 0o755)

    def python(self, text, *args, **options):
        """Runs a program that uses the module; (status, stdout, stderr)."""
        self.write("program.py", IDLE + text)
        return self.call([sys.executable, *options.pop("flags", ["-S"]),
                          self.path("program.py"), *args], **options)

    def giving_up(self, capability):
        """The words for it; by its path, or BusyBox's sh takes its own."""
        words = [shutil.which("setpriv") or "", "--bounding-set=-"
                 + capability, "--inh-caps=-" + capability]
        if not words[0] or self.call([*words, "true"])[0]:
            self.skipTest("needs a setpriv that can give up capabilities")
        return words

    def driven(self, hooks, *args):
        """The command line, with these hooks behind the DRIVER."""
        new = self.write("driver.new", DRIVER + hooks + (
            "import daemonize\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n"))
        os.rename(new, self.path("driver.py"))      # one may be starting
        return [sys.executable, "-S", self.path("driver.py"), *args]

    def command_of(self, pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def free_port(self):
        """On Linux kept bound, so that nobody else is given it before the
        server, which says SO_REUSEADDR, too.
        """
        probe = socket.socket()
        self.addCleanup(probe.close)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        if not LINUX:
            probe.close()
        return port

    def hold_lock(self, path, byte=0, write=False, length=1, **options):
        """Another process that locks a byte of the file; its pid."""
        process = self.popen(
            [sys.executable, *FAST, "-c",
             "import fcntl, os, sys, time\n"
             "fd = fcntl.fcntl(os.open(%r, os.O_RDWR), fcntl.F_DUPFD, 240)\n"
             "fcntl.lockf(fd, fcntl.%s, %d, %d)\n"
             "print('locked', flush=True)\n"
             "time.sleep(1000)" % (path, "LOCK_EX" if write else "LOCK_SH",
                                   length, byte)], **options)
        self.assertEqual(process.stdout.readline(), "locked\n")
        return process.pid


def locked_by(file, byte):
    """The pid that F_GETLK names, or None."""
    layout = "hhqqi0q" if LINUX else "qqihhi"
    question = ((fcntl.F_WRLCK, 0, byte, 1, 0) if LINUX else
                (byte, 1, 0, fcntl.F_WRLCK, 0, 0))
    answer = struct.unpack(layout, fcntl.fcntl(
        file, fcntl.F_GETLK, struct.pack(layout, *question)))
    kind, pid = (answer[0], answer[4]) if LINUX else (answer[3], answer[2])
    return None if kind == fcntl.F_UNLCK else pid


@contextlib.contextmanager
def inheritable(*fds):
    for fd in fds:
        os.set_inheritable(fd, True)
    yield
    for fd in fds:
        os.set_inheritable(fd, False)


# ---- Starting a command --------------------------------------------------

class StartTest(DaemonTestCase):

    CLI = [sys.executable, SCRIPT]

    def test_a_daemon_runs_and_is_found_and_stopped(self):
        pid = self.start("sleep", "1000")
        self.assertTrue(is_alive(pid))
        self.assertEqual(self.command_of(pid), b"sleep\0001000\0")
        self.assertEqual(self.ok("-p", self.p, "--status"),
                         "running, pid %d\n" % pid)
        self.assert_alone(pid)   # nothing of ours stays
        self.assertEqual(self.ok("-p", self.p, "--stop"), "")
        self.assertFalse(is_alive(pid))
        self.assertFalse(os.path.exists(self.p))
        self.fails(3, "not running: there is no .*/p", "-p", self.p,
                   "--status")

    def test_success_is_silent_and_verbose_says_one_line(self):
        out = self.ok("-vp", self.p, "sleep", "1000")
        self.assertEqual(out, "daemonize: started, pid %d\n" % self.pid())
        pid = self.pid()
        self.assertEqual(self.ok("-vp", self.p, "--stop"),
                         "daemonize: stopped pid %d\n" % pid)

    def test_quiet_says_nothing(self):
        self.assertEqual(self.cli("-q", "nosuchcommand"), (127, "", ""))
        for line in "-q --nosuch", "-q --wait", "--wait x -q true":
            self.assertEqual(self.cli(*line.split()), (2, "", ""))
        self.assertEqual(self.cli("-qp", self.p, "--status"), (3, "", ""))

    def test_a_second_start_refuses_and_names_the_pid(self):
        pid = self.start("sleep", "1000")
        self.fails(1, "already running: .*/p is held by pid %d" % pid,
                   "-p", self.p, "--", "sleep", "1000")
        self.assertEqual(self.cli("-p", self.p, "--oknodo", "sleep", "9"),
                         (0, "", ""))
        self.assert_alone(pid)
        self.assertEqual(self.pid(), pid)

    def test_options_end_at_the_command(self):
        self.spy("-p", self.p)      # its own -S is not taken for ours
        self.assertEqual(self.report()["argv"], [])
        self.ok("-p", self.path("q"), "--wait", "0", "sh", "-c",
                "echo \"$@\" >%s.new; mv %s.new %s" % (
                    (self.path("args"),) * 3), "sh", "-v", "--", "--stop")
        wait_until(lambda: os.path.exists(self.path("args")))
        self.assertEqual(self.read("args"), "-v -- --stop\n")

    def test_bytes_that_are_not_utf8_reach_the_command(self):
        name = os.fsencode(self.dir) + b"/\xff\xfe"
        status = subprocess.call(
            [os.fsencode(sys.executable), os.fsencode(SCRIPT), b"--wait",
             b"0", b"-o", name + b".log", b"-p", name + b".pid", b"--",
             b"sh", b"-c", b"printf %s \"$1\"; touch $0.new; "
             b"mv $0.new $0", name, b"a\xe9b"], env=self.env)
        self.assertEqual(status, 0)
        wait_until(lambda: os.path.exists(name))
        with open(name + b".log", "rb") as file:
            self.assertEqual(file.read(), b"a\xe9b")
        self.assertTrue(os.path.exists(name + b".pid"))

    def test_relative_paths_are_where_the_user_stands(self):
        os.mkdir(self.path("sub"))
        self.script("sub/cmd", "#!/bin/sh\necho here; exec sleep 1000\n")
        self.ok("-p", "p", "-o", "log", "-d", "sub", "./cmd")
        wait_until(lambda: self.read("log") == "here\n")
        self.assertEqual(os.readlink("/proc/%d/cwd" % self.pid()),
                         self.path("sub"))

    def test_a_command_without_a_hash_bang_is_run_by_sh(self):
        self.script("cmd", "echo $1 >out; exec sleep 1000\n")
        self.start("./cmd", "word")
        wait_until(lambda: os.path.exists(self.path("out"))
                   and self.read("out"))
        self.assertEqual(self.read("out"), "word\n")

    def test_odd_interpreter_lines(self):
        os.mkdir(self.path("sub"))
        shutil.copy("/bin/true", self.path("sub/true"))
        for name, text in (("relative", "#!./true\n"), ("none", "#!\n"),
                           ("blank", "#! \t/bin/sh -e\n"),
                           ("nul", "#!/bin/sh\0x\n")):
            self.script("sub/" + name, text)
            self.assertEqual(self.cli("-d", "sub", "./" + name), (0, "", ""))

    def test_path_is_searched_as_execvp_does(self):
        os.mkdir(self.path("a"))
        os.mkdir(self.path("b"))
        self.write("a/cmd", "not executable")
        self.script("b/cmd", "#!/bin/sh\nexec sleep 1000\n")
        self.env["PATH"] = "a:%s:" % self.path("b") + os.environ["PATH"]
        pid = self.start("cmd")
        wait_until(lambda: self.command_of(pid) == b"sleep\0001000\0")

    def test_it_works_with_streams_closed_and_no_environment(self):
        self.write("spy.py", SPY)
        with open("/dev/null") as null:
            code = subprocess.call(
                ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", "env", "-i",
                 "%s=%s" % (MARK, self.dir), sys.executable, SCRIPT,
                 "-p", "p", "-o", "log", "--wait", "0", "--",
                 sys.executable, *FAST, "spy.py", "report"],
                cwd=self.dir, stdin=null)
        self.assertEqual(code, 0)
        fds = self.report()["fds"]
        self.assertEqual(fds["0"], "/dev/null")
        self.assertEqual((fds["1"], fds["2"]), (self.log, self.log))

    def test_it_works_in_a_deleted_directory(self):
        gone = self.path("gone")
        os.mkdir(gone)
        code = self.call(
            ["sh", "-c", "cd gone && rmdir ../gone && exec \"$@\"", "sh",
             sys.executable, SCRIPT, "-p", self.p, "sleep", "1000"])
        self.assertEqual(code, (0, "", ""))
        self.assertTrue(is_alive(self.pid()))

    def test_as_a_module_and_with_the_terminal_gone(self):
        self.assertEqual(
            self.call([sys.executable, "-m", "daemonize", "-p", self.p,
                       "sleep", "1000"]), (0, "", ""))
        self.assertTrue(is_alive(self.pid()))

    def test_a_killed_launcher_leaves_the_daemon_running(self):
        launcher = self.popen(     # a background job ignores SIGINT
            [sys.executable, SCRIPT, "-p", self.p, "--wait", "60", "sleep",
             "1000"], preexec_fn=lambda: signal.signal(signal.SIGINT,
                                                       signal.SIG_DFL))
        wait_until(lambda: os.path.exists(self.p) and self.read("p"))
        launcher.send_signal(signal.SIGINT)
        self.assertIn(launcher.wait(), (-signal.SIGINT, 130))
        self.assertEqual(launcher.stderr.read(), "")    # no traceback
        self.assertIn("running", self.ok("-p", self.p, "--status"))

    def test_nobody_polls_while_waiting(self):
        """The starter sleeps in poll(2), and returns at the death."""
        began = time.monotonic()
        self.fails(125, r"sh exited with status 3 after \d.*",
                   "--wait", "50", "sh", "-c", "sleep 0.2; exit 3")
        self.assertLess(time.monotonic() - began, 30)


class TruthTest(DaemonTestCase):
    """Every failure that can be known comes back as one line."""

    def refused(self, status, message, *args, **options):
        before = sorted(os.listdir(self.dir))
        self.fails(status, message, "-p", self.p, *args, **options)
        self.assertEqual(sorted(os.listdir(self.dir)), before)
        self.assert_nothing_left()

    def test_command_not_found_shows_path(self):
        self.env["PATH"] = "/nowhere:/bin"
        self.refused(127, r"command not found: nosuch \(PATH is "
                     r"/nowhere:/bin\)", "nosuch")
        self.refused(127, "command not found: ./nosuch", "./nosuch")
        self.refused(127, "command not found: /usr/./nosuch", "-d", "/usr",
                     "./nosuch")
        self.refused(127, "command not found: .*", "")

    def test_command_not_executable(self):
        self.write("cmd", "#!/bin/sh\n")
        self.refused(126, "cannot execute ./cmd: Permission denied", "./cmd")
        self.refused(126, "%s is a directory" % self.dir, self.dir)
        os.mkfifo(self.path("fifo"), 0o755)
        self.refused(126, "cannot execute ./fifo: Permission denied",
                     "./fifo")
        self.refused(126, "cannot execute .*: Permission denied",
                     "--chdir", self.dir, "./cmd")

    def test_missing_interpreter(self):
        self.script("cmd", "#!/no/such/sh -e\n")
        self.refused(127, "./cmd exists, but its interpreter /no/such/sh "
                     "does not", "./cmd")
        self.script("dos", "#!/bin/sh\r\necho\r\n")
        self.refused(127, r"./dos exists, but its interpreter /bin/sh\\r "
                     "does not", "./dos")

    def test_missing_loader_of_an_elf_file(self):
        self.broken_elf("cmd")
        self.fails(127, "./cmd exists, but its interpreter.* does not",
                   "-p", self.p, "./cmd")
        self.assertFalse(os.path.exists(self.p))

    def test_missing_directory(self):
        self.refused(125, "cannot change directory to /no/dir: No such file "
                     "or directory", "-d", "/no/dir", "true")
        self.write("file", "")
        self.refused(125, "cannot change directory to file: Not a directory",
                     "-d", "file", "true")

    def test_unwritable_log(self):
        for option in ("--stdin", "--stdout", "--stderr"):
            self.refused(125, "cannot open /no/dir/log: No such file or "
                         "directory", option, "/no/dir/log", "sleep", "9")
        self.refused(125, "cannot open %s: Is a directory" % self.dir,
                     "-o", self.dir, "true")

    def test_a_fifo_without_a_reader_does_not_hang(self):
        os.mkfifo(self.path("fifo"))
        self.refused(125, "cannot open fifo: nobody reads this FIFO",
                     "-o", "fifo", "true")

    def test_a_log_that_is_the_pidfile(self):
        self.refused(125, "%s is the pidfile" % self.p, "-o", self.p, "true")

    def test_missing_directory_of_the_pidfile(self):
        self.fails(125, "cannot open /no/dir/p: No such file or directory",
                   "-p", "/no/dir/p", "true")

    def test_unknown_user_and_group(self):
        self.refused(125, "unknown user: nosuchuser", "-u", "nosuchuser",
                     "true")
        self.refused(125, "unknown group: nosuchgroup", "-u",
                     "root:nosuchgroup", "true")
        self.refused(125, "unknown group: 99999999999", "-g", "99999999999",
                     "true")
        self.refused(125, r"uid 123456 has no passwd entry: name a group, "
                     r"too \(123456:GROUP\)", "-u", "123456", "true")

    def test_usage_errors(self):
        self.all_fail(2, (
                ("no command given .*", ["-p", self.p]),
                ("no command given .*", ["-p", self.p, "--restart"]),
                ("option --nosuch not recognized .*", ["--nosuch", "true"]),
                ("option --wait requires argument .*", ["--wait"]),
                ("--pidfile is empty .*", ["-p", "", "true"]),
                ("--user is empty .*", ["--user=", "true"]),
                ("--stdout is empty .*", ["-o", "", "true"]),
                ("bad --wait: x .*", ["--wait", "x", "true"]),
                ("bad --wait: -1 .*", ["--wait", "-1", "true"]),
                ("bad --wait: nan .*", ["--wait", "nan", "true"]),
                ("bad --umask: 9 .*", ["--umask", "9", "true"]),
                ("bad --umask: 1000 .*", ["--umask", "1000", "true"]),
                ("bad --umask: -1 .*", ["--umask", "-1", "true"]),
                ("bad --signal: NOPE .*", ["-p", self.p, "-s", "NOPE"]),
                ("bad --signal: 0 .*", ["-p", self.p, "-s", "0"]),
                ("bad --signal: 99 .*", ["-p", self.p, "-s", "99"]),
                ("bad --retry: TERM/x .*", ["-p", self.p, "--stop",
                                            "--retry", "TERM/x"]),
                ("--retry is empty .*", ["-p", self.p, "--stop", "-R", ""]),
                ("bad --retry: .*", ["-p", self.p, "--stop", "--retry",
                                     "TERM/1/2"]),
                ("--json goes with --status", ["--json", "true"]),
                ("--status or --signal, not both",
                 ["-p", self.p, "--status", "-s", "HUP"]),
                ("--restart or --signal, not both",
                 ["-p", self.p, "--restart", "-s", "HUP", "true"]),
                ("--stop needs --pidfile", ["--stop"]),
                ("--status needs --pidfile", ["--status"]),
                ("--signal needs --pidfile", ["--signal", "HUP"]),
                ("--restart needs --pidfile", ["--restart", "true"]),
                ("--stop takes no command", ["-p", self.p, "--stop", "x"]),
                ("--status or --stop, not both",
                 ["-p", self.p, "--stop", "--status"])))
        self.assertEqual(os.listdir(self.dir), ["program.py"])

    def test_a_message_is_one_line_whatever_the_name(self):
        self.fails(127, r"command not found: ./a\\nb\\x1b\[31m",
                   "./a\nb\x1b[31m")
        self.fails(3, r"not running: there is no a\\nb\\x1b\[31m", "-p",
                   "a\nb\x1b[31m", "--status")
        self.script("a\nb", "#!/bin/sh\n")
        status, _, err = self.cli("-p", self.p, "--wait", "60", "./a\nb")
        self.assertEqual((status, err.count("\n")), (0, 1))

    def test_death_within_wait_shows_how_and_the_last_words(self):
        self.write("log", "old line\n")
        status, out, err = self.cli(
            "-p", self.p, "-o", self.log, "--wait", "60", "sh", "-c",
            "seq 1 20; printf 'the\\033[1mend\\n' >&2; exit 3")
        self.assertEqual((status, out), (125, ""))
        self.assertRegex(err, r"\Adaemonize: sh exited with status 3 after "
                         r"\d+\.\d\d s; the last that it wrote to .*/log:\n"
                         r"    12\n(    \d+\n){8}    the\\x1b\[1mend\n\Z")
        self.assertFalse(os.path.exists(self.p))
        self.assertTrue(self.read("log").startswith("old line\n"))
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_death_in_time_that_is_seen_late(self):
        """By a starter that got no processor for a while."""
        self.fails(125, "sh exited with status 3 after .*", "-p", self.p,
                   "sh", "-c", "kill -STOP $PPID; "
                   "(sleep 0.5; kill -CONT $PPID) & exit 3")
        self.assert_nothing_left()

    def test_death_within_wait_by_a_signal(self):
        self.fails(125, r"sh killed by SIGSEGV after \d+\.\d\d s; its output"
                   " went to /dev/null, and --stdout FILE keeps it", "-p",
                   self.p, "--wait", "60", "sh", "-c", "kill -SEGV $$")
        self.fails(125, "sh exited with status 1 after .*; it wrote nothing "
                   "to log", "-o", "log", "--wait", "60", "sh", "-c", "exit 1")
        self.fails(125, r"sh exited with status 1 after \d+\.\d\d s", "-o",
                   "/dev/stderr", "--wait", "60", "sh", "-c", "exit 1")

    def test_death_within_wait_with_two_logs(self):
        status, _, err = self.cli(
            "-o", "out", "-e", "err", "--wait", "60", "sh", "-c",
            "echo one; echo two >&2; exit 1")
        self.assertRegex(err, "wrote to out and err:\n    one\n    two\n")

    def test_death_within_wait_ends_the_process_group(self):
        self.fails(125, "sh exited with status 1 .*", "-p", self.p, "--wait",
                   "60", "sh", "-c", "sleep 1000 & sleep 1000 & exit 1")
        self.assert_nothing_left()

    def test_an_end_with_status_0_has_succeeded(self):
        status, out, err = self.cli("-vp", self.p, "--wait", "60", "true")
        self.assertEqual((status, out), (0, ""))
        self.assertRegex(err, r"\Adaemonize: true exited with status 0 after "
                         r"\d+\.\d\d s; if it put itself into the background "
                         r".*\n\Z")
        self.assertFalse(os.path.exists(self.p))
        self.assertEqual(self.cli("true"), (0, "", ""))
        self.assertEqual(self.cli("-qp", self.p, "true"), (0, "", ""))

    def test_a_log_that_was_replaced_by_a_fifo(self):
        self.fails(125, "sh exited with status 3 after .*; the last that it "
                   "wrote to log:\n    \\(it was replaced\\)", "-o", "log",
                   "--wait", "60", "sh", "-c", "rm log; mkfifo log; exit 3")

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_start_that_ends_stopped_is_left_stopped(self):
        """The starter's leaving must not orphan a stopped process group."""
        reader, writer = os.pipe()
        self.write("patient.py", NotifyTestCase.PATIENT % self.path("stopped")
                   + "import daemonize\n"
                   "sys.exit(daemonize.main(sys.argv[1:]))\n")
        self.assertEqual(self.call(
            [sys.executable, "patient.py", "-p", self.p, "-o", self.log, "sh",
             "-c", "trap 'echo HUP' HUP; echo up; (until grep -q ') T' "
             "/proc/$$/stat; do sleep 0.01; done; touch stopped) & "
             "kill -STOP $$; echo on; exec sleep 1000"], pass_fds=[writer]),
            (0, "", ""))
        os.close(writer)
        with open(reader) as pipe:          # the starter keeps nothing open
            self.assertEqual(pipe.read(), "")
        pid = self.pid()
        wait_until(lambda: len(marked(self.dir)) == 2)      # and the starter
        self.assertEqual(self.ok("-p", self.p, "--status"),
                         "running, pid %d\n" % pid)
        self.ok("-p", self.p, "--signal", "CONT")
        wait_until(lambda: marked(self.dir) == [pid])
        wait_until(lambda: "on" in self.read("log"))
        self.assertEqual(self.read("log"), "up\non\n")

    def test_wait_0_turns_it_off(self):
        self.assertEqual(self.cli("--wait", "0", "false"), (0, "", ""))

    @unittest.skipUnless(LINUX, "elsewhere an exec is not told from a death")
    def test_a_daemon_killed_before_its_exec_has_not_started(self):
        status, out, err = self.python(
            "import daemonize, os, sys\n"
            "os.execv = lambda *args: os.kill(os.getpid(), 9)\n"
            "sys.exit(daemonize.main(['-vp', 'p', '--wait', '0', 'sleep',\n"
            "                         '9']))\n")
        self.assertEqual((status, out), (125, ""))
        self.assertRegex(err, r"\Adaemonize: sleep killed by SIGKILL after .*"
                         r"\n\Z")
        self.assertFalse(os.path.exists(self.p))

    def test_what_went_wrong_besides_does_not_hide_why(self):
        os.mkdir(self.path("run"))
        status, _, err = self.cli(
            "-p", "run/p", "-o", "log", "sh", "-c",
            "echo last words; mv run gone; echo >run; exit 3")
        self.assertEqual(status, 125)
        self.assertRegex(err, r"\Adaemonize: sh exited with status 3 after .*"
                         r"wrote to log:\n    last words\n    \(cannot look at"
                         r" run/p: Not a directory\)\n\Z")
        os.remove(self.path("run"))
        os.mkdir(self.path("run"))
        self.fails(124, "sh was not ready in .*; cannot look at run/p: Not a "
                   "directory", "-p", "run/p", "--notify-await",
                   "--notify-timeout", "0.5", "sh", "-c",
                   "mv run gone2; echo >run; exec sleep 1000")
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX and shutil.which("strace"), "needs strace")
    def test_no_pidfile_stays_of_a_start_that_fails_while_it_is_made(self):
        """At whichever call on it: each fails once."""
        def attempt(*options):
            return self.call([
                "strace", "-fqqo", "trace", "-P", self.p, *options, *self.CLI,
                "-p", self.p, "--wait", "60", "sh", "-c", "exit 3"])
        status, _, err = attempt()
        if status != 125:
            self.skipTest("strace: " + err)
        calls = re.findall(r"(?m)^\d+ +(\w+)\(", self.read("trace"))
        tried = 0
        for call in sorted({*calls} - {"close"}):
            for number in range(1, calls.count(call) + 1):
                status, out, err = attempt(
                    "-e", "inject=%s:error=EIO:when=%d" % (call, number))
                self.assertEqual((status, out), (125, ""))
                self.assertRegex(err, r"\Adaemonize: (cannot .*: Input/output "
                                 r"error.*|sh exited with .*)\n\Z", call)
                if "; cannot " not in err and not (
                        PYPY and "cannot open" in err):     # it has, and fails
                    self.assertFalse(os.path.exists(self.p), (call, number))
                else:               # that was it: but why is told
                    with contextlib.suppress(FileNotFoundError):
                        os.remove(self.p)
                self.assert_nothing_left()
                tried += 1
        self.assertGreater(tried, 9)

    @unittest.skipUnless(ROOT and LINUX, "needs root, to mount a tmpfs")
    def test_a_full_disk(self):
        full = self.path("full")
        os.mkdir(full)
        if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=4k", "none",
                            full]):
            self.skipTest("cannot mount here")
        self.addCleanup(subprocess.call, ["umount", full])
        self.write("full/fill", "x" * 4096)
        for options in ([], ["-f"]):
            self.fails(125, "cannot write full/p: No space left on device",
                       *options, "-p", "full/p", "sleep", "1000")
            self.assertEqual(os.listdir(full), ["fill"])
            self.assert_nothing_left()

    @unittest.skipIf(ROOT, "root may enter every directory")
    def test_a_directory_of_path_that_cannot_be_entered(self):
        os.mkdir(self.path("bin"), 0)
        self.addCleanup(os.chmod, self.path("bin"), 0o700)
        self.env["PATH"] = self.path("bin") + ":/bin:/usr/bin"
        self.refused(127, "command not found: nosuch .*", "nosuch")
        self.ok("--wait", "0", "true")

    @unittest.skipIf(ROOT, "root may write everywhere")
    def test_without_permission(self):
        os.mkdir(self.path("dir"), 0o555)
        self.fails(125, "cannot open dir/p: Permission denied",
                   "-p", "dir/p", "true")
        self.fails(125, "cannot open dir/log: Permission denied",
                   "-o", "dir/log", "-p", self.p, "true")
        self.assertFalse(os.path.exists(self.p))

    def test_a_full_stdout_is_told_and_no_traceback(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            self.assertEqual(
                self.cli("--help", stdout=full),
                (125, None, "daemonize: cannot write to standard output: "
                 "No space left on device\n"))
            self.assertEqual(self.cli("nosuch", stderr=full),
                             (127, "", None))

    @unittest.skipUnless(LINUX, "RLIMIT_NPROC")
    @unittest.skipIf(ROOT, "root forks beyond RLIMIT_NPROC")
    def test_a_fork_that_fails(self):
        import resource
        self.fails(125, "cannot fork: Resource temporarily unavailable",
                   "-p", self.p, "true", preexec_fn=lambda: (
                       resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))))
        self.assertFalse(os.path.exists(self.p))


# ---- The fifteen steps of daemon(7), seen from outside -------------------

@unittest.skipUnless(LINUX, "the spy reads /proc")
class StepsTest(DaemonTestCase):

    def test_session_group_terminal_and_parent(self):
        seen = self.spy()
        self.assertNotIn(seen["pid"], (seen["sid"],))   # can get no terminal
        self.assertEqual(seen["pgid"], seen["pid"])
        self.assertNotEqual(seen["sid"], os.getsid(0))
        self.assertFalse(seen["tty"])
        self.assertFalse(is_alive(seen["sid"]))     # the starter has left
        with open("/proc/%d/stat" % seen["pid"]) as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
        self.assertNotIn(parent, (os.getpid(), seen["sid"]))

    def test_signals_are_reset(self):
        def spoil():
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2,
                           signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {
                signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD})
        self.write("sleeper", "")
        self.ok("-p", self.p, "--wait", "0", "sleep", "1000",
                preexec_fn=spoil)
        with open("/proc/%d/status" % self.pid()) as file:
            fields = dict(line.split(":\t", 1) for line in file if ":\t" in
                          line)
        self.assertEqual(int(fields["SigIgn"], 16), 0)
        self.assertEqual(int(fields["SigBlk"], 16), 0)

    def test_inherited_descriptors_are_closed(self):
        reader, writer = os.pipe()
        high = fcntl.fcntl(reader, fcntl.F_DUPFD, 700)
        seen = self.spy("-p", self.p, pass_fds=(reader, writer, high))
        for fd in (reader, writer, high):
            os.close(fd)
        left = {fd: name for fd, name in seen["fds"].items() if int(fd) > 2
                and "/fd" not in name}
        (number, name), = left.items()      # the pidfile's alone
        self.assertEqual(name, self.p)
        self.assertGreaterEqual(int(number), 240)

    def test_the_command_cannot_write_the_pidfile(self):
        seen = self.spy("-p", self.p)
        number, = [fd for fd, name in seen["fds"].items() if name == self.p]
        with open("/proc/%d/fdinfo/%s" % (seen["pid"], number)) as file:
            flags = int(re.search(r"flags:\s+(\d+)", file.read()).group(1), 8)
        self.assertEqual(flags & (os.O_WRONLY | os.O_RDWR), os.O_RDONLY)

    def test_a_low_rlimit_nofile(self):
        import resource
        seen = self.spy("-p", self.p, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64)))
        self.assertIn(self.p, seen["fds"].values())
        self.assertIn("running", self.ok("-p", self.p, "--status"))

    def test_streams(self):
        self.write("in", "input")
        seen = self.spy("-i", "in", "-o", "out", "-e", "err")
        self.assertEqual([seen["fds"][fd] for fd in "012"],
                         [self.path(name) for name in ("in", "out", "err")])
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out")).st_mode),
                         0o640 & ~self.umask())

    @staticmethod
    def umask():
        umask = os.umask(0)
        os.umask(umask)
        return umask

    def test_streams_default_to_dev_null(self):
        seen = self.spy()
        self.assertEqual([seen["fds"][fd] for fd in "012"],
                         ["/dev/null"] * 3)

    def test_a_fifo_on_stdin_is_a_console(self):
        """It waits for its first writer, and outlives each."""
        os.mkfifo(self.path("in"))
        pid = self.start("sh", "-c", "while read l; do echo got $l; done; "
                         "echo end", options=["-i", "in", "-o", "log"])
        for word in "one", "two":
            self.write("in", word + "\n")
            wait_until(lambda: "got %s\n" % word in self.read("log"))
        self.assertEqual(self.read("log"), "got one\ngot two\n")
        self.assert_alone(pid)

    def test_what_was_put_over_a_fifo_is_not_written_to(self):
        os.mkfifo(self.path("in"))
        self.write("precious", "kept")
        self.assertEqual(self.python(
            "import daemonize, os, sys\n"
            "plain = os.open\n"
            "def swap(path, flags, *args, **kwargs):\n"
            "    fd = plain(path, flags, *args, **kwargs)\n"
            "    if path == 'in' and os.path.exists('in') and not (\n"
            "            os.path.islink('in')):\n"
            "        os.remove('in')\n"
            "        os.symlink('precious', 'in')\n"
            "    return fd\n"
            "os.open = swap\n"
            "sys.exit(daemonize.main(['-f', '-i', 'in', 'sh', '-c',\n"
            "                         'echo no >&0']))\n")[0] != 0, True)
        self.assertTrue(os.path.islink(self.path("in")))
        self.assertEqual(self.read("precious"), "kept")

    def test_names_of_descriptors_are_these(self):
        """Whatever they are: a socket cannot be opened by a name."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(self.cli(
                "-f", "-o", "/dev/stdout", "-e", "/dev/stderr", "-i",
                "/dev/stdin", "--", "sh", "-c", "cat; echo out; echo err >&2",
                stdin=theirs, stdout=theirs, stderr=theirs)[0], 0)
            self.ok("-o", "/dev/fd/%d" % theirs.fileno(), "--wait", "60",
                    "echo", "again", pass_fds=[theirs.fileno()])
            wait_until(lambda: ours.recv(99, socket.MSG_PEEK
                                         ).count(b"\n") == 3)
            self.assertEqual(ours.recv(99), b"out\nerr\nagain\n")
        self.assertEqual(self.cli("--wait", "60", "-o", "/dev/stderr", "-e",
                                  "/dev/stdout", "--", "sh", "-c",
                                  "echo out; echo err >&2"),
                         (0, "err\n", "out\n"))
        for number in "77", "1.", "-1", "":
            self.fails(125, "cannot (use descriptor|open /dev/fd/).*: .*",
                       "-o", "/dev/fd/" + number, "true")
        self.fails(2, "a log that is to be rotated or reopened must be a file"
                   ".*", "-o", "/dev/stdout", "--log-size", "1M", "true")

    def test_stderr_goes_where_stdout_goes_and_both_append(self):
        self.write("log", "old\n")
        self.fails(125, ".*\n    out\n    err",
                   "-o", "log", "--wait", "60", "sh", "-c",
                   "echo out; echo err >&2; exit 1")
        self.fails(125, ".*\n    out\n    err",
                   "-o", "log", "-e", "log", "--wait", "60", "sh", "-c",
                   "echo out; echo err >&2; exit 1")
        self.assertEqual(self.read("log"), "old\n" + "out\nerr\n" * 2)

    def test_umask(self):
        self.assertEqual(self.spy()["umask"], self.umask())
        os.remove(self.path("report"))
        seen = self.spy("-k", "077", "-o", "log", "-p", self.p)
        self.assertEqual(seen["umask"], 0o077)
        self.assertEqual(stat.S_IMODE(os.stat(self.log).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.p).st_mode), 0o600)

    def test_directory(self):
        self.assertEqual(self.spy()["cwd"], self.dir)
        os.remove(self.path("report"))
        self.assertEqual(self.spy("-d", "/")["cwd"], "/")

    def test_environment(self):
        self.env.update(NOTIFY_SOCKET="/x", LISTEN_FDS="3", LISTEN_PID="7",
                        LISTEN_FDNAMES="x", WATCHDOG_USEC="1",
                        WATCHDOG_PID="7", KEPT="yes")
        environ = self.spy()["environ"]
        environ.pop("LC_CTYPE", None)
        expected = {name: value for name, value in self.env.items()
                    if name != "LC_CTYPE" and not name.startswith((
                        "NOTIFY_", "LISTEN_", "WATCHDOG_"))}
        self.assertEqual(environ, expected)

    def test_the_locale_is_what_was_given(self):
        """And not what Python has made of it, for itself (PEP 538)."""
        self.assertEqual(self.call(
            [sys.executable, "-S", SCRIPT, "-f", "--", "/usr/bin/env"],
            env={}), (0, "", ""))
        for given in ({}, {"LANG": "C"}, {"LC_CTYPE": "POSIX"},
                      {"LC_ALL": "C"}, {"LC_CTYPE": "C.UTF-8"},
                      {"LC_CTYPE": "C", "LANG": "C.UTF-8"}):
            given.update({"PATH": self.env["PATH"], MARK: self.dir})
            for options in (["-f"], ["-o", "log", "-p", self.p],
                            ["-o", "log", "-r"],
                            ["-o", "log", "--log-size", "1M"]):
                status, out, err = self.call(
                    [sys.executable, "-S", SCRIPT, *options, "--", "env"],
                    env=given)
                self.assertEqual(status, 0, err)
                wait_until(lambda: out or self.read("log"))
                self.assert_nothing_left()
                lines = (out or self.read("log")).splitlines()
                self.assertEqual({
                    line for line in lines if line.partition("=")[0] not in
                    ("DAEMONIZE_WORKER", "DAEMONIZE_WORKERS") and
                    "daemonize: " not in line},
                    {"%s=%s" % pair for pair in given.items()}, options)
                if not out:
                    os.remove(self.log)

    def test_pidfile_mode_and_content(self):
        pid = self.start("sleep", "1000", options=["-k", "022"])
        self.assertEqual(stat.S_IMODE(os.stat(self.p).st_mode), 0o644)
        self.assertEqual(self.read("p"), "%d\n" % pid)

    def test_the_steps_happen_in_order(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        trace = self.path("trace")
        if self.call(["strace", "-o", trace, "true"])[0]:
            self.skipTest("strace cannot trace here")
        self.popen(
            ["strace", "-f", "-o", trace, "-e", "trace=?fork,clone,?clone3,"
             "?vfork,setsid,setpgid,chdir,umask,execve,fcntl,?fcntl64,"
             "pwrite64,?dup2,dup3", sys.executable, SCRIPT, "-p", self.p,
             "-k", "027", "-d", "/", "--wait", "0", shutil.which("sleep"),
             "1000"])
        last = (r"SETLKW?(64)?, \{l_type=F_UNLCK.*l_start=1073741824",
                r'execve\("[^"]*sleep"')    # F_GETLK answers F_UNLCK, too
        wait_until(lambda: all(re.search(step, self.read("trace"))
                               for step in last))
        lines = self.read("trace")
        pid = self.pid()
        order = [r"setsid\(", r"umask\(027", r"l_start=1073741824, l_len=1",
                 r"dup[23]\(.* 0", r"(fork|clone)", r"setpgid\(0, 0",
                 r"F_RDLCK.*l_start=0, l_len=1", r"pwrite64\("]
        at = 0
        for step in order:
            found = re.compile(step).search(lines, at)
            self.assertTrue(found, (step, lines[at:][:2000]))
            at = found.start() + 1
        for step in last:
            self.assertRegex(lines[at:], step)      # in either order
        self.assertRegex(lines, r'(?m)^%d .*chdir\("/"' % pid)


# ---- The pidfile ---------------------------------------------------------

class PidFileTest(DaemonTestCase):

    def test_stale_pidfiles_are_taken_over(self):
        victim = self.popen(["sleep", "1000"])
        for content in ("", "\n", "0", "1", "999999999", "99999999999999999",
                        "4711\n\n\n", " 4711 \n", "%d\n" % victim.pid,
                        "%d" % os.getpid()):
            with self.subTest(content=content):
                self.write("p", content)
                os.utime(self.p, (1, 1))
                self.fails(1, "not running: .*/p is stale", "-p", self.p,
                           "--status")
                pid = self.start("sleep", "1000")
                self.assertEqual(self.read("p"), "%d\n" % pid)
                self.ok("-p", self.p, "--stop")
        self.assertIsNone(victim.poll())

    def test_stop_of_a_stale_pidfile_harms_nobody_and_removes_it(self):
        victim = self.popen(["sleep", "1000"], start_new_session=True)
        for content in ("0", "1", "%d" % victim.pid):
            self.write("p", content)
            os.utime(self.p, (1, 1))
            self.fails(1, "not running: .*/p is stale", "-p", self.p,
                       "--signal", "KILL")
            self.fails(1, "not running: .*/p is stale", "-p", self.p,
                       "--stop")
            self.assertFalse(os.path.exists(self.p))
        self.assertEqual(self.cli("-p", self.p, "--stop", "--oknodo"),
                         (0, "", ""))
        self.assertIsNone(victim.poll())

    def test_what_is_no_pidfile_is_refused_and_kept(self):
        for content in ("-1", "x", "12 34", "import os\n", "1" * 100,
                        "\0", "4711 x"):
            with self.subTest(content=content):
                self.write("p", content)
                message = (".*/p is no pidfile: it holds something that is "
                           "no pid")
                self.all_fail(125, [
                    (message, ["-p", self.p, "sleep", "9"]),
                    (message, ["-f", "-p", self.p, "sleep", "9"]),
                    (message, ["-p", self.p, "--stop"])])
                self.fails(4, message, "-p", self.p, "--status")
                self.assertEqual(self.read("p"), content)
        os.remove(self.p)
        self.write("target", "")
        os.symlink("target", self.p)
        self.fails(125, "cannot open .*/p: it is a symbolic link",
                   "-p", self.p, "sleep", "9")
        os.remove(self.p)
        os.link(self.path("target"), self.p)
        self.fails(125, ".*/p is no pidfile: .* several links", "-p", self.p,
                   "sleep", "9")
        os.remove(self.p)
        os.mkfifo(self.p)
        self.fails(125, ".*/p is no pidfile: not a regular file.*",
                   "-p", self.p, "sleep", "9")
        self.fails(4, ".*/p is no pidfile: not a regular file.*",
                   "-p", self.p, "--status")
        self.fails(125, "cannot open .*: Is a directory", "-p", self.dir,
                   "sleep", "9")

    def test_after_kill_9_the_next_start_takes_over(self):
        pid = self.start("sleep", "1000")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        again = self.start("sleep", "1000")
        self.assertEqual(self.read("p"), "%d\n" % again)

    def test_a_zombie_is_not_running(self):
        """As where PID 1 reaps late."""
        self.write("reaper.py", (
            "import ctypes, os, subprocess, sys, time\n"
            "assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"
            "assert subprocess.call(sys.argv[1:]) == 0\n"
            "print('up', flush=True)\n"
            "time.sleep(1000)\n"))       # a subreaper that does not reap
        if not LINUX or PYPY or not ctypes:
            self.skipTest("needs prctl and ctypes")
        reaper = self.popen([sys.executable, "reaper.py", *self.CLI, "-p",
                             self.p, "sleep", "1000"])
        self.assertEqual(reaper.stdout.readline(), "up\n")
        pid = self.pid()
        self.ok("-p", self.p, "--stop")
        self.assertTrue(os.path.exists("/proc/%d" % pid))   # a zombie
        self.write("p", "%d\n" % pid)
        self.assertEqual(self.cli("-p", self.p, "--status")[0], 1)
        self.start("sleep", "1000")

    def test_a_removed_pidfile_is_a_new_one(self):
        first = self.start("sleep", "1000")
        os.remove(self.p)
        self.fails(3, "not running: there is no .*", "-p", self.p, "--status")
        second = self.start("sleep", "1000")
        self.assertTrue(is_alive(first))
        self.ok("-p", self.p, "--stop")
        self.assertFalse(is_alive(second))
        self.assertTrue(is_alive(first))

    def test_two_hundred_starters_leave_one_daemon(self):
        """All at one gate: forks of one interpreter, for the time's sake."""
        count = 200 if not PYPY else 50
        status, out, err = self.python(
            "import daemonize, json, os, sys\n"
            "gate, opener = os.pipe()\n"
            "pids = []\n"
            "for number in range(int(sys.argv[1])):\n"
            "    pids.append(os.fork())\n"
            "    if not pids[-1]:\n"
            "        os.close(opener)\n"
            "        os.dup2(os.open('err.%d' % number, os.O_CREAT |\n"
            "                        os.O_WRONLY), 2)\n"
            "        os.read(gate, 1)\n"
            "        os._exit(daemonize.main(sys.argv[2:]))\n"
            "os.close(opener)\n"
            "print(json.dumps([os.waitpid(pid, 0)[1] for pid in pids]))\n",
            str(count), "-p", self.p, "--wait", "0", "sleep", "1000")
        self.assertEqual((status, err), (0, ""))
        messages = [(self.read("err.%d" % number), wait_status)
                    for number, wait_status in enumerate(json.loads(out))]
        expected = ("daemonize: already running: %s is held by pid %d\n"
                    % (self.p, self.pid()), 1 << 8)
        self.assertEqual(sorted(messages),
                         sorted([("", 0)] + [expected] * (count - 1)))
        wait_until(lambda: marked(self.dir) == [self.pid()])

    def test_starts_and_stops_at_once_never_leave_two(self):
        loop = ("for i in 1 2 3; do \"$@\" -p p --wait 0 sleep 1000; "
                "\"$@\" -p p --stop; done")
        loops = [self.popen(["sh", "-c", loop, "sh", *self.CLI])
                 for _ in range(4)]
        for process in loops:
            _, err = process.communicate()
            for line in err.splitlines():
                self.assertRegex(line, r"already running|not running|"
                                 "sleep killed by SIGTERM")  # before its exec
        left = marked(self.dir)
        self.assertLessEqual(len(left), 1)
        if left:
            self.assertEqual(self.pid(), left[0])

    # Each window of a start widened by a sleep, raced by others

    WIDENED = """
import daemonize, os, sys, time
def slow(owner, name):
    plain = getattr(owner, name)
    def widened(*args, **options):
        time.sleep(0.05)
        result = plain(*args, **options)
        time.sleep(0.05)
        return result
    setattr(owner, name, widened)
import fcntl
slow(fcntl if hasattr(fcntl, sys.argv[1]) else os, sys.argv[1])
os._exit(daemonize.main(sys.argv[2:]))
"""

    def test_races_with_every_window_widened(self):
        self.write("widened.py", self.WIDENED)
        for step in ("lockf", "fcntl", "fork", "pwrite", "ftruncate", "utime",
                     "lstat", "unlink", "execv"):
            with self.subTest(step=step):
                starters = [
                    self.popen([sys.executable, "-S", "-c",
                                "exec(open('widened.py').read())", step,
                                "-p", self.p, "--wait", "0"]
                               + options + ["sleep", "1000"])
                    for options in ([], [], ["-f"], [])]
                failed = wait_until(lambda: (lambda failed: len(failed) == 3
                                             and failed)(
                    [starter for starter in starters if starter.poll() == 1]))
                wait_until(lambda: marked(self.dir) == [self.pid()])
                pid = self.pid()
                self.assert_alone(pid)
                for starter in failed:
                    self.assertIn("held by pid %d\n" % pid,
                                  starter.stderr.read())
                self.assertEqual(self.ok("-p", self.p, "--status"),
                                 "running, pid %d\n" % pid)
                self.ok("-p", self.p, "--stop")

    @unittest.skipUnless(LINUX, "answers as Linux's F_GETLK")
    def test_a_queue_that_moves_is_waited_in(self):
        """Who holds byte 2^30, as often as one asks; then it is free."""
        status, out, err = self.call(self.driven(
            "@instead_of(fcntl, 'lockf')\n"
            "def lockf(plain, fd, how, *args):\n"
            "    if locks(how, 1 << 30, args) and holders:\n"
            "        raise BlockingIOError(errno.EAGAIN, 'not now')\n"
            "    return plain(fd, how, *args)\n"
            "@instead_of(fcntl, 'fcntl')\n"
            "def ask(plain, fd, command, *args):\n"
            "    if command != fcntl.F_GETLK or (\n"
            "            struct.unpack('hhqqi0q', args[0])[2] != 1 << 30):\n"
            "        return plain(fd, command, *args)\n"
            "    pid = holders.pop(0)\n"
            "    return struct.pack('hhqqi0q', kind if pid else\n"
            "                       fcntl.F_UNLCK, 0, 1 << 30, 1, pid)\n"
            "import daemonize\n"
            "daemonize._CHANGE_TIMEOUT = 0.01\n"
            "for kind, holders in ((fcntl.F_WRLCK, [5, 7, 0, 8]),\n"
            "                      (fcntl.F_WRLCK, [5, 5]),\n"
            "                      (fcntl.F_WRLCK, [0, 0]),\n"  # by nobody
            # No queue: they pass it round
            "                      (fcntl.F_RDLCK, [5, 6])):\n"
            "    print(daemonize.main(['-p', 'p', '--wait', '0', 'true']),\n"
            "          flush=True)\n"))
        self.assertEqual((status, out), (2, "0\n125\n125\n125\n"))
        self.assertRegex(err, r"\Adaemonize: p is locked by pid 5( of .*)?\n"
                         r"daemonize: p is locked by .*\n"
                         r"daemonize: p is locked by pid 6( of .*)?\n")

    def test_one_that_was_held_up_looks_once_more(self):
        """Who has had no processor until its time was over."""
        import daemonize
        answers = [False, True]

        def condition():
            wait_until(lambda: time.monotonic() > over)
            return answers.pop(0)
        over = time.monotonic() + 0.1
        self.assertTrue(daemonize._poll(condition, 0.05))
        self.write("p", "999999999\n")
        plain, patience = fcntl.fcntl, daemonize._CHANGE_TIMEOUT
        started = []

        def late(fd, command, *args):     # after the file's content
            if not started and command == fcntl.F_GETLK:
                started.append(self.start("sleep", "1000"))
            return plain(fd, command, *args)
        fcntl.fcntl = late
        daemonize._CHANGE_TIMEOUT = -1
        try:
            self.assertEqual([daemonize.status(self.p)], started)
        finally:
            fcntl.fcntl = plain
            daemonize._CHANGE_TIMEOUT = patience

    def test_a_start_under_way_is_taken_for_no_stranger(self):
        self.write("p", "999999999\n")
        starter = self.driven(self.WIDENED, "pwrite", "-p", "p", "--wait",
                              "0", "sleep", "1000")
        status, out, err = self.python(
            "import daemonize, subprocess, sys\n"
            "print(daemonize._inspect('p')[:3])\n"
            "starter = subprocess.Popen(sys.argv[1:])\n"
            "while starter.poll() is None: "
            "print(daemonize._inspect('p')[:3])\n"
            "print(daemonize._inspect('p')[:3])\n", *starter)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(sorted(set(out.splitlines())), [
            "(True, %d, '')" % self.pid(), "(True, None, '')"])

    def test_a_start_between_two_questions_of_status(self):
        """Just before it reads the file, or asks who has locked it."""
        self.write("p", "999999999\n")
        status, out, err = self.python(
            "import daemonize, fcntl, os, subprocess, sys\n"
            "for owner, name, how in ((os, 'pread', '-v'),\n"
            "                         (os, 'pread', '--restart'),\n"
            "                         (fcntl, 'fcntl', '--restart')):\n"
            "    plain = getattr(owner, name)\n"
            "    def late(*args):\n"
            "        setattr(owner, name, plain)\n"
            "        subprocess.run([sys.executable, daemonize.__file__, how,"
            " '-q', '-p', 'p', '--wait', '0', 'sleep', '1000'])\n"
            "        return plain(*args)\n"
            "    setattr(owner, name, late)\n"
            "    print(daemonize.status('p') == int(open('p').read()))\n")
        self.assertEqual((status, out, err), (0, "True\n" * 3, ""))

    # The file goes when the start has just got its lock
    REMOVED = (
        "@instead_of(fcntl, 'lockf')\n"
        "def lockf(plain, fd, how, *args):\n"
        "    plain(fd, how, *args)\n"
        "    if locks(how, 1 << 30, args) and not os.path.exists('gone'):\n"
        "        os.rename('p', 'gone')\n")

    def test_a_pidfile_removed_while_a_start_waited_is_made_anew(self):
        for options in ([], ["-f"]):
            process = self.popen(self.driven(
                self.REMOVED, *options, "-p", self.p, "--wait", "0", "sleep",
                "1000"))
            wait_until(self.is_running, what=self.p)
            self.ok("-p", self.p, "--stop")
            process.wait()
            os.remove(self.path("gone"))

    def test_a_pidfile_replaced_during_a_start_fails_it(self):
        """When the daemon has locked what was there before."""
        status, _, err = self.call(self.driven(
            "@instead_of(fcntl, 'lockf')\n"
            "def lockf(plain, fd, how, *args):\n"
            "    plain(fd, how, *args)\n"
            "    if locks(how, 0, args):\n"
            "        os.rename('p', 'q')\n"
            "        open('p', 'w').close()\n",
            "-p", "p", "sleep", "1000"))
        self.assertEqual((status, err), (
            125, "daemonize: p was replaced by somebody\n"))
        self.assert_nothing_left()

    def test_no_reader_sees_a_mixed_number(self):
        """What stands there before the file is cut to its length."""
        self.write("p", "99999999999\n")
        self.assertEqual(self.python(
            "import daemonize, os, sys\n"
            "plain = os.ftruncate\n"
            "def ftruncate(fd, length):\n"
            "    with open('seen', 'wb') as file:\n"
            "        file.write(os.pread(fd, 100, 0))\n"
            "    plain(fd, length)\n"
            "os.ftruncate = ftruncate\n"
            "sys.exit(daemonize.main(['-p', 'p', 'sleep', '1000']))\n"),
            (0, "", ""))
        self.assertEqual(self.read("seen"), ("%d\n" % self.pid()).ljust(
            12, "\n"))

    def test_a_daemon_replaced_while_it_is_being_pinned(self):
        """The one that is stopped is the one that holds the lock now."""
        first = self.start("sleep", "1000")
        self.assertEqual(self.python(
            "import daemonize, os, signal, subprocess, sys, time\n"
            "plain = daemonize._pidfd_open\n"
            "def raced(pid):\n"
            "    daemonize._pidfd_open = plain\n"
            "    os.kill(pid, signal.SIGKILL)\n"
            "    while daemonize.status('p'): time.sleep(0.01)\n"
            "    subprocess.check_call([sys.executable, daemonize.__file__,\n"
            "        '-p', 'p', '--wait', '0', 'sleep', '1001'])\n"
            "    return -1\n"
            "daemonize._pidfd_open = raced\n"
            "sys.exit(daemonize.main(['-p', 'p', '--stop']))\n"),
            (0, "", ""))
        self.assertFalse(is_alive(first))
        self.assert_nothing_left()

    def test_a_starter_killed_at_any_step_leaves_no_daemon(self):
        for step in "lock", "fork", "pwrite", "ftruncate", "utime", "unlock":
            with self.subTest(step=step):
                self.write("killed.py", (
                    "import fcntl, os, signal, sys\n"
                    "owner = fcntl if %r.endswith('lock') else os\n"
                    "name = 'lockf' if owner is fcntl else %r\n"
                    "plain = getattr(owner, name)\n"
                    "def killed(*args, **options):\n"
                    "    result = plain(*args, **options)\n"
                    "    if os.getsid(0) == os.getpid() and (\n"
                    "            %r != 'unlock' or\n"
                    "            args[1] == fcntl.LOCK_UN):\n"
                    "        os.kill(os.getpid(), signal.SIGKILL)\n"
                    "    return result\n"
                    "setattr(owner, name, killed)\n"
                    "import daemonize\n"
                    "os._exit(daemonize.main(sys.argv[1:]))\n"
                    % (step, step, step)))
                status, _, err = self.call(
                    [sys.executable, "killed.py", "-p", self.p, "--wait",
                     "0", "sleep", "1000"])
                self.assertEqual(status, 125)
                self.assertRegex(err, "daemonize: .*broken off.*")
                if step == "unlock":    # it had said go
                    wait_until(self.is_running)
                    self.ok("-p", self.p, "--stop")
                else:
                    self.assert_nothing_left()
                    self.assertNotEqual(
                        self.cli("-p", self.p, "--status")[0], 0)

    def test_a_daemon_killed_before_it_holds_fails_the_start(self):
        status, _, err = self.call(self.driven(
            "@instead_of(fcntl, 'lockf')\n"
            "def lockf(plain, fd, how, *args):\n"
            "    if locks(how, 0, args):\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    plain(fd, how, *args)\n",
            "-p", self.p, "sleep", "1000"))
        self.assertEqual(status, 125)
        self.assertRegex(err, "daemonize: .*broken off.*")
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.p))

    # Strangers' locks

    def test_a_strangers_read_lock_blocks_nothing(self):
        """A backup program's, of more than the daemon's byte."""
        self.write("p", "")
        stranger = self.hold_lock(self.p, length=100)
        message = (r"not running: .*/p is locked by pid %d( of user \S+)?, "
                   "which is not its daemon" % stranger)
        self.fails(1, message, "-p", self.p, "--stop")
        self.write("p", "")
        stranger = self.hold_lock(self.p, length=2)
        self.fails(1, "not running: .*", "-p", self.p, "--status")
        pid = self.start("sleep", "1000")
        self.assertEqual(self.pid(), pid)
        self.assertTrue(is_alive(stranger))

    def test_a_strangers_write_lock_fails_a_start(self):
        self.write("p", "")
        stranger = self.hold_lock(self.p, write=True)
        for options in ([], ["-f"]):
            self.fails(125, r"\S+/p is locked by pid %d( of user \S+)?, "
                       "which is not its daemon" % stranger,
                       *options, "-p", self.p, "sleep", "1000")
        self.assert_alone(stranger)

    def test_a_lock_on_the_change_byte_is_waited_for_and_named(self):
        self.write("p", "")
        stranger = self.hold_lock(self.p, 1 << 30)
        status, _, err = self.python(
            "import daemonize, sys\n"
            "daemonize._CHANGE_TIMEOUT = 0.1\n"
            "sys.exit(daemonize.main(['-p', 'p', 'sleep', '1000']))\n")
        self.assertEqual(status, 125)
        self.assertRegex(err, r"p is locked by pid %d( of user \S+)?\n"
                         % stranger)

    def test_an_ofd_lock_is_a_strangers(self):
        if not LINUX:
            self.skipTest("OFD locks are Linux's")
        self.write("p", "")
        with open(self.p, "r+") as file:
            fcntl.fcntl(file, 37, struct.pack("hhqqi0q", fcntl.F_RDLCK, 0, 0,
                                              1, 0))     # F_OFD_SETLK
            self.fails(1, r".*/p is locked by an open file description "
                       r"\(OFD\) lock, which is not its daemon",
                       "-p", self.p, "--stop")
            self.fails(125, "cannot open .*", "-p", "/no/dir/p", "true")

    @unittest.skipUnless(LINUX and ROOT, "needs root, for a pid namespace")
    def test_a_holder_in_another_pid_namespace(self):
        inner = ["unshare", "-p", "--fork", "--mount-proc"]
        if subprocess.call(inner + ["true"], stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare here")
        pid = self.start("sleep", "1000")
        other = inner + [*self.CLI, "-p", self.p]
        held = ("daemonize: %s is held by a process outside this pid "
                "namespace or host\n" % self.p)
        self.assertEqual(self.call(other + ["--status"]), (4, "", held))
        self.assertEqual(self.call(other + ["--stop"]), (125, "", held))
        status, out, err = self.call(other + ["--status", "--json"])
        self.assertEqual(json.loads(out)["running"], True)
        self.assertEqual(json.loads(out)["pid"], None)
        self.write("p", "0\n")     # F_GETLK says 0 there, too
        self.assertEqual(self.call(other + ["--status"]), (4, "", held))
        self.assertEqual(self.call(other + ["--stop"]), (125, "", held))
        self.write("p", "%d\n" % pid)
        status, out, err = self.call(other + ["sleep", "9"])
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "already running: .* outside this pid namesp")
        self.assertTrue(is_alive(pid))

    def test_a_holder_in_an_inner_pid_namespace(self):
        """A container's daemon, seen from its host."""
        inner = ["unshare", "-p", "--fork", "--mount-proc"]
        if subprocess.call(inner + ["true"], stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare here")
        self.popen(inner + ["sh", "-c", "\"$@\"; sleep 1000", "sh", *self.CLI,
                            "-p", self.p, "-w", "2", "sleep", "1000"])
        self.popen(inner + [*self.CLI, "-f", "-p", self.path("q"), "-r",
                            "sleep", "1000"])
        for name in "p", "q":
            path = self.path(name)
            wait_until(lambda: self.cli("-p", path, "--status")[0] == 0)
            pid = json.loads(self.ok("-p", path, "--status", "--json"))["pid"]
            self.assertNotEqual(self.read(name), "%d\n" % pid)
            self.fails(1, "already running: %s is held by pid %d" % (
                path, pid), "-p", path, "sleep", "9")
            self.assertEqual(self.ok("-vp", path, "--stop"),
                             "daemonize: stopped pid %d\n" % pid)
            self.assertFalse(is_alive(pid))
            self.assertFalse(os.path.exists(path))

    def test_one_of_another_user_in_an_inner_pid_namespace(self):
        inner = ["unshare", "-p", "--fork", "--mount-proc"]
        if not LOOKS or subprocess.call(inner + ["true"],
                                        stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare, or look into another user's "
                          "process here")
        self.popen(inner + ["sh", "-c", "\"$@\"; sleep 1000", "sh", *self.CLI,
                            "-p", self.p, "-u", "nobody", "sleep", "1000"])
        options = "-u", "nobody", "-p", self.p
        wait_until(lambda: self.cli(*options, "--status")[0] == 0)
        self.fails(1, "already running: .*", *options, "sleep", "9")
        self.ok(*options, "--stop")

    @unittest.skipUnless(OTHERS, "needs root, to hold a lock as another user")
    def test_a_strangers_namespace_is_not_believed(self):
        """Whoever can make one can have any pid in it."""
        self.write("p", "1\n")
        locker = self.popen(
            ["unshare", "-p", "--fork", "setpriv", "--reuid=65534",
             "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
             "import fcntl, os, time\n"
             "fcntl.lockf(os.open(%r, os.O_RDONLY), fcntl.LOCK_SH, 1)\n"
             "print(os.getpid(), flush=True)\n"
             "time.sleep(1000)" % self.p])
        if locker.stdout.readline() != "1\n":
            self.skipTest("cannot unshare here")
        self.fails(1, "not running: .*/p is locked by pid .* of user .*, "
                   "which is not its daemon", "-p", self.p, "--status")

    # A lock let go

    LET_GO = ("import os, time\n"
              "os.closerange(3, 1000)\n"
              "open('closed', 'w').close()\n"
              "time.sleep(1000)\n")

    def let_go(self):
        """When the start is over, which would say so."""
        pid = self.start(sys.executable, *FAST, "-c", (
            "import os, time\n"
            "while not os.path.exists('over'): time.sleep(0.01)\n"
            + self.LET_GO))
        self.write("over", "")
        wait_until(lambda: os.path.exists(self.path("closed")))
        return pid

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_daemon_that_let_its_lock_go_is_known_by_its_mark(self):
        pid = self.let_go()
        info = os.stat(self.p)
        # Steps of the clock, back and on, and the first boot without one
        for seconds in (0, 3600, -7200, -10 ** 6, 56 * 365 * 86400):
            stamp = info.st_mtime_ns - seconds * 10 ** 9
            os.utime(self.p, ns=(stamp, stamp))
            self.assertEqual(self.ok("-p", self.p, "--status"),
                             "running, pid %d\n" % pid)
        self.fails(1, "already running: pid %d has let its lock on .*/p go"
                   % pid, "-p", self.p, "sleep", "1000")
        self.assertEqual(self.without_pidfd("--stop"), (
            125, "", "daemonize: pid %d has let its lock on %s go: kill %d\n"
            % (pid, self.p, pid)))
        self.assertTrue(is_alive(pid))
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, signal.SIGKILL)
            return
        self.ok("-p", self.p, "-s", "CONT")
        self.ok("-p", self.p, "--stop")
        self.assertFalse(is_alive(pid))
        self.assertFalse(os.path.exists(self.p))

    def without_pidfd(self, *args):
        return self.python(
            "import os, sys\n"
            "if hasattr(os, 'pidfd_open'): del os.pidfd_open\n"
            "import daemonize\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p, *args)

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_without_its_mark_it_counts_as_dead(self):
        """A limit; but for those who only share its number."""
        pid = self.let_go()
        info = os.stat(self.p)
        for other in 0, info.st_mtime_ns + 100, info.st_mtime_ns + 1:
            os.utime(self.p, ns=(other, other))
            self.fails(1, "not running: .*/p is stale", "-p", self.p,
                       "--status")
        self.start("sleep", "1000")
        os.kill(pid, signal.SIGKILL)

    def test_a_start_sees_that_the_lock_has_gone(self):
        status, out, err = self.cli(
            "-p", self.p, "--wait", "2", sys.executable, *FAST, "-c",
            self.LET_GO)
        pid = self.pid()
        self.assertEqual((status, out, err), (
            0, "", "daemonize: started, pid %d, which has let its lock on %s "
            "go: --respawn keeps it in a supervisor\n" % (pid, self.p)))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid))
        self.ok("-rp", self.p, "--wait", "0", "--", sys.executable, *FAST,
                "-c", self.LET_GO)
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "the mark is Linux's")
    def test_the_mark(self):
        pid = self.start("sleep", "1000")
        with open("/proc/%d/stat" % pid) as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        boot = int(self.read("/proc/sys/kernel/random/boot_id").replace(
            "-", ""), 16)
        seconds, mark = divmod(os.stat(self.p).st_mtime_ns, 10 ** 9)
        self.assertEqual(mark, 100 * ((boot + ticks) % 10 ** 7))
        self.assertLess(abs(time.time() - seconds), 300)

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_one_that_is_exiting_has_not_let_its_lock_go(self):
        """The kernel takes its locks first."""
        import daemonize
        pid = self.let_go()
        self.assertEqual(daemonize.status(self.p), pid)
        plain = daemonize._proc_stat
        patience = daemonize._CHANGE_TIMEOUT
        seen = []

        def exiting(asked):
            fields = plain(asked)
            seen.append(asked)
            if len(seen) < 10:      # as while it has many files to close
                fields[6] = b"%d" % (int(fields[6]) | 4)
            else:
                fields[0] = b"Z"
            return fields

        daemonize._proc_stat = exiting
        daemonize._CHANGE_TIMEOUT = 60
        try:
            self.assertIsNone(daemonize.status(self.p))
        finally:
            daemonize._proc_stat = plain
            daemonize._CHANGE_TIMEOUT = patience
        self.assertEqual({*seen}, {pid})
        os.kill(pid, signal.SIGKILL)

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_file_that_the_old_daemon_has_removed_is_opened_anew(self):
        """Though that one, with its lock gone, is still about to end."""
        pid = self.let_go()
        self.assertEqual(self.call(self.driven(
            self.REMOVED, "-p", "p", "--wait", "0", "sleep", "1000")),
            (0, "", ""))
        self.assert_alone(pid, self.pid())

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_pause_between_two_clocks_moves_no_start_time(self):
        import daemonize
        expected = daemonize._start_time(os.getpid())
        plain = time.time
        pauses = [0.5]

        def interrupted():
            now = plain()
            if pauses:
                self.call(["sleep", str(pauses.pop())])
            return now

        time.time = interrupted
        try:
            found = daemonize._start_time(os.getpid())
        finally:
            time.time = plain
        self.assertLess(abs(found - expected), 0.1)

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_shell_that_wrote_its_own_pid_is_not_the_daemon(self):
        for options in ("", "-f"):
            process = self.popen(
                ["sh", "-c", "echo $$ >p; exec \"$@\" -p p %s sleep 1000"
                 % options, "sh", *self.CLI])
            wait_until(lambda: [self.command_of(pid) for pid in marked(
                self.dir)] == [b"sleep\0001000\0"])
            self.assert_alone(self.pid())
            self.ok("-p", self.p, "--stop")
            process.wait()

    @unittest.skipUnless(OTHERS, "needs root, to change owners")
    def test_root_trusts_no_pidfile_of_others(self):
        nobody = pwd.getpwnam("nobody")
        message = ".*/p is not trusted: user %s or others can write it .*"
        self.write("p", "999999999\n")
        os.chown(self.p, nobody.pw_uid, -1)
        self.fails(125, message % "nobody", "-p", self.p, "sleep", "9")
        self.fails(4, message % "nobody", "-p", self.p, "--status")
        self.fails(125, message % "nobody", "-p", self.p, "--stop")
        os.chown(self.p, 0, -1)
        os.chmod(self.p, 0o666)
        self.fails(125, message % "root", "-p", self.p, "sleep", "9")
        self.assertEqual(self.read("p"), "999999999\n")
        os.chown(self.p, nobody.pw_uid, -1)
        os.chmod(self.p, 0o644)
        self.ok("-p", self.p, "-u", "nobody", "sleep", "1000")
        self.ok("-p", self.p, "--stop")     # as its holder is nobody
        self.write("p", "999999999\n")
        os.chown(self.p, nobody.pw_uid, -1)
        self.fails(1, "not running: .*/p is stale", "-p", self.p, "--status",
                   "-u", "nobody")
        self.ok("-p", self.p, "-u", "nobody", "--restart", "sleep", "1000")

    def test_a_pidfile_made_beforehand_in_a_directory_of_roots(self):
        if ROOT:
            self.skipTest("root can remove it")
        os.mkdir(self.path("run"))
        self.write("run/p", "")
        os.chmod(self.path("run"), 0o555)
        self.ok("-p", "run/p", "sleep", "1000")
        self.ok("-p", "run/p", "--stop")
        self.assertEqual(self.read("run/p"), "")
        os.chmod(self.path("run"), 0o755)


# ---- Control -------------------------------------------------------------

class ControlTest(DaemonTestCase):

    TRAP = ("trap 'echo TERM >>log' TERM; echo up >>log; "
            "while :; do sleep 1000 & wait; done")

    def test_stop_escalates_on_schedule(self):
        self.start("sh", "-c", self.TRAP)
        wait_until(lambda: self.read("log"))
        self.fails(124, r"pid %d( of user \S+)? did not end in 0.3 s"
                   % self.pid(), "-p", self.p, "--stop",
                   "--retry", "TERM/0.2/CONT/0.1")
        self.assertIn("running", self.ok("-p", self.p, "--status"))
        wait_until(lambda: self.read("log") == "up\nTERM\n")
        self.ok("-p", self.p, "--stop", "--retry", "TERM/0.1/KILL/20")
        self.assertRegex(self.read("log"), r"\Aup\nTERM\n(TERM\n)?\Z")
        self.assert_nothing_left()      # the shell's sleeps, too

    def test_a_number_is_a_schedule(self):
        import daemonize
        for schedule, last in (("60", 60), ("60/KILL/20", 20),
                               ("-15/60/-9/20", 20)):
            self.assertEqual(daemonize._schedule(schedule), [
                (signal.SIGTERM, 60), (signal.SIGKILL, last)])
            self.start("sh", "-c", self.TRAP.replace("log'", "log; exit'"))
            wait_until(lambda: self.read("log"))
            self.ok("-p", self.p, "--stop", "--retry", schedule)
            self.assert_nothing_left()
            self.assertEqual(self.read("log"), "up\nTERM\n")
            os.remove(self.log)

    def test_stop_with_another_signal(self):
        """Which the background jobs of a shell ignore (POSIX)."""
        self.start("sh", "-c", "trap 'echo QUIT >log; exit' QUIT; echo >up; "
                   "while :; do sleep 1000 & wait; done")
        wait_until(lambda: os.path.exists(self.path("up")))
        self.ok("-p", self.p, "--stop", "--signal", "quit", "--retry", "1")
        self.assertEqual(self.read("log"), "QUIT\n")
        self.assert_nothing_left()

    def test_a_stopped_process_is_continued(self):
        pid = self.start("sleep", "1000")
        self.ok("-p", self.p, "-s", "STOP")
        self.ok("-p", self.p, "--stop", "--retry", "TERM/60")
        self.assertFalse(is_alive(pid))

    def test_signal_by_name_or_number(self):
        self.start("sh", "-c", "trap 'echo HUP >>log' HUP; echo >up; "
                   "while :; do sleep 1000 & wait; done")
        wait_until(lambda: os.path.exists(self.path("up")))
        for count, name in enumerate(("HUP", "sighup", "SIGHUP", "1"), 1):
            self.ok("-p", self.p, "--signal", name)
            wait_until(lambda: os.path.exists(self.log)
                       and self.read("log") == "HUP\n" * count)
        self.fails(1, "not running: .*", "-p", "q", "--signal", "HUP")

    def test_stop_kills_what_is_left_of_the_group(self):
        self.start("sh", "-c", "sleep 1000 & sleep 1000 & wait")
        wait_until(lambda: len(marked(self.dir)) == 3)
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_stop_during_wait_kills_the_group_too(self):
        """The session's leader lives, but it is the starter."""
        self.write("widened.py", PidFileTest.WIDENED)
        launcher = self.popen(
            [sys.executable, "widened.py", "unlink", "-p", self.p,
             "--wait", "60", "sh", "-c",
             "trap 'exit 0' TERM; sleep 1000 & echo >up; wait"])
        wait_until(lambda: os.path.exists(self.path("up"))
                   and self.read("p"))
        self.ok("-p", self.p, "--stop", "--retry", "60")
        self.assertEqual(launcher.wait(), 0)
        self.assert_nothing_left()

    def test_stop_from_inside_the_daemon(self):
        """A child that restarts its daemon must not kill itself."""
        first = self.start(
            "sh", "-c", "(until [ -e go ]; do sleep 0.02; done; \"$@\") & "
            "wait", "sh", *self.CLI, "-p", "p", "--restart", "--", "sleep",
            "1000")
        self.write("go", "")
        wait_until(lambda: not is_alive(first) and [
            self.command_of(pid) for pid in marked(self.dir)] ==
            [b"sleep\0001000\0"])
        self.assert_alone(self.pid())

    def test_restart(self):
        self.ok("-p", self.p, "--restart", "--", "sleep", "1000")
        first = self.pid()
        self.ok("-p", self.p, "--restart", "--", "sleep", "1001")
        self.assertNotEqual(self.pid(), first)
        self.assert_alone(self.pid())

    def test_a_restarted_supervisor_has_no_more_open_than_a_started_one(self):
        def files():
            fds = "/proc/%d/fd" % self.pid()
            opened = [os.readlink(fds + "/" + fd) for fd in os.listdir(fds)]
            return sorted(path for path in opened if path[0] == "/")
        expected = sorted(["/dev/null", self.log, self.log, self.p])
        for restart in [], ["--restart"]:
            self.ok("-p", self.p, "-o", "log", "-H", "--wait", "0", *restart,
                    "sleep", "1000")
            wait_until(lambda: files() == expected)

    def test_a_negative_time_is_no_signal(self):
        import daemonize
        pid = self.start("sleep", "1000")
        with self.assertRaises(ValueError):
            daemonize.stop(self.p, -5)
        self.assertTrue(is_alive(pid))

    def test_a_restart_without_stderr_spares_the_pidfile(self):
        """Which must not be opened as descriptor 2."""
        pid = self.start("sleep", "1000")
        self.assertEqual(self.call(
            ["sh", "-c", "exec \"$@\" 2>&-", "sh", *self.CLI, "-p", self.p,
             "--restart", "-o", "/no/log", "sleep", "1000"])[0], 125)
        self.assertEqual(self.read("p"), "%d\n" % pid)

    def test_a_restart_keeps_the_reader_of_a_fifo(self):
        os.mkfifo(self.path("fifo"))
        self.popen(["cat", "fifo"])
        wait_until(lambda: self.cli("-p", self.p, "-o", "fifo", "sleep",
                                    "1000") == (0, "", ""))    # cat is there
        self.ok("-p", self.p, "-o", "fifo", "--restart", "sleep", "1000")

    def test_a_restart_leaves_its_program_as_it_was(self):
        self.assertEqual(self.python(
            "import daemonize, os\n"
            "def seen():\n"
            "    return sorted(os.listdir('/dev/fd')), os.umask(0o022)\n"
            "before = seen(), seen()\n"
            "for command in ('sleep 99', 'sleep 99', 'false', 'sleep 99'):\n"
            "    print(daemonize.main([\n"
            "        '-p', 'p', '-k', '077', '-o', 'log', '--wait', '60' if\n"
            "        'false' in command else '0', '--restart', '--',\n"
            "        *command.split()]))\n"
            "    os.makedirs('dir', exist_ok=True)\n"
            "    daemonize.main(['-p', 'p', '-k', '077', '-o', 'log', '-e',\n"
            "                    'dir', '--restart', 'true'])\n"
            "    assert (seen(), seen()) == before, (seen(), before)\n")[:2],
            (0, "0\n0\n125\n0\n"))
        self.ok("-p", self.p, "--stop")

    def test_a_worker_does_not_restart_itself(self):
        """It would be ended in the middle of it; a child of it can."""
        me = " ".join("'%s'" % word for word in self.CLI)
        for options in ("-r",), ("-H",):
            self.ok("-p", self.p, "-o", "log", *options, "sh", "-c",
                    "until [ -e go ]; do sleep 0.01; done; [ -e again ] || "
                    "{ echo >again; exec %s -p p -r --restart sleep 99; }; "
                    "exec sleep 1000" % me)
            supervisor = self.pid()
            self.write("go", "")
            wait_until(lambda: re.search(
                "(?m)^daemonize: this is worker 0 of p itself, which a restart"
                " ends: a child of it can do that$", self.read("log")))
            if options == ("-r",):
                wait_until(lambda: self.command_of(
                    json.loads(self.ok("-p", "p", "--status", "--json"))
                    ["workers"][0]["pid"]).startswith(b"sleep"))
                self.assertEqual(self.pid(), supervisor)
                self.ok("-p", self.p, "--stop")
            else:
                wait_until(lambda: not self.is_running())
            for name in "go", "again", "log":
                os.remove(self.path(name))
            self.assert_nothing_left()

    def test_a_service_restarts_itself(self):
        for options in [], ["-w", "1"]:
            self.ok("-p", self.p, *options, "--wait", "0", "sh", "-c",
                    "until [ -e go ]; do sleep 0.02; done; \"$@\"; "
                    "sleep 1000", "sh", *self.CLI, "-p", self.p, "--restart",
                    "--wait", "0", "sh", "-c", "echo up >>up; exec sleep 1000")
            self.write("go", "")
            wait_until(lambda: os.path.exists(self.path("up")))
            wait_until(lambda: marked(self.dir) == [self.pid()])
            self.ok("-p", self.p, "--stop")
            os.remove(self.path("up"))
            os.remove(self.path("go"))

    def test_a_restart_that_must_fail_stops_nothing(self):
        pid = self.start("sleep", "1000")
        self.fails(127, "command not found: .*", "-p", self.p, "--restart",
                   "--", "nosuchcommand")
        self.fails(125, "cannot open /no/log: .*", "-p", self.p, "--restart",
                   "-o", "/no/log", "--", "sleep", "1000")
        self.fails(125, "%s is the pidfile" % self.p, "-p", self.p,
                   "--restart", "-o", self.p, "--", "sleep", "1000")
        self.fails(125, "unknown user: .*", "-p", self.p, "--restart",
                   "-u", "nosuchuser", "--", "sleep", "1000")
        self.assertTrue(is_alive(pid))

    @unittest.skipUnless(OTHERS, "needs root, to start as another user")
    def test_a_restart_without_permission_stops_nothing(self):
        pid = self.start("sleep", "1000", options=["-u", "nobody"])
        status, _, err = self.as_nobody("-p", self.p, "--restart", "--",
                                        "sleep", "1000")
        self.assertEqual((status, err), (
            125, "daemonize: cannot open %s: Permission denied\n" % self.p))
        self.assertTrue(is_alive(pid))

    def test_what_is_only_written_in_part_is_told(self):
        import resource
        with open(self.path("help"), "w") as file:
            status, _, err = self.cli(
                "--help", stdout=file, preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertEqual((status, err), (125, "daemonize: cannot write to "
                                         "standard output: File too large\n"))

    def test_status_that_cannot_be_written(self):
        self.start("sleep", "1000")
        for options in [], ["--json"]:
            with open("/dev/full", "w") as full:
                status, _, err = self.cli("-p", self.p, "--status", *options,
                                          stdout=full)
            self.assertEqual((status, err), (
                0, "daemonize: cannot write to standard output: No space "
                "left on device\n"))

    def test_status_json(self):
        def told():
            status, out, err = self.cli("-p", self.p, "--status", "--json")
            self.assertEqual((err, out.count("\n")), ("", 1))
            return status, json.loads(out)
        self.assertEqual(told(), (3, dict(running=False, pid=None, workers=[],
                                          pidfile=self.p)))
        pid = self.start("sleep", "1000")
        self.assertEqual(told(), (0, dict(running=True, pid=pid, workers=[],
                                          pidfile=self.p)))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: told()[0] == 1)
        self.assertEqual(told()[1]["running"], False)

    def test_running_is_who_holds_the_lock_though_its_first_thread_ended(
            self):
        if PYPY or not ctypes:
            self.skipTest("needs ctypes and a native thread")
        pid = self.start(sys.executable, "-c", (
            "import ctypes, threading, time\n"
            "def work():\n"
            "    open('up', 'w').close()\n"
            "    time.sleep(1000)\n"
            "threading.Thread(target=work).start()\n"
            "time.sleep(0.1)\n"
            "ctypes.CDLL(None).pthread_exit(None)\n"))
        wait_until(lambda: self.stat_of(pid) == "Z")
        self.assertIn("running", self.ok("-p", self.p, "--status"))
        self.fails(1, "already running.*", "-p", self.p, "sleep", "9")
        self.ok("-p", self.p, "--stop")
        self.assertEqual(self.cli("-p", self.p, "--status")[0], 3)

    def stat_of(self, pid):
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]

    @unittest.skipUnless(OTHERS, "needs root, to become another user")
    def test_without_permission_to_signal(self):
        pid = self.start("sleep", "1000")
        for action in (["--stop"], ["--signal", "HUP"]):
            status, _, err = self.as_nobody("-p", self.p, *action)
            self.assertEqual((status, err), (
                125, "daemonize: cannot signal pid %d of user root: "
                "Operation not permitted\n" % pid))
        status, out, _ = self.as_nobody("-p", self.p, "--status")
        self.assertEqual((status, out), (0, "running, pid %d\n" % pid))
        os.chmod(self.p, 0o600)
        status, _, err = self.as_nobody("-p", self.p, "--status")
        self.assertEqual(status, 4)
        self.assertIn("Permission denied", err)

    def as_nobody(self, *args):
        """In-process, as nobody need not reach the interpreter."""
        nobody = pwd.getpwnam("nobody").pw_uid
        return self.python(
            "import daemonize, os, pwd, sys\n"
            "import getopt, json\n"
            "os.setgroups([]); os.setgid(%d); os.setuid(%d)\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n" % (nobody, nobody),
            *args)

    @unittest.skipUnless(OTHERS, "needs root, to start as another user")
    def test_stop_by_the_daemons_user_who_may_not_remove_the_pidfile(self):
        pid = self.start("sleep", "1000", options=["-u", "nobody"])
        status, _, err = self.as_nobody("-p", self.p, "--stop")
        self.assertEqual((status, err), (
            0, "daemonize: stopped pid %d, but the stale pidfile stays: "
            "cannot open %s: Permission denied\n" % (pid, self.p)))
        self.assertEqual(self.cli("-p", self.p, "--status")[0], 1)

    def test_help_fits_a_terminal_and_names_every_option(self):
        out = self.ok("--help")
        self.assertLessEqual(max(map(len, out.splitlines())), 79)
        self.assertEqual(self.ok("-h"), out)
        # Any word of the source, and any letter, may be one
        with open(SCRIPT) as file:
            words = {"--" + word for word in re.findall(
                r"[a-z]+(?:-[a-z]+)*", file.read())}
        words |= {"-" + chr(code) for code in range(33, 127)} - {"--"}
        status, _, err = self.python(
            "import daemonize, os, sys\n"
            "for word in sys.stdin.read().split():\n"
            "    os.write(2, b'\\0%s\\0' % word.encode())\n"
            "    daemonize.main([word])\n", stdin=None,
            input="\n".join(words))
        self.assertEqual(status, 0, err)
        told = iter(err.split("\0")[1:])
        known = {word for word, error in zip(told, told)
                 if "not recognized" not in error}
        named = set(re.findall(r"(?<![\w-])--?[a-z-]+\b", out, re.I))
        self.assertLessEqual(named, known)
        for word in known:      # getopt takes abbreviations
            self.assertTrue(word in named or word[2:] and any(
                name.startswith(word) for name in named), word)

    def test_version(self):
        import daemonize
        self.assertEqual(self.ok("--version"),
                         "daemonize %s\n" % daemonize.__version__)


# ---- The library ---------------------------------------------------------

class LibraryTest(DaemonTestCase):

    def test_returns_in_the_daemon_and_the_caller_leaves_with_0(self):
        status, out, err = self.python(
            "import atexit, daemonize, json, os, sys, time\n"
            "atexit.register(print, 'atexit', flush=True)\n"
            "print('before', end='')\n"
            "try:\n"
            "    daemonize.daemonize('p', stdout='log')\n"
            "    print('daemon', os.getcwd(), os.getpid(), flush=True)\n"
            "finally:\n"
            "    print('finally', flush=True)\n")
        self.assertEqual((status, out, err), (0, "before", ""))
        wait_until(lambda: "atexit" in self.read("log"))
        self.assertRegex(self.read("log"),
                         r"\Adaemon / \d+\nfinally\natexit\n\Z")
        wait_until(lambda: not os.path.exists(self.p))

    def test_failure_raises_in_the_caller(self):
        pid = self.start("sleep", "1000")
        status, out, err = self.python(
            "import os, sys, daemonize\n"
            "from daemonize import AlreadyRunning, DaemonizeError, "
            "NotRunning\n"
            "def attempt(error, *args, **options):\n"
            "    try:\n"
            "        daemonize.daemonize(*args, **options)\n"
            "    except error as e:\n"
            "        print(type(e).__name__, getattr(e, 'pid', ''),\n"
            "              getattr(e, 'exit_status', ''), e)\n"
            "    else:\n"
            "        os._exit(9)\n"
            "def state():\n"
            "    umask = os.umask(0)\n"
            "    os.umask(umask)\n"
            "    return (os.getpid(), os.getcwd(), umask,\n"
            "            sorted(os.listdir('/proc/self/fd')))\n"
            "here = state()\n"
            "for where in ({}, {'foreground': True}):\n"
            "    attempt(AlreadyRunning, 'p', **where)\n"
            "    attempt(DaemonizeError, '/no/dir/p', **where)\n"
            "    attempt(DaemonizeError, 'q', stdout='/no/dir/log', **where)\n"
            "    attempt(DaemonizeError, 'q', stdout='/dev/null',\n"
            "            stderr='/no/dir/log', **where)\n"
            "    attempt(DaemonizeError, 'q', chdir='/no/dir', **where)\n"
            "    attempt(DaemonizeError, 'q', user='nosuchuser', **where)\n"
            "    attempt(DaemonizeError, 'q', stdout=99, **where)\n"
            "    attempt(DaemonizeError, 'q', keep_fds=[99], **where)\n"
            "    attempt(ValueError, 'a\\0b', **where)\n"
            "    attempt(ValueError, 'q', umask=0o1000, **where)\n"
            "    attempt(ValueError, 'q', wait=-1, **where)\n"
            "    attempt(ValueError, 'q', umask='022', **where)\n"
            "    attempt(ValueError, 'q', umask=0.5, **where)\n"
            "    attempt(ValueError, 'q', wait=10 ** 400, **where)\n"
            "    attempt(ValueError, 'q', keep_fds=[-10 ** 30], **where)\n"
            "    attempt(DaemonizeError, 'q', user='', **where)\n"
            "    attempt(DaemonizeError, 'q', user=':', **where)\n"
            "    attempt(DaemonizeError, 'q', group='', **where)\n"
            "    attempt(TypeError, 4.5, **where)\n"
            "    attempt(TypeError, 'q', 4.5, **where)\n"
            "    attempt(TypeError, 'q', stdout=object(), **where)\n"
            "    attempt(TypeError, 'q', keep_fds=['a'], **where)\n"
            "    attempt(ValueError, 'q', keep_fds=[2 ** 40], **where)\n"
            "    attempt(TypeError, 'q', nosuch=1, **where)\n"
            "assert here == state(), (here, state())\n"
            "assert issubclass(AlreadyRunning, DaemonizeError)\n"
            "assert issubclass(NotRunning, DaemonizeError)\n")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("AlreadyRunning %d 1 already running: p is held by pid "
                      "%d\n" % (pid, pid), out)
        self.assertIn("DaemonizeError None 125 cannot open /no/dir/p: No such"
                      " file or directory\n", out)
        self.assertEqual(sorted(os.listdir(self.dir)), ["p", "program.py"])
        self.assert_alone(pid)

    def test_what_is_buffered_under_another_stdout_is_flushed(self):
        self.assertEqual(self.python(
            "import daemonize, io, sys\n"
            "print('to the terminal')\n"
            "sys.stdout = io.StringIO()\n"
            "daemonize.daemonize(stdout=%r)\n" % self.log),
            (0, "to the terminal\n", ""))
        self.assert_nothing_left()
        self.assertEqual(self.read("log"), "")

    def test_one_that_lost_its_lock_leaves_its_successors_pidfile(self):
        first = self.daemon("open(%r).close()\n"
                            "os.utime(%r, (1, 1))\n"
                            "print('lost', flush=True)\n"
                            "idle()\n" % (self.p, self.p))
        wait_until(lambda: "lost" in self.read("log"))
        second = self.start("sleep", "1000")
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: not is_alive(first))
        self.assertEqual(self.pid(), second)
        self.assertTrue(self.is_running())

    def test_sigterm_runs_finally_and_atexit_and_removes_the_pidfile(self):
        self.daemon("try:\n"
                    "    print('try', flush=True)\n"
                    "    idle()\n"
                    "finally:\n"
                    "    print('finally', flush=True)\n",
                    "import atexit\natexit.register(print, 'atexit')\n")
        pid = self.pid()
        wait_until(lambda: "try\n" in self.read("log"))
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid))
        self.assertEqual(self.read("log"), "up\ntry\nfinally\natexit\n")
        self.assertFalse(os.path.exists(self.p))

    def daemon(self, body, head="", arguments="", flags=("-S",)):
        """Starts a program that daemonizes and does body; its pid."""
        status, out, err = self.python(
            "import daemonize, os, signal, sys, time\n" + head +
            "daemonize.daemonize('p', stdout='log'%s)\n"
            "print('up', flush=True)\n" % arguments + body, flags=flags)
        self.assertEqual((status, out, err), (0, "", ""))
        wait_until(lambda: "up" in self.read("log"))
        try:
            return int(self.read("p"))
        except FileNotFoundError:       # it has ended itself
            return 0

    def test_the_programs_own_handler_stays(self):
        pid = self.daemon(
            "idle()\n",
            "def handler(*args):\n"
            "    os.write(1, b'mine\\n')\n"
            "    os._exit(0)\n"
            "signal.signal(signal.SIGTERM, handler)\n"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid))
        self.assertEqual(self.read("log"), "up\nmine\n")

    def test_what_was_ignored_or_blocked_before_is_reset(self):
        self.write("program.py", (
            "import daemonize, signal, sys, time\n"
            "signal.signal(signal.SIGUSR2, signal.SIG_IGN)\n"
            "daemonize.daemonize('p', stdout='log', chdir=None)\n"
            "time.sleep(1000)\n"))

        def spoil():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        self.assertEqual(self.call([sys.executable, "program.py"],
                                   preexec_fn=spoil), (0, "", ""))

        def signals(field):
            return int(re.search(field + r":\t(\w+)", self.read(
                "/proc/%d/status" % self.pid())).group(1), 16)
        # SIGPIPE is, for as long as it writes to us
        wait_until(lambda: signals("SigBlk") == 0)
        ignored = signals("SigIgn")
        self.assertTrue(ignored >> signal.SIGPIPE - 1 & 1)
        self.assertTrue(ignored >> signal.SIGUSR2 - 1 & 1)
        self.assertFalse(ignored >> signal.SIGHUP - 1 & 1)
        self.assertFalse(ignored >> signal.SIGCHLD - 1 & 1)

    def test_the_launcher_leaves_when_all_is_settled(self):
        """However long that takes: it is widened here."""
        self.assertEqual(self.python(
            "import atexit, daemonize, time\n"
            "plain = atexit.register\n"
            "def register(*args):\n"
            "    time.sleep(0.3)\n"
            "    open('settled', 'w').close()\n"
            "    return plain(*args)\n"
            "atexit.register = register\n"
            "daemonize.daemonize('p', stdout='log', chdir=None)\n"
            "idle()\n"), (0, "", ""))
        self.assertTrue(os.path.exists(self.path("settled")))

    def test_a_failure_to_settle_is_told(self):
        status, out, err = self.python(
            "import atexit, daemonize\n"
            "def register(*args): raise OSError('no room')\n"
            "atexit.register = register\n"
            "try: daemonize.daemonize('p', stdout='log', chdir=None)\n"
            "except daemonize.DaemonizeError as e: print(e)\n"
            "else: idle()\n")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Athe daemon exited with status 1 after")
        self.assertIn("OSError: no room", out)
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()

    def test_children_of_the_daemon_keep_the_pidfile(self):
        pid = self.daemon(
            "import multiprocessing\n"
            "multiprocessing.set_start_method('fork')\n"
            "child = multiprocessing.Process(target=print, args=('mp',))\n"
            "child.start(); child.join()\n"
            "if os.fork() == 0: sys.exit(0)\n"
            "os.wait()\n"
            "reader, writer = os.pipe()\n"
            "term = os.fork()\n"
            "if term == 0: os.write(writer, b'x'); idle()\n"
            "os.read(reader, 1)\n"
            "os.kill(term, signal.SIGTERM)\n"
            "print(os.WTERMSIG(os.waitpid(term, 0)[1]), flush=True)\n"
            "print('exists', os.path.exists('p'), flush=True)\n"
            "idle()\n", arguments=", chdir=None")
        wait_until(lambda: "exists" in self.read("log"))
        self.assertIn("15\n", self.read("log"))
        self.assertEqual(self.ok("-p", self.p, "--status"),
                         "running, pid %d\n" % pid)

    def test_status_inside_the_daemon_does_not_drop_the_lock(self):
        pid = self.daemon(
            "for path in (p, 'p', 'none'):\n"
            "    print(daemonize.status(path) == os.getpid(), flush=True)\n"
            "idle()\n",
            head="p = os.path.abspath('p')\n", arguments=", chdir=None")
        wait_until(lambda: self.read("log") == "up\nTrue\nTrue\nFalse\n")
        self.fails(1, "already running.* %d" % pid, "-p", self.p, "sleep",
                   "1")

    def test_stop_and_signal_inside_the_daemon(self):
        for body in ("daemonize.stop(p)\n",
                     "import threading\n"
                     "threading.Thread(target=daemonize.stop, args=(p,))"
                     ".start()\nidle()\n",
                     "daemonize.send_signal(p, 'TERM')\nidle()\n"):
            self.daemon("try:\n    " + body.replace("\n", "\n    ") +
                        "pass\nfinally: print('ended', flush=True)\n",
                        head="p = os.path.abspath('p')\n")
            wait_until(lambda: not os.path.exists(self.p))
            self.assert_nothing_left()
            self.assertEqual(self.read("log"), "up\nended\n")
            os.remove(self.log)

    def test_control_from_a_program(self):
        pid = self.start("sleep", "1000")
        status, out, err = self.python(
            "from daemonize import *\n"
            "print(status('p'))\n"
            "import signal\n"
            "send_signal('p', 'CONT'); send_signal('p', 18)\n"
            "send_signal('p', signal.SIGCONT)\n"
            "stop('p', 'TERM/60', signal=signal.SIGINT)\n"
            "print(status('p'))\n"
            "for call in (lambda: stop('p'), lambda: send_signal('p', 1)):\n"
            "    try: call()\n"
            "    except NotRunning as e: print(e)\n"
            "for call in (lambda: stop('p', 'X'), lambda: stop('p', ''),\n"
            "             lambda: send_signal('p', 'X'),\n"
            "             lambda: send_signal('p', 0)):\n"
            "    try: call()\n"
            "    except ValueError: print('ValueError')\n"
            "with open('p', 'w') as file: _ = file.write('text')\n"
            "try: status('p')\n"
            "except DaemonizeError as e: print(e)\n")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(
            out, "%d\nNone\n" % pid + "not running: there is no p\n" * 2
            + "ValueError\n" * 4 + "p is no pidfile: it holds something that "
            "is no pid\n")

    def test_descriptors_that_the_program_opened_go_on_working(self):
        self.daemon(
            "conn, _ = server.accept()\n"
            "conn.sendall(b'served')\n"
            "conn.close()\n"
            "logging.warning('still logged')\n"
            "print(database.execute('select 42').fetchone(), flush=True)\n"
            "print(os.read(made, 9), flush=True)\n",
            "import logging, socket\n"
            "try:\n"
            "    import sqlite3\n"
            "    database = sqlite3.connect('db')\n"
            "except ImportError:\n"
            "    class database:\n"
            "        execute = fetchone = lambda *a: database\n"
            "        __repr__ = lambda self: '(42,)'\n"
            "    database = database()\n"
            "logging.basicConfig(filename='app.log')\n"
            "server = socket.socket()\n"
            "server.bind(('127.0.0.1', 0)); server.listen(5)\n"
            "with open('port', 'w') as file:\n"
            "    file.write(str(server.getsockname()[1]))\n"
            "made, writer = os.pipe()\n"
            "os.set_inheritable(made, True)\n"
            "os.write(writer, b'piped')\n")
        with socket.create_connection(
                ("127.0.0.1", int(self.read("port"))), 60) as client:
            self.assertEqual(client.makefile().read(), "served")
        wait_until(lambda: "piped" in self.read("log"))
        self.assertIn("still logged", self.read("app.log"))

    def test_inherited_descriptors_are_closed_unless_kept(self):
        ours = [os.pipe() for _ in range(2)]
        fds = [fd for pair in ours for fd in pair]
        kept = fds[0]
        self.write("program.py", (
            "import daemonize, os, sys, time\n"
            "fds = list(map(int, sys.argv[1:]))\n"
            "daemonize.daemonize('p', stdout='log', keep_fds=fds[:1])\n"
            "def is_open(fd):\n"
            "    try: os.fstat(fd)\n"
            "    except OSError: return False\n"
            "    return True\n"
            "print([is_open(fd) for fd in fds], flush=True)\n"))
        self.assertEqual(self.call(
            [sys.executable, "program.py", *map(str, fds)], pass_fds=fds),
            (0, "", ""))
        for fd in fds:
            os.close(fd)
        wait_until(lambda: "]" in self.read("log"))
        self.assertEqual(self.read("log"), "[True, False, False, False]\n")
        self.assertTrue(kept)

    def test_streams_may_be_files_and_descriptors(self):
        status, out, err = self.python(
            "import daemonize, os, sys\n"
            "with open('in', 'w') as file: _ = file.write('input')\n"
            "log = open('log', 'a')\n"
            "daemonize.daemonize(None, open('in'), log.fileno(), 1)\n"
            "print(sys.stdin.read(), flush=True)\n"
            "print('to the terminal', file=sys.stderr, flush=True)\n")
        self.assertEqual((status, out, err), (0, "to the terminal\n", ""))
        wait_until(lambda: self.read("log") == "input\n")

    def test_started_without_streams_it_can_print(self):
        self.write("program.py", (
            "import daemonize, sys\n"
            "assert sys.stdout is None\n"
            "daemonize.daemonize('p', stdout='log')\n"
            "print('printed')\n"))
        self.assertEqual(subprocess.call(
            ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", sys.executable,
             "program.py"], cwd=self.dir, env=self.env), 0)
        wait_until(lambda: self.read("log") == "printed\n")

    def test_a_buffered_line_is_written_once(self):
        status, out, err = self.python(
            "import daemonize, sys\n"
            "sys.stdout.write('once')\n"
            "sys.stderr.write('once')\n"
            "daemonize.daemonize(None, stdout='log')\n")
        self.assertEqual((status, out, err), (0, "once", "once"))
        self.assert_nothing_left()
        self.assertEqual(self.read("log"), "")

    def test_an_interrupted_launcher_has_no_zombie(self):
        """And lets go at once, whatever its starter waits for."""
        def interrupted(when, arguments="", body=""):
            self.write("program.py", IDLE + (
                "import os, sys\n"
                "from daemonize import daemonize\n"
                "try:\n"
                "    print('go', flush=True)\n"
                "    daemonize('p', chdir=None, %s)\n" % arguments + body +
                "except KeyboardInterrupt:\n"
                "    try:\n"
                "        child = os.waitpid(-1, os.WNOHANG)\n"
                "        if child == (0, 0):     # it takes its time\n"
                "            print('waits', flush=True)\n"
                "            os.waitpid(-1, 0)\n"
                "        else: print(child)\n"
                "    except ChildProcessError: print('none')\n"
                "    sys.exit()\n"))
            process = self.popen([sys.executable, "-S", "program.py"])
            process.stdout.readline()
            wait_until(when)

            def answers():      # one just before poll(2) is lost on Python
                process.send_signal(signal.SIGINT)
                return select.select([process.stdout], [], [], 10)[0]

            wait_until(answers)
            said = process.stdout.readline()
            if said == "waits\n" and arguments == "notify_await=1001":
                process.kill()
            out, err = process.communicate(timeout=60)
            self.assertEqual((out, err), ("", ""))
            return said

        self.assertIn(interrupted(
            lambda: os.path.exists(self.path("up")), "notify_await=1000",
            "    open('up', 'w').close()\n    idle()\n"),
            ("none\n", "waits\n"))
        self.assert_alone(self.pid())
        self.ok("-p", self.p, "--stop")
        self.write("p", "")
        self.hold_lock(self.p, 1 << 30, write=True)
        self.assertIn(interrupted(      # the holder, it, its starter
            lambda: len(marked(self.dir)) == 3), ("none\n", "waits\n"))
        os.remove(self.p)
        # Not the starter on which it depends that a stopped one lives
        self.assertEqual(interrupted(
            lambda: doings(self.pid())[2] == "T", "notify_await=1001",
            "    os.kill(os.getpid(), 19)\n"
            "    open('on', 'w').close()\n    idle()\n"), "waits\n")
        os.kill(self.pid(), signal.SIGCONT)
        wait_until(lambda: os.path.exists(self.path("on")))
        self.ok("-p", self.p, "--stop")

    def test_from_a_thread(self):
        status, out, err = self.python(
            "import daemonize, threading, os, sys, time\n"
            "def work():\n"
            "    try: daemonize.daemonize('/no/dir/p')\n"
            "    except daemonize.DaemonizeError as e: print(e, flush=True)\n"
            "    try: daemonize.daemonize(foreground=True)\n"
            "    except daemonize.DaemonizeError as e: print(e, flush=True)\n"
            "    daemonize.daemonize('p', stdout='log')\n"
            "    print('daemon', flush=True)\n"
            "    idle()\n"
            "thread = threading.Thread(target=work)\n"
            "thread.start()\n"
            "thread.join()\n", flags=["-W", "ignore"])
        self.assertEqual((status, out, err), (
            0, "cannot open /no/dir/p: No such file or directory\n"
            "only the main thread can set signal handlers, as supervise() and "
            "daemonize(foreground=True) do\n", ""))
        wait_until(lambda: self.read("log") == "daemon\n")
        self.ok("-p", self.p, "--stop")
        self.assertFalse(os.path.exists(self.p))

    def test_inside_an_event_loop_it_refuses(self):
        status, out, err = self.python(
            "import asyncio, daemonize\n"
            "async def main():\n"
            "    try: daemonize.daemonize()\n"
            "    except daemonize.DaemonizeError as e: print(e)\n"
            "asyncio.get_event_loop_policy().new_event_loop()"
            ".run_until_complete(main())\n", flags=["-W", "ignore"])
        self.assertEqual((status, err), (0, ""))
        self.assertIn("must come before the event loop", out)

    def test_wait_catches_an_early_death(self):
        status, out, err = self.python(
            "import daemonize\n"
            "try: daemonize.daemonize('p', stdout='log', wait=30)\n"
            "except daemonize.DaemonizeError as e: print(e)\n"
            "else: raise ValueError('oops')\n")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Athe daemon exited with status 1 after .*; "
                         r"the last that it wrote to log:\n    Traceback")
        self.assertIn("ValueError: oops", out)
        self.assertFalse(os.path.exists(self.p))

    def test_a_daemon_may_daemonize_again(self):
        self.daemon("daemonize.daemonize('q', stdout='log', chdir=None)\n"
                    "idle()\n", arguments=", chdir=None")
        wait_until(lambda: os.path.exists(self.path("q"))
                   and self.read("q"))
        wait_until(lambda: not os.path.exists(self.p))
        pid = int(self.read("q"))
        fds = "/proc/%d/fd/" % pid
        wait_until(lambda: marked(self.dir) == [pid] and not [
            fd for fd in os.listdir(fds) if "/p" in os.readlink(fds + fd)])

    def test_resource_warnings_and_strict_mode(self):
        if self.call([sys.executable, "-X", "dev", "-c", (
                "import os\n"
                "pid = os.fork()\n"
                "if pid: exit(os.waitpid(pid, 0)[1] != 0)\n")])[0]:
            self.skipTest("with -X dev, this Python crashes at the end of "
                          "any forked process")    # CPython 3.8 to 3.9.9
        pid = self.daemon("idle()\n",
                          flags=["-W", "error", "-X", "dev", "-b"])
        os.kill(pid, signal.SIGTERM)
        self.assert_nothing_left()
        self.assertEqual(self.read("log"), "up\n")


    THREAD = ("import threading\n"
              "threading.Thread(target=idle, name='ticker', daemon=True)"
              ".start()\n")

    def test_threads_that_do_not_survive_are_named_before_anything(self):
        for call in ("daemonize.daemonize('p', stdout='log')",
                     "daemonize.Daemon('p').start()",
                     "daemonize.supervise(lambda: open('log', 'w').close())"):
            program = "import daemonize, sys\n" + self.THREAD + (
                "try: %s\n"
                "except RuntimeWarning as error: sys.exit(str(error))\n"
                % call)
            self.assertEqual(self.python(program, flags=["-W", "error"]), (
                1, "", "these threads do not survive the fork: ticker\n"))
            self.assertEqual(os.listdir(self.dir), ["program.py"])
            # CPython's own, after the fork, would break off what has begun
            status, out, err = self.python(program, flags=[
                "-W", "error", "-W", "always::RuntimeWarning"])
            self.assertEqual((status, out), (0, ""), err)
            self.assertEqual(err.count("Warning: "), 1, err)
            self.assertRegex(err, (
                r"\A[^\n]*%s.py:\d+: RuntimeWarning: these threads do not "
                r"survive the fork: ticker\n" % (
                    "daemonize" if "Daemon" in call else "program")))
            self.assert_nothing_left()
            for name in ("log", "p"):
                if os.path.exists(self.path(name)):
                    os.remove(self.path(name))

    def test_without_a_fork_threads_go_on(self):
        self.assertEqual(self.python(
            "import daemonize, sys\n" + self.THREAD +
            "daemonize.daemonize('p', foreground=True)\n"
            "print(threading.active_count())\n",
            flags=["-W", "error"]), (0, "2\n", ""))

    def test_multiprocessing_begins_anew(self):
        """Its helpers would keep the pipe that we read here."""
        for method in "spawn", "forkserver":
            self.assertEqual(self.python(
                "import daemonize, multiprocessing, sys\n"
                "context = multiprocessing.get_context(sys.argv[1])\n"
                "def use(step):\n"
                "    child = context.Process(target=abs, args=(5,))\n"
                "    child.start()\n"
                "    child.join()\n"
                "    print(step, child.exitcode, flush=True)\n"
                "    return step == 'launcher' or context.Lock()\n"
                "if __name__ == '__main__':\n"
                "    use('launcher')\n"
                "    daemonize.daemonize('p', stdout=sys.argv[1])\n"
                "    use('daemon')\n"
                "    daemonize.supervise(lambda: use('worker'))\n"
                "    print('over', flush=True)\n"
                "    idle()\n", method, timeout=30),
                (0, "launcher 0\n", ""))
            wait_until(lambda: "over" in self.read(method))
            self.assertRegex(self.read(method), (
                r"\Adaemon 0\nworker 0\n[^\n]*exited with status 0\nover\n\Z"))
            self.ok("-p", self.p, "--stop")
            self.assert_nothing_left()

    AT_THE_END = (
        "import atexit, threading\n"
        "def end():\n"
        "    print('end', flush=True)\n"
        "    for _ in range(6000): time.sleep(0.01)\n"
        "def work():\n"
        "    atexit.register(print, 'last', flush=True)\n"
        "    atexit.register(end)\n"
        "    threading.Thread(target=idle).start()\n"
        "    print('working', os.getpid(), flush=True)\n")

    def test_sigterm_while_python_ends(self):
        """While it waits for threads, then in an atexit handler."""
        for run, count in (
                ("work()", 1),
                ("daemonize.supervise(work, respawn_max=0)", 2)):
            pid = self.daemon(self.AT_THE_END + run + "\n")
            pid = int(wait_until(lambda: re.search(
                r"working (\d+)\n", self.read("log"))).group(1))
            wait_until(lambda: "S" in doings(pid)[2])
            def tell_again():
                """CPython may miss one that comes before it waits."""
                os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(AssertionError):
                    wait_until(lambda: "end" in self.read("log"), 2)
                return "end" in self.read("log")
            wait_until(tell_again)
            os.kill(pid, signal.SIGTERM)
            self.assert_nothing_left()
            self.assertRegex(self.read("log"), (
                r"\Aup\nworking \d+\nend\nlast\n" + (
                    r"[^\n]*status 143; given up[^\n]*\n" +
                    "(?s:Traceback.*)DaemonizeError: [^\n]*\n")
                * (count - 1) + r"\Z"))
            self.assertFalse(os.path.exists(self.p))
            os.remove(self.log)

    def test_the_status_after_a_sigterm_at_the_end(self):
        self.write("program.py", IDLE + "import daemonize, os, time\n"
                   "daemonize.daemonize('p', foreground=True)\n"
                   + self.AT_THE_END + "work()\n")
        process = self.popen([sys.executable, "program.py"])
        self.assertIn("working", process.stdout.readline())
        def tell_again():
            process.terminate()
            return select.select([process.stdout], [], [], 2)[0]
        wait_until(tell_again)
        process.terminate()
        self.assertEqual(process.wait(60), 0)

    def test_sigterm_while_the_pidfile_is_removed(self):
        self.daemon("plain = os.unlink\n"
                    "def unlink(path):\n"
                    "    os.kill(os.getpid(), signal.SIGTERM)\n"
                    "    plain(path)\n"
                    "os.unlink = unlink\n")
        self.assert_nothing_left()
        self.assertEqual(self.read("log"), "up\n")
        self.assertFalse(os.path.exists(self.p))

    @unittest.skipIf(PYPY, "PyPy does not choose them by the locale")
    def test_streams_that_python_did_not_have_are_as_its_own(self):
        self.write("program.py", (
            "import codecs, daemonize, sys\n"
            "daemonize.daemonize('p', '/dev/null', 'log', 'log',\n"
            "                    foreground=True)\n"
            "sys.stdin.read()\n"
            "print('error', file=sys.stderr)\n"
            "print(codecs.lookup(sys.stdout.encoding).name, '\\u20ac')\n"))
        for mode in "utf8=1", "utf8=0":
            command = [sys.executable, "-W", "error", "-X", mode, "-X",
                       "warn_default_encoding"]
            env = dict(self.env, LC_ALL="C")
            self.assertEqual(subprocess.call(
                ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh", *command,
                 "program.py"], cwd=self.dir, env=env), 0)
            its = self.call([*command, "-c", "import codecs, sys\nprint("
                             "codecs.lookup(sys.stdout.encoding).name)"],
                            env=env)[1].strip()
            with open(self.log, encoding="utf-8") as file:
                self.assertEqual(file.read(), "error\n%s %s\n" % (
                    its, "\u20ac".encode(its, "backslashreplace").decode(its)))
            os.remove(self.log)

    # What gevent.monkey.patch_all() leaves here: its os.fork() has its own
    # loop reap our children.  And eventlet's monkey_patch(): no select.poll
    PATCHES = {
        "gevent": "import types\n"
                  "monkey = types.ModuleType('gevent.monkey')\n"
                  "monkey.is_module_patched = lambda name: name == 'os'\n"
                  "sys.modules['gevent.monkey'] = monkey\n",
        "eventlet": "import select\ndel select.poll\n"}

    def test_what_is_patched_to_be_green(self):
        for name in self.PATCHES:
            for call in ["daemonize.daemonize('p')"] * (name == "eventlet") + [
                    "daemonize.daemonize('p', notify_await=1)",
                    "daemonize.Daemon('p', workers=2).start()",
                    "daemonize.supervise(print)"]:
                self.assertEqual(self.python(
                    "import sys\n" + self.PATCHES[name] +
                    "import daemonize\n"
                    "try: %s\n"
                    "except daemonize.DaemonizeError as e: sys.exit(str(e))\n"
                    % call), (
                    1, "", "this does not work under the patches of gevent or "
                    "eventlet: patch after daemonize(), and in the workers\n"),
                    call)
        self.daemon("", self.PATCHES["gevent"])     # this works, as it did
        self.assert_nothing_left()


class DaemonClassTest(DaemonTestCase):

    PROGRAM = ("import sys, time, os, signal\n"
               "from daemonize import Daemon\n"
               "class App(Daemon):\n"
               "    def run(self):\n"
               "        print('up', flush=True)\n"
               "        idle()\n")
    # As it ends in twenty years of scripts
    RECIPE = ("    app = App('p', '/dev/null', 'log', 'log')\n"
              "    if len(sys.argv) == 2:\n"
              "        if 'start' == sys.argv[1]: app.start()\n"
              "        elif 'stop' == sys.argv[1]: app.stop()\n"
              "        elif 'restart' == sys.argv[1]: app.restart()\n"
              "        else: sys.exit(2)\n"
              "        sys.exit(0)\n")

    def program(self, *args, end=None):
        return self.python(self.PROGRAM + "if __name__ == '__main__':\n"
                           + (end or self.RECIPE), *args)

    def test_a_subclass_may_have_options(self):
        status, out, err = self.program("start", end=(
            "    app = App('p', stdout='log')\n"
            "    app.options = ['x']\n"
            "    app.start()\n"))
        self.assertEqual((status, out, err), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")

    def test_a_restart_that_must_fail_stops_nothing(self):
        self.write("app.py", IDLE + self.PROGRAM + (
            "    def __init__(self): pass\n"
            "    def restart(self):\n"
            "        self.stdout = self.wrong\n"
            "        super().restart()\n"
            "app = App()\n"
            "app.pidfile, app.stdout, app.wrong = 'p', 'log', sys.argv[2]\n"
            "app._options = {'chdir': None}\n"
            "sys.exit(app.main(sys.argv[1:2]))\n"))
        app = [sys.executable, "-S", "app.py"]
        self.assertEqual(self.call([*app, "start", "."]), (0, "", ""))
        pid = self.pid()
        for wrong, why in ((".", "cannot open .: Is a directory"),
                           ("p", "p is the pidfile")):
            self.assertEqual(self.call([*app, "restart", wrong]),
                             (125, "", "daemonize: %s\n" % why))
            self.assert_alone(pid)
            self.assertTrue(self.is_running())
        self.assertEqual(self.call([*app, "restart", "log"]), (0, "", ""))
        self.assertNotEqual(self.pid(), pid)
        # The reader of a FIFO sees no end of it
        os.mkfifo(self.path("fifo"))
        reader = self.popen(["cat", "fifo"])
        self.assertEqual(self.call([*app, "restart", "fifo"]), (0, "", ""))
        self.assertEqual(self.call([*app, "restart", "fifo"]), (0, "", ""))
        self.assertIsNone(reader.poll())
        self.ok("-p", self.p, "--stop")
        self.assertEqual(reader.communicate(timeout=60)[0], "up\nup\n")

    def test_an_error_of_run_has_its_traceback(self):
        """Also if it is one of ours, which main() knows."""
        status, out, err = self.program("start", end=(
            "    import daemonize\n"
            "    App.run = lambda self: daemonize.stop('other')\n"
            "    app = App('p', stdout='log', wait=60, retry=None)\n"
            "    app.stop()\n"
            "    sys.exit(app.main())\n"))
        self.assertEqual((status, out), (125, ""))
        self.assertIn("Daemon not running?", err)
        self.assertIn("Traceback", self.read("log"))
        self.assertIn("NotRunning: not running: there is no other\n",
                      self.read("log"))

    def test_what_is_off_keeps_no_supervisor(self):
        self.assertEqual(self.program("start", end=(
            "    app = App('p', stdout='log', syslog=False, respawn=False,\n"
            "              log_reopen=False, workers=None).start()\n")),
            (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")
        wait_until(lambda: marked(self.dir) == [self.pid()])

    def test_the_recipe(self):
        self.assertEqual(self.program("start"), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")
        first = self.pid()
        self.assertEqual(self.program("start"), (
            1, "", "pidfile p already exist. Daemon already running?\n"))
        self.assertEqual(self.program("restart"), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\nup\n")
        self.assertNotEqual(self.pid(), first)
        self.assertFalse(is_alive(first))
        self.assertEqual(self.program("stop"), (0, "", ""))
        self.assertFalse(os.path.exists(self.p))
        self.assertEqual(self.program("stop"), (
            0, "", "pidfile p does not exist. Daemon not running?\n"))
        self.assert_nothing_left()

    def test_main(self):
        end = "    sys.exit(App('p', stdout='log').main())\n"
        self.assertEqual(self.program("status", end=end),
                         (3, "", "not running\n"))
        self.assertEqual(self.program("start", end=end), (0, "", ""))
        self.assertEqual(self.program("status", end=end),
                         (0, "%d\n" % self.pid(), ""))
        self.assertEqual(self.program("start", end=end)[0], 1)
        self.assertEqual(self.program("restart", end=end), (0, "", ""))
        self.assertEqual(self.program("stop", end=end), (0, "", ""))
        self.assertEqual(self.program("stop", end=end)[0], 1)
        for words in ([], ["x"], ["start", "x"]):
            self.assertEqual(self.program(*words, end=end), (
                2, "", "usage: program.py start|stop|restart|status|run\n"))
        self.assertEqual(
            self.program("start", end=end.replace("'p'", "'/no/p'")),
            (125, "", "daemonize: cannot open /no/p: No such file or "
             "directory\n"))
        self.write("p", "999999999\n")
        self.assertEqual(self.program("status", end=end)[0], 1)
        self.write("p", "text\n")
        self.assertEqual(self.program("status", end=end)[0], 4)

    def test_main_run_stays_in_the_foreground(self):
        self.write("program.py", IDLE + self.PROGRAM +
                   "sys.exit(App('p').main(['run']))\n")
        process = self.popen([sys.executable, "program.py"])
        self.assertEqual(process.stdout.readline(), "up\n")
        self.assertEqual(self.pid(), process.pid)
        self.fails(1, "already running.*", "-p", self.p, "sleep", "1")
        process.terminate()
        self.assertEqual(process.wait(), 0)
        self.assertFalse(os.path.exists(self.p))

    def test_its_own_daemonize_may_stay_in_the_foreground(self):
        own = ("App.daemonize = lambda self: print('own', flush=True)\n"
               "App.run = lambda self: print(os.getpid() == pid, os.getcwd())"
               "\npid = os.getpid()\n")
        for options in ("", ", notify_await=9", ", foreground=True"):
            self.assertEqual(self.python(
                self.PROGRAM + own +
                "App('p', stdout='/dev/stdout', chdir=None%s).start()\n"
                % options), (0, "own\nTrue %s\n" % self.dir, ""))
            self.assertFalse(os.path.exists(self.p))
        status, out, err = self.python(
            self.PROGRAM + own +
            "App('p', workers=2, notify_await=9).start()\n")
        self.assertEqual((status, out), (0, "own\n" + "False %s\n" % self.dir
                                         * 2), err)
        # The recipe looks for a daemon first; and "run" has the pidfile
        self.assertEqual(self.program("start"), (0, "", ""))
        line = (1, "", "pidfile p already exist. Daemon already running?\n")
        for action in "start", "run":
            self.assertEqual(self.python(
                self.PROGRAM + own + "sys.exit(App('p').main())\n", action),
                line)
        self.ok("-p", self.p, "--stop")
        self.assertEqual(self.python(
            self.PROGRAM + own +
            "App.run = lambda self: print(self.status() == pid)\n"
            "sys.exit(App('p').main())\n", "run"), (0, "own\nTrue\n", ""))

    def test_its_own_daemonize_may_do_more(self):
        own = ("def own(self):\n"
               "    super(App, self).daemonize()\n"
               "    if os.path.exists('broken'): 1 / 0\n"
               "    print('own', os.getpid() == self.status(), flush=True)\n"
               "App.daemonize = own\n")
        for options in ("", ", workers=2"):
            start = (self.PROGRAM + own +
                     "App('p', stdout='log', chdir=None%s).start()\n"
                     % options)
            self.assertEqual(self.python(start), (0, "", ""))
            runs = 2 if options else 1
            wait_until(lambda: self.read("log") == "own True\n" + "up\n"
                       * runs)
            self.assertEqual(self.python(start), (
                1, "", "pidfile p already exist. Daemon already running?\n"))
            self.ok("-p", self.p, "--stop")
            os.remove(self.log)
        self.write("broken", "")        # it is still the start
        status, out, err = self.python(start)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "DaemonizeError: .* exited with status 1 after")

    def test_daemonize_by_itself(self):
        self.assertEqual(self.python(
            self.PROGRAM + "app = App('p', stdout='log', workers=2)\n"
            "app.daemonize()\n"
            "app.run()\n"), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")
        self.assert_alone(self.pid())

    def test_delpid(self):
        """It removes this daemon's pidfile, once, and nobody else's."""
        self.assertEqual(self.python(
            self.PROGRAM +
            "import atexit\n"
            "def end(*args):\n"
            "    App('other').delpid()\n"
            "    app.delpid()\n"
            "    print(os.listdir(where), flush=True)\n"
            "    app.delpid()\n"
            "    sys.exit(0)\n"
            "where = os.getcwd()\n"
            "app = App(os.path.abspath('p'), stdout='log')\n"
            "app.delpid()\n"
            "App(None).delpid()\n"
            "atexit.register(app.delpid)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "app.start()\n"), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")
        self.write("other", "%d\n" % self.pid())
        self.ok("-p", self.p, "--stop", "--retry", "TERM/60")
        left = re.search(r"\[.*\]", self.read("log")).group()
        self.assertNotIn("'p'", left)
        self.assertIn("'other'", left)
        self.assertNotIn("Traceback", self.read("log"))

    def test_delpid_leaves_a_successors_pidfile(self):
        self.assertEqual(self.python(
            self.PROGRAM +
            "def run(self):\n"
            "    os.rename('p', 'q')\n"
            "    with open('p', 'w') as file: file.write('4711\\n')\n"
            "    self.delpid()\n"
            "    print(sorted(os.listdir('.')), flush=True)\n"
            "App.run = run\n"
            "App('p', stdout='log', chdir=None).start()\n"), (0, "", ""))
        self.assert_nothing_left()
        self.assertIn("'p', 'program.py', 'q'", self.read("log"))

    def test_without_super_init_and_with_super_run(self):
        self.assertEqual(self.python(
            "import os, sys\n"
            "from daemonize import Daemon\n"
            "class App(Daemon):\n"
            "    def __init__(self): self.pidfile = 'p'\n"
            "    def run(self):\n"
            "        super().run()\n"
            "        with open(sys.argv[1], 'w') as file:\n"
            "            file.write('ran')\n"
            "        self.stop()\n"
            "        os.remove(sys.argv[1])\n"
            "App().start()\n", self.path("out")), (0, "", ""))
        wait_until(lambda: os.path.exists(self.path("out")))
        self.assert_nothing_left()
        self.assertEqual(self.read("out"), "ran")
        self.assertFalse(os.path.exists(self.p))

    def test_a_handler_that_calls_stop(self):
        status, out, err = self.python(
            self.PROGRAM +
            "app = App('p', stdout='log')\n"
            "signal.signal(signal.SIGTERM, lambda *args: app.stop())\n"
            "app.start()\n")
        self.assertEqual((status, out, err), (0, "", ""))
        wait_until(lambda: self.read("log") == "up\n")
        os.kill(self.pid(), signal.SIGTERM)
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.p))

    def test_several_daemons_from_one_script(self):
        self.assertEqual(self.python(
            self.PROGRAM +
            "for name in 'pqr':\n"
            "    if os.fork() == 0:\n"
            "        App(name, stdout='log').start()\n"
            "for name in 'pqr': os.wait()\n"), (0, "", ""))
        pids = {int(self.read(name)) for name in "pqr"}
        self.assertEqual(len(pids), 3)
        self.assert_alone(*pids)
        for name in "pqr":
            self.ok("-p", self.path(name), "--stop")

    def test_options(self):
        self.assertEqual(self.python(
            self.PROGRAM +
            "App('p', None, 'log', umask=0o077, chdir=None).start()\n"),
            (0, "", ""))
        self.assertEqual(stat.S_IMODE(os.stat(self.p).st_mode), 0o600)
        self.assertEqual(os.readlink("/proc/%d/cwd" % self.pid()), self.dir)
        status, _, err = self.python(
            self.PROGRAM + "App('q', nosuch=1).start()\n")
        self.assertEqual(status, 1)
        self.assertIn("TypeError", err)


# ---- Privileges ----------------------------------------------------------

class PrivilegesTest(DaemonTestCase):

    @unittest.skipUnless(OTHERS, "needs root, to become another user")
    def test_user_groups_and_environment(self):
        nobody = pwd.getpwnam("nobody")
        daemon = pwd.getpwnam("daemon")
        self.spy_is_reachable()
        for options, uid, gid, groups in (
                (["-u", "nobody"], nobody.pw_uid, nobody.pw_gid,
                 os.getgrouplist("nobody", nobody.pw_gid)),
                (["-u", str(nobody.pw_uid)], nobody.pw_uid, nobody.pw_gid,
                 os.getgrouplist("nobody", nobody.pw_gid)),
                (["-u", "nobody:daemon"], nobody.pw_uid, daemon.pw_gid,
                 os.getgrouplist("nobody", daemon.pw_gid)),
                (["-u", "nobody", "-g", str(daemon.pw_gid)], nobody.pw_uid,
                 daemon.pw_gid, os.getgrouplist("nobody", daemon.pw_gid)),
                (["-u", "12345:23456"], 12345, 23456, [23456]),
                (["-g", "daemon"], 0, daemon.pw_gid,
                 os.getgrouplist("root", daemon.pw_gid))):
            with self.subTest(options=options):
                seen = self.status_of(self.start("sleep", "1000",
                                                 options=options))
                self.assertEqual(seen["Uid"], [uid] * 4)
                self.assertEqual(seen["Gid"], [gid] * 4)
                self.assertEqual(sorted(seen["Groups"]),
                                 sorted(set(groups)))
                self.ok("-p", self.p, "--stop")

    def spy_is_reachable(self):
        os.chmod(self.dir, 0o777)

    @staticmethod
    def status_of(pid):
        with open("/proc/%d/status" % pid) as file:
            return {line.split(":")[0]: list(map(int, line.split()[1:]))
                    for line in file if line.startswith(
                        ("Uid", "Gid", "Groups"))}

    @unittest.skipUnless(LOOKS, "needs root with CAP_SYS_PTRACE")
    def test_the_environment_and_files_of_the_user(self):
        self.env.update(HOME="/root", USER="root", LOGNAME="root",
                        SHELL="/bin/rootsh")
        pid = self.start("sleep", "1000", options=["-u", "nobody",
                                                   "-o", "log"])
        with open("/proc/%d/environ" % pid) as file:
            environ = dict(item.split("=", 1) for item in
                           file.read().split("\0") if "=" in item)
        nobody = pwd.getpwnam("nobody")
        self.assertEqual(
            [environ[name] for name in ("HOME", "USER", "LOGNAME", "SHELL")],
            [nobody.pw_dir, "nobody", "nobody", nobody.pw_shell])
        for path in (self.p, self.log):     # opened before the drop
            self.assertEqual(os.stat(path).st_uid, 0)
        self.assertIn("running", self.ok("-p", self.p, "--status"))

    @unittest.skipUnless(OTHERS, "needs root, to become another user")
    def test_root_cannot_be_regained(self):
        self.assertEqual(self.python(
            "import daemonize, os\n"
            "daemonize.daemonize('p', stdout='log', user='nobody')\n"
            "for call in (os.setuid, os.seteuid, os.setgid):\n"
            "    try: call(0)\n"
            "    except PermissionError: print('no', flush=True)\n"
            ), (0, "", ""))
        wait_until(lambda: self.read("log") == "no\n" * 3)

    @unittest.skipUnless(OTHERS, "needs root, to fake a drop that fails")
    def test_a_drop_that_did_not_work_fails_the_start(self):
        for fake, message in (
                ("os.setuid = os.seteuid = lambda uid: None",
                 "user nobody can become root again"),
                ("os.setuid = lambda uid: 1/0",
                 "ZeroDivisionError: division by zero")):
            status, out, err = self.python(
                "import daemonize, os\n%s\n"
                "try: daemonize.daemonize('p', user='nobody')\n"
                "except daemonize.DaemonizeError as e: print(e)\n" % fake)
            self.assertEqual((status, out, err), (0, message + "\n", ""))
            self.assertFalse(os.path.exists(self.p))

    @unittest.skipUnless(LINUX, "only Linux has user namespaces")
    def test_the_root_of_a_user_namespace(self):
        """Who may change no groups, and need not."""
        unshare = ["unshare", "-Ur"]
        if not shutil.which("unshare") or self.call([*unshare, "true"])[0]:
            self.skipTest("no user namespaces for us here")
        for user in "root", "0:0":
            self.assertEqual(self.call([
                *unshare, *self.CLI, "-f", "-u", user, "--", "id", "-u"]),
                (0, "0\n", ""))
        self.assertEqual(self.call([*unshare, *self.CLI, "-f", "-u",
                                    "root:nogroup", "--", "id"])[0], 125)

    @unittest.skipIf(ROOT, "root may")
    def test_without_root_a_clear_refusal(self):
        self.fails(125, r"cannot become user root \(uid 0, gid 0\): only "
                   r"root can, and this is user \S+", "-u", "root", "true")
        me = pwd.getpwuid(os.getuid()).pw_name
        self.ok("-p", self.p, "-u", me, "sleep", "1000")    # as it is anyway

    @unittest.skipUnless(OTHERS, "needs root, to become another user")
    def test_a_command_that_the_user_may_not_execute(self):
        self.script("cmd", "#!/bin/sh\n")
        os.chmod(self.path("cmd"), 0o700)
        for options in ([], ["-f"]):
            self.fails(126, "cannot execute ./cmd: Permission denied",
                       *options, "-p", self.p, "-u", "nobody", "./cmd")
        self.assert_nothing_left()


# ---- The foreground ------------------------------------------------------

class ForegroundTest(DaemonTestCase):

    CLI = [sys.executable, "-S", SCRIPT]

    def foreground(self, *args, **options):
        return self.popen([*self.CLI, "-f", "-p", self.p, *args],
                          **options)

    def test_the_command_has_our_pid_streams_status_and_no_child(self):
        process = self.foreground("sh", "-c", "echo $$; cat p; cat; exit 7",
                                  stdin=subprocess.PIPE)
        out, err = process.communicate("input\n")
        self.assertEqual((out, err, process.returncode),
                         ("%d\n" % process.pid * 2 + "input\n", "", 7))
        status, _, _ = self.cli("-f", "sh", "-c", "kill -TERM $$")
        self.assertEqual(status, -signal.SIGTERM)

    def test_control(self):
        process = self.foreground("sleep", "1000")
        wait_until(self.is_running)
        wait_until(lambda: self.command_of(process.pid) ==
                   b"sleep\0001000\0")
        self.assert_alone(process.pid)
        self.assertEqual(self.cli("-fp", self.p, "true")[0], 1)
        self.ok("-p", self.p, "--stop", "--retry", "60")
        self.assertEqual(process.wait(), -signal.SIGTERM)
        self.assertFalse(os.path.exists(self.p))

    @unittest.skipUnless(LINUX, "the spy reads /proc")
    def test_session_group_environment_and_descriptors_are_kept(self):
        self.write("spy.py", SPY)
        self.env.update(NOTIFY_SOCKET="/n", LISTEN_FDS="1", WATCHDOG_USEC="1")
        reader, writer = os.pipe()
        process = self.foreground(sys.executable, *FAST, "spy.py", "report",
                                  pass_fds=[writer])
        seen = self.report()
        os.close(reader)
        os.close(writer)
        self.assertEqual(seen["pid"], process.pid)
        self.assertEqual(seen["sid"], os.getsid(0))
        self.assertEqual(seen["pgid"], os.getpgrp())
        self.assertIn(str(writer), seen["fds"])
        self.assertEqual(seen["environ"]["NOTIFY_SOCKET"], "/n")
        process.kill()

    def test_sigpipe_is_as_it_would_be_without_python(self):
        process = self.foreground("sleep", "1000")
        wait_until(lambda: self.command_of(process.pid) ==
                   b"sleep\0001000\0")
        with open("/proc/%d/status" % process.pid) as file:
            self.assertIn("SigIgn:\t0000000000000000\n", file.read())

    def test_named_streams_are_used_and_others_inherited(self):
        status, out, err = self.cli("-f", "-o", "log", "sh", "-c",
                                    "echo out; echo err >&2")
        self.assertEqual((status, out, err), (0, "", "err\n"))
        self.assertEqual(self.read("log"), "out\n")

    def test_a_failed_start_is_told_where_the_user_stands(self):
        self.broken_elf("cmd")
        self.fails(127, "./cmd exists, but its interpreter .* does not",
                   "-f", "-p", self.p, "-o", "out", "-e", "err", "./cmd")
        self.assertEqual(self.read("out") + self.read("err"), "")
        self.assertFalse(os.path.exists(self.p))

    def test_a_failed_start_leaves_the_caller_as_it_was(self):
        if not OTHERS:
            self.skipTest("needs root, to become another user")
        self.write("program.py", (
            "import os\n"
            "from daemonize import DaemonizeError, daemonize\n"
            "def state():\n"
            "    return os.getcwd(), os.getresgid(), os.getgroups()\n"
            "before = state()\n"
            "try: daemonize(user='nobody', foreground=True)\n"
            "except DaemonizeError as error: print(error)\n"
            "assert before == state(), (before, state())\n"))
        self.assertEqual(self.call(
            [*self.giving_up("setuid"), sys.executable, "-S",
             "program.py"]), (
            0, "cannot become user nobody: Operation not permitted\n", ""))

    def test_a_failed_start_after_a_chdir_leaves_no_pidfile(self):
        self.broken_elf("cmd")
        os.mkdir(self.path("sub"))
        self.fails(127, "../cmd exists, but its interpreter .* does not",
                   "-f", "-d", "sub", "-p", "p", "../cmd")
        self.assertFalse(os.path.exists(self.p))

    def test_nobodys_tee_is_hit(self):
        """A job of an interactive shell: one group with its pipeline."""
        process = self.popen(
            ["sh", "-c", "\"$@\" | (cat; echo survived)", "sh",
             *self.CLI, "-fp", self.p, "sh", "-c",
             "echo up; exec sleep 1000"], start_new_session=True)
        self.assertEqual(process.stdout.readline(), "up\n")
        self.ok("-p", self.p, "--stop")
        self.assertEqual(process.stdout.readline(), "survived\n")

    def test_the_session_of_an_init_is_cleared_up(self):
        process = self.foreground("sh", "-c", "sleep 1000 & wait",
                                  start_new_session=True)
        wait_until(lambda: self.is_running() and {b"sh", b"sleep"} == {
            self.command_of(pid).split(b"\0")[0]
            for pid in marked(self.dir)})
        self.ok("-p", self.p, "--stop")
        process.wait()
        self.assert_nothing_left()

    def test_under_runsv(self):
        if not shutil.which("runsv"):
            self.skipTest("runit is not installed")
        os.mkdir(self.path("service"))
        self.script("service/run", "#!/bin/sh\nexec %s %s -f -p %s -- "
                    "sleep 1000\n" % (sys.executable, SCRIPT, self.p))
        runsv = self.popen(["runsv", "service"])
        wait_until(self.is_running)
        wait_until(lambda: int(self.read("service/supervise/pid"))
                   == self.pid())
        first = self.pid()
        self.ok("-p", self.p, "--stop")
        wait_until(self.is_running)
        self.assertNotEqual(self.pid(), first)      # runsv saw it end
        runsv.terminate()
        runsv.wait()
        self.assert_nothing_left()

    def test_under_s6_with_its_notification_descriptor(self):
        if not shutil.which("s6-supervise"):
            self.skipTest("s6 is not installed")
        os.mkdir(self.path("service"))
        self.write("service/notification-fd", "3\n")
        self.script("service/run", "#!/bin/sh\nexec %s %s -f -p %s -- "
                    "sh -c 'echo >&3; exec 3>&-; exec sleep 1000'\n"
                    % (sys.executable, SCRIPT, self.p))
        s6 = self.popen(["s6-supervise", "service"])
        wait_until(lambda: os.path.exists(self.path("service/event")))
        wait_until(lambda: "true" in self.call(
            ["s6-svstat", "-o", "up,ready", "service"])[1].split()[1:])
        self.assertEqual(self.call(["s6-svstat", "-o", "pid", "service"])[1],
                         "%d\n" % self.pid())
        self.call(["s6-svc", "-xd", "service"])
        s6.wait()
        self.assert_nothing_left()


# ---- Without what only Linux or a newer Python has -----------------------

class PortableTest(DaemonTestCase):

    def without(self, *args, setup=""):
        return self.python(
            "import daemonize, sys\n"
            "daemonize._PROC = '/nonexistent'\n"
            "daemonize._pidfd_open = None\n" + setup +
            "sys.exit(daemonize.main(sys.argv[1:]))\n", *args)

    def test_start_status_signal_stop_without_proc_and_pidfd(self):
        self.assertEqual(self.without("-p", self.p, "sh", "-c",
                                      "sleep 1000 & wait"), (0, "", ""))
        pid = self.pid()
        self.assertEqual(self.without("-p", self.p, "--status")[:2],
                         (0, "running, pid %d\n" % pid))
        self.assertEqual(self.without("-p", self.p, "sleep", "1")[0], 1)
        self.assertEqual(self.without("-p", self.p, "-s", "CONT")[0], 0)
        self.assertEqual(self.without("-p", self.p, "--stop"), (0, "", ""))
        self.assert_nothing_left()
        self.assertEqual(self.without("-p", self.p, "--status")[0], 3)

    def test_stop_times_out_without_pidfd(self):
        self.start("sh", "-c", "trap '' TERM; echo >up; sleep 1000; :")
        wait_until(lambda: os.path.exists(self.path("up")))
        self.assertEqual(self.without("-p", self.p, "--stop", "--retry",
                                      "TERM/0.1")[0], 124)
        self.assertEqual(self.without("-p", self.p, "--stop", "--retry",
                                      "TERM/0.1/KILL/30")[0], 0)

    @unittest.skipUnless(LINUX, "start times are in /proc")
    def test_a_lock_lost_before_the_end_is_no_end(self):
        """As that of any process that is just exiting."""
        self.start(sys.executable, *FAST, "-c", IDLE + (
            "import os, signal, time\n"
            "def end(*_):\n"
            "    os.closerange(3, 1024)\n"
            "    time.sleep(0.3)\n"
            "    open('ended', 'w').close()\n"
            "    os._exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "open('up', 'w').close()\n"
            "idle()\n"))
        wait_until(lambda: os.path.exists(self.path("up")))
        self.assertEqual(self.python(
            "import daemonize, sys\n"
            "daemonize._pidfd_open = None\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
            "--stop", "--retry", "60"), (0, "", ""))
        self.assertTrue(os.path.exists(self.path("ended")))
        self.assertFalse(os.path.exists(self.p))

    def test_a_pidfd_that_the_kernel_refuses(self):
        self.start("sleep", "1000")
        self.assertEqual(self.without(
            "-p", self.p, "--stop", setup=(
                "def refused(pid): raise OSError(38, 'not implemented')\n"
                "daemonize._pidfd_open = refused\n")), (0, "", ""))
        self.assert_nothing_left()

    def test_descriptors_without_a_directory_of_them(self):
        reader, writer = os.pipe()
        self.write("program.py", (
            "import os\n"
            "plain = os.listdir\n"
            "def listdir(path):\n"
            "    if path.endswith('/fd'): raise OSError(2, 'no /proc')\n"
            "    return plain(path)\n"
            "os.listdir = listdir\n"
            "import daemonize, sys\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n"))
        self.write("spy.py", SPY)
        self.assertEqual(self.call(
            [sys.executable, "program.py", "-p", self.p, "--wait", "0",
             sys.executable, *FAST, "spy.py", "report"],
            pass_fds=[reader, writer]), (0, "", ""))
        os.close(reader)
        os.close(writer)
        seen = self.report()["fds"]
        self.assertFalse({str(reader), str(writer)} & {
            fd for fd, name in seen.items() if "pipe:" in name})

    def test_enolck_says_what_to_do(self):
        status, _, err = self.without("-p", self.p, "true", setup=(
            "def lockf(*args): raise OSError(%d, 'No locks available')\n"
            "daemonize.fcntl.lockf = lockf\n" % errno.ENOLCK))
        self.assertEqual((status, err), (
            125, "daemonize: cannot lock %s: No locks available; put the "
            "pidfile on a local file system\n" % self.p))

    def test_the_public_signal_module_does_as_well(self):
        status, _, err = self.python(
            "import signal, sys\n"
            "sys.modules['_signal'] = None\n"
            "import daemonize\n"
            "assert daemonize.signal is signal\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
            "--wait", "60", "sh", "-c", "kill -SEGV $$")
        self.assertEqual(status, 125)
        self.assertIn("sh killed by SIGSEGV after", err)
        self.assertEqual(self.python(
            "import signal, sys\n"
            "sys.modules['_signal'] = None\n"
            "import daemonize\n"
            "daemonize.daemonize('p', chdir=None)\n"
            "idle()\n"), (0, "", ""))
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_names_of_signals(self):
        import daemonize
        for number in signal.Signals:
            self.assertEqual(daemonize._signal_name(number), number.name)
        for name, number in signal.Signals.__members__.items():
            self.assertEqual(daemonize._signal_number(name), number)
        self.assertEqual(daemonize._signal_name(40), "signal 40")
        for word in "", "SIG", "SIG_DFL", "_IGN", "SIG_BLOCK", "0", "DAEMON":
            self.assertRaises(ValueError, daemonize._signal_number, word)

    def test_windows_imports_and_says_what_is_missing(self):
        status, out, err = self.python(
            "import sys, os\n"
            "sys.modules['fcntl'] = None\n"
            "os.name = 'nt'\n"
            "import daemonize\n"
            "for call in (daemonize.daemonize, lambda: daemonize.stop('p'),\n"
            "             lambda: daemonize.status('p'),\n"
            "             lambda: daemonize.send_signal('p', 1),\n"
            "             daemonize.Daemon('p').start):\n"
            "    try: call()\n"
            "    except daemonize.DaemonizeError as e: print(e)\n"
            "print(daemonize.main(['true']), flush=True)\n")
        needs = "daemonize needs a POSIX system (fork, setsid)\n"
        self.assertEqual((status, out, err), (
            0, needs * 5 + "125\n", "daemonize: " + needs))


# ---- Real services -------------------------------------------------------

class ServiceTest(DaemonTestCase):

    def connect(self, port):
        def attempt():
            try:
                return socket.create_connection(("127.0.0.1", port), 60)
            except ConnectionRefusedError:
                return None
        client = wait_until(attempt)
        self.addCleanup(client.close)
        return client

    def ask(self, port, text):
        client = self.connect(port)
        client.sendall(text)
        return client.recv(4096)

    def test_redis_keeps_its_data(self):
        if not shutil.which("redis-server"):
            self.skipTest("redis-server is not installed")
        port = self.free_port()
        command = ["-p", self.p, "-o", "log", "redis-server", "--port",
                   str(port), "--dir", self.dir, "--appendonly", "yes"]
        self.ok(*command)
        self.assertEqual(self.ask(port, b"SET key value\r\n"), b"+OK\r\n")
        self.ok("--restart", *command)
        wait_until(lambda: self.ask(port, b"GET key\r\n") ==
                   b"$5\r\nvalue\r\n")
        self.ok("-p", self.p, "--stop", "--retry", "60")
        self.assertIn("bye bye", self.read("log"))
        self.assert_nothing_left()

    def test_redis_is_ready_when_it_says_so(self):
        if not shutil.which("redis-server"):
            self.skipTest("redis-server is not installed")
        port = self.free_port()
        command = ["redis-server", "--supervised", "systemd", "--port",
                   str(port), "--dir", self.dir, "--save", ""]
        for options in (), ("-r",):
            out = self.ok("-vp", self.p, "-o", "log", "--notify-await",
                          *options, *command)
            with socket.create_connection(("127.0.0.1", port), 60):
                pass            # at once
            self.assertRegex(out, r"daemonize: status: Ready to accept .*\n"
                             r"daemonize: started, pid \d+\n\Z")
            self.ok("-p", self.p, "--stop")
        status, _, err = self.cli(
            "-p", self.p, "-o", "log", "--notify-await", "redis-server",
            "--supervised", "systemd", "--port", "no port")
        self.assertEqual(status, 125)
        self.assertRegex(err, r"redis-server exited with status 1 after "
                         r"[\d.]+ s, before it was ready; the last that it")
        self.assertIn("argument couldn't be parsed", err)
        self.assert_nothing_left()

    NGINX = ("pid %(dir)s/nginx.pid; error_log stderr; worker_processes 2;\n"
             "events {}\nhttp { access_log off;\n"
             "client_body_temp_path %(dir)s; proxy_temp_path %(dir)s;\n"
             "fastcgi_temp_path %(dir)s; uwsgi_temp_path %(dir)s;\n"
             "scgi_temp_path %(dir)s;\n"
             "server { listen 127.0.0.1:%(port)d; location / {\n"
             "return 200 'served'; } } }\n")

    def test_nginx_in_the_foreground_and_in_the_background(self):
        nginx = shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"])
        if not nginx:
            self.skipTest("nginx is not installed")
        if ROOT and not OTHERS:
            self.skipTest("root's nginx would become another user")
        port = self.free_port()
        self.write("conf", self.NGINX % dict(dir=self.dir, port=port))
        command = ["-p", self.p, "-o", "log", nginx, "-c", self.path("conf"),
                   "-g"]
        self.ok(*command, "daemon off;")
        request = b"GET / HTTP/1.0\r\n\r\n"
        self.assertIn(b"served", self.ask(port, request))
        self.ok("-p", self.p, "--signal", "HUP")
        self.assertIn(b"served", self.ask(port, request))
        self.ok("-p", self.p, "--stop", "--signal", "QUIT", "--retry", "60")
        self.assert_nothing_left()
        status, _, err = self.cli("--wait", "60", *command, "daemon on;")
        # Its title has overwritten the environment that marks our processes
        wait_until(lambda: os.path.exists(self.path("nginx.pid"))
                   and self.read("nginx.pid"))
        master = int(self.read("nginx.pid"))
        os.kill(master, signal.SIGTERM)
        wait_until(lambda: not is_alive(master))
        self.assertEqual(status, 0)
        self.assertIn("if it put itself into the background", err)
        self.assertFalse(os.path.exists(self.p))

    def test_a_python_server(self):
        port = self.free_port()
        self.ok("-p", self.p, "-o", "log", "--", sys.executable, "-m",
                "http.server", "--bind", "127.0.0.1", str(port))
        self.assertIn(b"200 OK", self.ask(port, b"GET / HTTP/1.0\r\n\r\n"))
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_a_bash_loop(self):
        self.ok("-p", self.p, "-o", "log", "sh", "-c",
                "while :; do echo tick; sleep 0.05; done")
        wait_until(lambda: self.read("log").count("tick") > 2)
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_on_a_terminal(self):
        """The daemon survives the hangup of the terminal it came from."""
        import pty
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve("/bin/sh", [
                "sh", "-c", "\"$@\"; echo status=$?", "sh", sys.executable,
                SCRIPT, "-vp", self.p, "sleep", "1000"], self.env)
        seen = b""
        while not re.search(rb"status=\d+\r\n", seen):
            self.assertTrue(select.select([terminal], [], [], 60)[0], seen)
            seen += os.read(terminal, 4096)
        os.close(terminal)      # hangs up
        os.waitpid(pid, 0)
        self.assertIn(b"started, pid %d\r\nstatus=0" % self.pid(), seen)
        self.assertTrue(is_alive(self.pid()))


# ---- Supervision ---------------------------------------------------------

class SupervisedTestCase(DaemonTestCase):
    """Workers that write their pids to w.NUMBER, and stay."""

    STAY = "echo $$ >>w.$DAEMONIZE_WORKER; exec sleep 1000"
    # Says which signals come: "up" first, then a name on each line of "got"
    RECORD = (
        "import os, signal, sys\n"
        "def note(number, frame):\n"
        "    os.write(log, (signal.Signals(number).name + '\\n').encode())\n"
        "    if number == signal.SIGTERM and sys.argv[1:] == ['ends']:\n"
        "        os._exit(7)\n"
        "log = os.open('got', os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "for name in 'TERM INT HUP USR1 USR2 WINCH QUIT'.split():\n"
        "    signal.signal(getattr(signal, 'SIG' + name), note)\n"
        "os.write(log, b'up\\n')\nidle()\n")

    def supervise(self, *options, command=("sh", "-c", STAY), number=1,
                  **how):
        """The supervisor's pid, when all of so many workers have begun."""
        self.ok("-p", self.p, "--wait", "0", *options, "--", *command, **how)
        if command[-1] == self.STAY:
            wait_until(lambda: all(self.pids_of(i) for i in range(number)))
        return self.pid()

    def pids_of(self, worker):
        """All that have run under that number, so far."""
        name = "w.%d" % worker
        return ([int(pid) for pid in self.read(name).split()]
                if os.path.exists(self.path(name)) else [])

    def workers(self):
        """[(number, pid)] as the kernel has them now."""
        sys.path[:] = [HERE] + [path for path in sys.path if path != HERE]
        import daemonize
        return sorted(daemonize._inspect(self.p)[3])

    def await_run(self, worker, count):
        """The pid of the run with that count, from 1."""
        return wait_until(lambda: self.pids_of(worker)[count - 1:count],
                          what="run %d of %d" % (count, worker))[0]

    def recorder(self):
        self.write("record.py", IDLE + self.RECORD)
        return (sys.executable, *FAST, self.path("record.py"))

    def got(self):
        return (self.read("got").split()
                if os.path.exists(self.path("got")) else [])

    def await_log(self, pattern, name="log"):
        return wait_until(lambda: os.path.exists(self.path(name)) and
                          re.search(pattern, self.read(name)), what=pattern)

    def await_sleep(self, *pids):
        """Until they do nothing for half a second."""
        def sleep():
            before = [doings(pid) for pid in pids]
            self.call(["sleep", "0.5"])
            return (all(state == "S" for _, _, state in before) and
                    [doings(pid) for pid in pids] == before)
        wait_until(sleep)

    def stop(self, retry="TERM/60/KILL/5"):
        import daemonize
        daemonize.stop(self.p, retry)
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()


class BackoffTest(DaemonTestCase):

    # Nobody runs: each fork gives a pid of nobody, who has ended with status
    # 1 when poll(2) is waited for, so many seconds later; at last with 0
    CRASHES = (
        "import daemonize, json\n"
        "class Ended:\n"
        "    si_code, si_status = getattr(os, 'CLD_EXITED', 1), 1\n"
        "runs, options = json.loads(sys.argv[1])\n"
        "clock, running, dead = [0.0], [], []\n"
        "@instead_of(time, 'monotonic')\n"
        "def monotonic(plain): return clock[0]\n"
        "@instead_of(os, 'fork')\n"
        "def fork(plain):\n"
        "    running.append((1 << 30) + len(runs))\n"
        "    return running[0]\n"
        "@instead_of_poll\n"
        "def poll(plain, timeout):\n"
        "    if timeout != 0 and running:\n"
        "        clock[0] += (runs.pop(0) if runs else 0) + 1e-6\n"
        "        dead.append(running.pop())\n"
        "        os.kill(os.getpid(), signal.SIGCHLD)\n"
        "    elif timeout:\n"
        "        clock[0] += timeout / 1000\n"
        "    return plain(0)\n"
        "def find(pid, is_reaped):\n"
        "    found = [one for one in dead if pid <= 0 or one == pid]\n"
        "    if found and is_reaped: dead.remove(found[0])\n"
        "    return (*found[:1], 0)[0]\n"
        "@instead_of(os, 'waitpid')\n"
        "def waitpid(plain, pid, options):\n"
        "    pid = find(pid, True)\n"
        "    return pid, 256 * (pid > 1 << 30)\n"
        "def waitid(plain, how, pid, options):\n"
        "    pid = find(pid, not options & os.WNOWAIT)\n"
        "    Ended.si_pid, Ended.si_status = pid, int(pid > 1 << 30)\n"
        "    return Ended if pid else None\n"
        "if hasattr(os, 'waitid'): instead_of(os, 'waitid')(waitid)\n"
        "try: daemonize.supervise(print, **options)\n"
        "except daemonize.DaemonizeError: pass\n")

    def delays(self, runs, **options):
        """What it says to the ends of workers that ran for so long."""
        self.write("crashes.py", DRIVER + self.CRASHES)
        with open(self.path("told"), "w+") as told:
            self.assertEqual(self.call(
                [sys.executable, "crashes.py", json.dumps([runs, options])],
                stderr=told), (0, "", None), self.read("told"))
            told.seek(0)
            return [None if "given up" in line else float(delay)
                    for line, delay in re.findall(
                        r"(with status 1; .*?([\d.]+) (?:re)?s.*)",
                        told.read())]

    def test_a_crash_loop_backs_off_and_a_healthy_run_resets_it(self):
        self.assertEqual(self.delays([0, 0, 0.1, 3, 9.9, 0, 0]),
                         [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
        self.assertEqual(self.delays([0, 0, 0, 10, 0, 99, 0]),
                         [0, 0.1, 0.2, 0, 0.1, 0, 0.1])
        self.assertEqual(self.delays([1] * 4, respawn_period=1), [0] * 4)

    def test_the_delay_has_a_limit_and_no_overflow(self):
        self.assertEqual(self.delays([0] * 2000)[-1], 60)
        self.assertEqual(self.delays([0] * 5, respawn_delay=0.3),
                         [0, 0.1, 0.2, 0.3, 0.3])
        self.assertEqual(self.delays([0] * 3, respawn_delay=0), [0] * 3)
        self.assertEqual(self.delays([0] * 2000, respawn_delay=999999)[-1],
                         999999)

    def test_so_many_restarts_and_the_next_death_is_the_end(self):
        self.assertEqual(self.delays([0] * 3, respawn_max=2), [0, 0.1, None])
        self.assertEqual(self.delays([0], respawn_max=0), [None])
        self.assertEqual(self.delays([0, 0, 10, 0, 0], respawn_max=2),
                         [0, 0.1, 0, 0.1, None])

    def test_what_is_wanted_of_a_supervisor_is_checked(self):
        import daemonize
        for name, wrong in (
                ("workers", 0), ("workers", "x"), ("workers", 1 << 30),
                ("respawn", "never"), ("respawn_delay", -1),
                ("respawn_max", -1), ("respawn_period", "x"),
                ("retry", "TERM/x"), ("log_size", 0), ("log_size", "10X"),
                ("log_size", ""), ("log_size", "K"), ("log_keep", -1)):
            with self.assertRaises(ValueError, msg=(name, wrong)):
                daemonize._Policy(**{name: wrong})
        for size, number in (("1", 1), (7, 7), ("3k", 3072),
                             ("10M", 10485760), ("2G", 2 << 30)):
            self.assertEqual(daemonize._Policy(log_size=size).log_size,
                             number)


class SupervisorTest(SupervisedTestCase):

    CLI = [sys.executable, "-S", SCRIPT]

    def test_a_killed_worker_is_back_and_the_log_says_how_it_died(self):
        supervisor = self.supervise("-r", "-o", "log")
        first = self.await_run(0, 1)
        self.assertEqual(self.workers(), [(0, first)])
        wait_until(lambda: set(marked(self.dir)) == {supervisor, first})
        os.kill(first, signal.SIGSEGV)
        second = self.await_run(0, 2)
        self.assertNotEqual(first, second)
        self.await_log(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d daemonize: worker 0 "
                       r"\(pid %d\) killed by SIGSEGV; restart 1 in 0 s\n$"
                       % first)
        out = self.ok("-p", self.p, "--status")
        self.assertRegex(out, r"\Arunning, pid %d\nworker 0, pid %d, up "
                         r"\d+\.\d\d s\n\Z" % (supervisor, second))
        self.stop()
        self.await_log(r"worker 0 \(pid %d\) killed by SIGTERM\n\Z" % second)

    def test_status_for_programs(self):
        supervisor = self.supervise("-w", "2", number=2)
        wait_until(lambda: len(self.workers()) == 2)
        status = json.loads(self.ok("-p", self.p, "--status", "--json"))
        workers = status.pop("workers")
        self.assertEqual(status, {"running": True, "pid": supervisor,
                                  "pidfile": self.p})
        self.assertEqual([(worker["id"], worker["pid"]) for worker in
                          workers], [(i, self.pids_of(i)[0])
                                     for i in range(2)])
        for worker in workers:
            self.assertEqual(sorted(worker), ["id", "pid", "uptime"])
            self.assertTrue(0 <= worker["uptime"] < 60, worker)

    def test_an_exit_with_0_is_final(self):
        status, out, err = self.cli("-f", "-r", "--", "sh", "-c",
                                    "echo run; exit 0")
        self.assertEqual((status, out), (0, "run\n"))
        self.assertRegex(err, r"worker 0 \(pid \d+\) exited with status 0\n\Z")
        self.supervise("-w", "2", "-o", "log", number=1, command=(
            "sh", "-c", "[ $DAEMONIZE_WORKER = 1 ] && exit 0; " + self.STAY))
        pid = self.await_run(0, 1)
        wait_until(lambda: self.workers() == [(0, pid)])
        self.stop()

    def test_respawn_always_starts_it_after_a_0_too(self):
        status, _, err = self.cli(
            "-f", "--respawn-always", "--respawn-max", "2",
            "--respawn-period", "1000", "--", "sh", "-c", "exit 0")
        self.assertEqual(status, 125)
        self.assertRegex(
            err, r"(?s)\A.*; restart 1 in 0 s\n.*; restart 2 in 0.1 s\n.*"
            r"exited with status 0; given up after 2 restarts\n\Z")

    def test_it_gives_up_with_the_last_status_and_ends_all_workers(self):
        for how, status in (("exit 3", 3), ("kill -9 $$", 137)):
            self.assertEqual(self.cli(
                "-f", "-w", "3", "--respawn-max", "1", "--respawn-delay",
                "0", "--respawn-period", "1000", "-e", "log", "--", "sh", "-c",
                "[ $DAEMONIZE_WORKER = 1 ] || exec sleep 1000; " + how)[0],
                status)
            self.assert_nothing_left()
        log = self.read("log")
        self.assertEqual(log.count("given up after 1 restarts"), 2)
        self.assertEqual(log.count("killed by SIGTERM"), 4)

    def test_a_death_within_wait_fails_the_start(self):
        for options in ([], ["--log-size", "1M"]):
            status, out, err = self.cli(
                "-p", self.p, "-w", "3", "-o", "log", "--wait", "30",
                *options, "--", "sh", "-c", "[ $DAEMONIZE_WORKER = 2 ] || "
                "exec sleep 1000; echo oops; kill -SEGV $$")
            self.assertEqual((status, out), (125, ""))
            self.assertRegex(err, r"\Adaemonize: worker 2 killed by SIGSEGV "
                             r"after \d+\.\d\d s; the last that it wrote to "
                             r"log:\n    oops\n\Z")
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.p))
            os.remove(self.log)

    def test_its_last_lines_are_found_after_a_chdir(self):
        self.fails(125, r"sh exited with status 3 after .*; the last that it "
                   r"wrote to log:\n    oops", "-p", self.p, "-d", "/", "-r",
                   "-o", "log", "--wait", "60", "--",
                   "sh", "-c", "echo oops; exit 3")

    def test_an_interpreter_under_another_name(self):
        """By "exec -a", by "@" in a systemd unit, or without a PATH."""
        self.script("other", "#!/bin/sh\n: >wrong\n")
        for name, path in (("nosuch", "/bin"), ("other", self.dir),
                           (sys.executable, None), ("", "/bin")):
            with self.subTest(name=name):
                how = dict(executable=sys.executable, env={
                    **{key: value for key, value in self.env.items()
                       if key != "PATH"}, **({"PATH": path} if path else {})})
                if self.call([name, "-S", "-c", "import os"], **how)[0]:
                    self.skipTest("it does not find its own library")
                self.assertEqual(self.call(
                    [name, "-S", SCRIPT, "-p", self.p, "-r", "/bin/sleep",
                     "1000"], **how), (0, "", ""))
                self.assert_worker_is_alone()
        self.assertFalse(os.path.exists(self.path("wrong")))

    def assert_worker_is_alone(self):
        """It runs, and has nothing open but its streams and its lock."""
        (_, pid), = self.workers()
        fds = "/proc/%d/fd" % pid
        wait_until(lambda: sorted(
            os.readlink(fds + "/" + fd) for fd in os.listdir(fds)) == [
                "/dev/null", "/dev/null", "/dev/null", self.p])
        self.stop()

    def test_a_limit_on_the_size_of_files(self):
        """The script's bytecode is one, of 250 kB."""
        import resource
        for size in 0, 100000:
            self.assertEqual(self.call(
                [*self.CLI, "-r", "-p", self.p, "sleep", "1000"],
                preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (size, size))),
                (0, "", "") if size else (125, "", "daemonize: cannot write "
                                          "%s: File too large\n" % self.p))
            if size:
                self.assert_worker_is_alone()

    def test_a_command_that_cannot_be_executed_fails_the_start(self):
        self.broken_elf("broken")
        for options in ([], ["-f"], ["--wait", "0"]):
            self.fails(127, r"\./broken exists, but its interpreter \(or "
                       r"that one's\) does not", "-p", self.p, "-w", "2",
                       *options, "./broken")
            self.assertFalse(os.path.exists(self.p))
        self.fails(127, "command not found: nosuch .*", "-p", self.p, "-r",
                   "nosuch")
        self.assert_nothing_left()

    def test_a_success_within_wait_is_told(self):
        status, out, err = self.cli("-p", self.p, "-r", "--wait", "60",
                                    "true")
        self.assertEqual((status, out), (0, ""))
        self.assertRegex(err, r"true exited with status 0 after .* let it "
                         "stay in the foreground")
        self.assertFalse(os.path.exists(self.p))
        self.ok("-p", self.p, "--respawn-always", "sleep", "0.01")
        self.stop()

    def test_a_command_that_vanishes_is_a_failed_restart(self):
        self.script("cmd", "#!/bin/sh\necho $$ >>w.0; exec sleep 1000\n")
        self.supervise("-r", "-o", "log", "--respawn-delay", "0.1",
                       "--respawn-period", "1000", command=["./cmd"])
        first = self.await_run(0, 1)
        os.rename(self.path("cmd"), self.path("gone"))
        os.kill(first, signal.SIGKILL)
        self.await_log(r"daemonize: command not found: ./cmd\n"
                       r".*worker 0 \(pid \d+\) exited with status 127; "
                       r"restart 2 in 0.1 s\n")
        os.rename(self.path("gone"), self.path("cmd"))
        self.await_run(0, 2)
        self.stop()

    def test_a_fork_that_fails_is_a_failed_restart(self):
        status, _, err = self.python(
            "import daemonize, errno, os\n"
            "plain = os.fork\n"
            "calls = []\n"
            "def fork():\n"
            "    calls.append(0)\n"
            "    if len(calls) in (2, 3):\n"
            "        raise BlockingIOError(errno.EAGAIN, 'Try again')\n"
            "    return plain()\n"
            "os.fork = fork\n"
            "daemonize.main(['-f', '-r', '--respawn-max', '4', "
            "'--respawn-delay', '0.1', '--respawn-period', '1000', '--', "
            "'sh', '-c', 'kill -9 $$'])\n")
        self.assertEqual(status, 137)
        self.assertRegex(err, (
            r"(?s)SIGKILL; restart 1 in 0 s\n"
            r"[^\n]*: cannot start worker 0: cannot fork: Try again; restart "
            r"2 in 0.1 s\n[^\n]*restart 3 in 0.1 s\n[^\n]*killed by SIGKILL; "
            r"restart 4 in 0.1 s\n"
            r"[^\n]*killed by SIGKILL; given up after 4 restarts\n\Z"))

    def test_a_first_fork_that_fails_fails_the_start(self):
        status, out, err = self.python(
            "import daemonize, errno, os, sys\n"
            "plain = os.fork\n"
            "calls = []\n"
            "def fork():\n"
            "    calls.append(0)\n"
            "    if len(calls) == 4:\n"     # the second worker's
            "        raise BlockingIOError(errno.EAGAIN, 'Try again')\n"
            "    return plain()\n"
            "os.fork = fork\n"
            "sys.exit(daemonize.main(['-w', '2', '-p', 'p', '--', 'sleep', "
            "'1000']))\n")
        self.assertEqual((status, out, err), (
            125, "", "daemonize: cannot fork: Try again\n"))
        self.assert_nothing_left()

    def test_what_a_worker_leaves_of_its_group_ends_before_the_next(self):
        self.supervise("-r", command=(
            "sh", "-c", "sleep 1000 & echo $! >>left; " + self.STAY))
        first = self.await_run(0, 1)
        os.kill(first, signal.SIGKILL)
        self.await_run(0, 2)
        left = [int(pid) for pid in self.read("left").split()]
        wait_until(lambda: not is_alive(left[0]))
        self.stop()

    def test_what_a_worker_inherits(self):
        self.write("spy.py", SPY)
        os.mkdir(self.path("sub"))
        with open(os.devnull) as null, inheritable(null.fileno()):
            supervisor = self.supervise(
                "-r", "-o", "log", "-d", "sub", "-k", "027", command=(
                    sys.executable, *FAST, self.path("spy.py"),
                    self.path("report")), pass_fds=[null.fileno()])
            spy = self.report()
        self.assertEqual((spy["ppid"], spy["pgid"]),
                         (supervisor, spy["pid"]))
        self.assertEqual(spy["sid"], os.getsid(supervisor))
        self.assertFalse(spy["tty"])
        self.assertEqual((spy["umask"], spy["cwd"]),
                         (0o027, self.path("sub")))
        # PyPy and CPython ignore SIGPIPE and SIGXFSZ (bits 12 and 24)
        self.assertEqual(spy["ignored"] & ~(1 << 12 | 1 << 24), 0)
        self.assertEqual(spy["blocked"], 0)
        self.assertEqual(spy["environ"]["DAEMONIZE_WORKER"], "0")
        self.assertEqual(spy["environ"]["DAEMONIZE_WORKERS"], "1")
        fds = {fd: name for fd, name in spy["fds"].items()
               if "/proc/" not in name}
        self.assertEqual(fds, {"0": "/dev/null", "1": self.log,
                               "2": self.log, "240": self.p})

    def test_a_daemon_that_a_worker_starts_is_no_worker(self):
        self.supervise("-w", "2", command=(
            "sh", "-c", "%s -p $DAEMONIZE_WORKER -o env --wait 60 env; "
            "touch done; exec sleep 1000" % " ".join(
                "'%s'" % word for word in self.CLI)), number=2)
        wait_until(lambda: os.path.exists(self.path("done")))
        self.assertNotIn("DAEMONIZE_WORKER", self.read("env"))
        self.assertIn(MARK, self.read("env"))
        self.stop()

    def test_each_worker_goes_where_the_name_of_its_directory_points(self):
        for release in "one", "two":
            os.makedirs(self.path("rel/" + release))
            self.script("rel/%s/app" % release, "#!/bin/sh\n"
                        "echo it is %s\nexec sleep 1000\n" % release)

        def deploy(release):
            os.symlink(release, self.path("rel/new"))
            os.rename(self.path("rel/new"), self.path("rel/current"))

        def restart():
            os.kill(self.workers()[0][1], signal.SIGKILL)

        deploy("one")
        os.mkdir(self.path("rel/one/sub"))
        self.ok("-p", self.p, "-o", "log", "-r", "-d",
                "rel/../rel/current", "--respawn-delay", "0.1", "./app")
        self.await_log("it is one")
        deploy("two")
        restart()
        self.await_log("it is two")
        os.rename(self.path("rel/two"), self.path("rel/three"))
        restart()
        self.await_log("worker 0 .* exited with status 125; restart 2")
        self.await_log("cannot change directory to .*rel/current: No such "
                       "file or directory")
        deploy("three")
        wait_until(lambda: self.read("log").count("it is two") == 2)
        self.stop()

    def test_the_directory_of_a_log_is_not_guessed(self):
        """x/.. is not nothing where x is a symbolic link."""
        os.makedirs(self.path("a/b"))
        os.symlink("a/b", self.path("x"))
        self.supervise("-r", "-H", "-o", "x/../log")
        os.rename(self.path("a/log"), self.path("a/old"))
        self.ok("-p", self.p, "--signal", "HUP")
        wait_until(lambda: os.path.exists(self.path("a/log")))
        self.stop()
        self.assertFalse(os.path.exists(self.log))

    def test_no_signal_is_ignored_in_a_worker(self):
        """Not SIGPIPE either, as Python has it."""
        self.supervise("-r", "-o", "log", command=(
            "sh", "-c", "grep Sig[BI] /proc/self/status; exec sleep 1000"))
        self.await_log(r"SigBlk:\s0+\nSigIgn:\s0+\n")
        self.stop()

    def test_sockets_and_watchdogs_are_for_the_worker(self):
        self.write("spy.py", SPY)
        process = self.popen(
            ["sh", "-c", "export LISTEN_PID=$$ WATCHDOG_PID=$$; exec \"$@\"",
             "sh", sys.executable, SCRIPT, "-f", "-r", "--", sys.executable,
             *FAST, "spy.py", "report"],
            env=dict(self.env, LISTEN_FDS="1", WATCHDOG_USEC="5"))
        spy = self.report()
        for name in ("LISTEN_PID", "WATCHDOG_PID"):
            self.assertEqual(spy["environ"][name], str(spy["pid"]))
        self.assertEqual(spy["environ"]["LISTEN_FDS"], "1")
        process.terminate()
        self.assertEqual(process.wait(), 0)

    def test_privileges_are_the_workers_to_drop(self):
        if not OTHERS:
            self.skipTest("only root can change users")
        os.chmod(self.dir, 0o777)
        nobody = pwd.getpwnam("nobody")
        supervisor = self.supervise("-r", "-u", "nobody", "-o", "log")
        worker = self.await_run(0, 1)
        self.assertEqual(os.stat("/proc/%d/stat" % supervisor).st_uid, 0)
        self.assertEqual(os.stat("/proc/%d/stat" % worker).st_uid,
                         nobody.pw_uid)
        self.assertEqual(os.stat(self.log).st_uid, 0)
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(os.stat("/proc/%d/stat" % self.await_run(0, 2)
                                 ).st_uid, nobody.pw_uid)
        self.stop()

    def test_idle_it_makes_no_system_call(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        supervisor = self.supervise("-w", "20", "-o", "log", "--log-size",
                                    "1M", "--wait", "0.1", number=20)
        wait_until(lambda: len(self.workers()) == 20)
        self.await_sleep(supervisor)
        strace = self.popen(["strace", "-f", "-o", "calls", "-p",
                             str(supervisor)])
        wait_until(lambda: strace.poll() is not None or self.read("calls"))
        if strace.poll() is not None:
            self.skipTest("strace may not look: " + strace.stderr.read())
        self.call(["sleep", "1"])
        strace.terminate()
        strace.wait()
        self.assertRegex(self.read("calls"), r"\A\d+ +(restart_syscall|"
                         r"p?poll(_time64)?)\([^\n]*<detached \.\.\.>\n\Z")
        self.stop()

    def test_nothing_is_imported_from_where_the_user_stands(self):
        for name in ("os", "sys", "marshal", "getopt", "json", "pwd", "time",
                     "socket", "_signal", "select", "struct", "stat"):
            self.write(name + ".py", "open('evil', 'w')\n")
        self.env["PYTHONPATH"] = ""
        for safe in ("", "1"):
            status, out, err = self.cli("-f", "-r", "--", "echo", "ran",
                                        env=dict(self.env,
                                                 PYTHONSAFEPATH=safe))
            self.assertEqual((status, out), (0, "ran\n"), err)
            self.assertFalse(os.path.exists(self.path("evil")))

    def test_its_name_is_there_for_ps(self):
        pid = self.supervise("-r")
        self.assertIn(b"daemonize.py", self.command_of(pid))
        self.stop()

    def test_a_second_start_refuses(self):
        supervisor = self.supervise("-r")
        self.fails(1, "already running: .* held by pid %d" % supervisor,
                   "-p", self.p, "-r", "--", "sleep", "1")
        self.ok("-p", self.p, "--restart", "-r", "--", "sh", "-c", self.STAY)
        self.await_run(0, 2)
        self.assertNotEqual(self.pid(), supervisor)
        self.stop()

    def test_wrong_options(self):
        self.all_fail(2, [(message + " .*" * ("bad" in message),
                           [*options.split(), "true"])
                          for message, options in (
            ("bad --workers: 0", "-w 0"), ("bad --workers: x", "-w x"),
            ("bad --workers: 1_0", "-w 1_0"),
            ("bad --respawn-max: -1", "-r --respawn-max -1"),
            ("bad --respawn-delay: x", "-r --respawn-delay x"),
            ("bad --respawn-period: -1", "-r --respawn-period -1"),
            ("bad --log-size: 0", "-o log --log-size 0"),
            ("bad --log-size: 5X", "-o log --log-size 5X"),
            ("bad --log-size: K", "-o log --log-size K"),
            ("bad --log-keep: -2", "-o log --log-size 1 --log-keep -2"),
            ("--respawn-max goes with --respawn or --respawn-always or "
             "--workers", "--respawn-max 2"),
            ("--log-size goes with --stdout or --stderr", "--log-size 1"),
            ("--log-reopen goes with --stdout or --stderr", "-H"),
            ("--log-keep goes with --log-size", "-o log --log-keep 1"),
            ("--syslog-tag goes with --syslog", "-T tag"),
            ("--syslog has nothing to take: both streams are named",
             "-S -o log -e err"))])
        self.assertEqual(os.listdir(self.dir), ["program.py"])


class SupervisorSignalsTest(SupervisedTestCase):

    def test_signals_go_on_to_the_workers(self):
        supervisor = self.supervise("-r", command=self.recorder())
        wait_until(lambda: self.got() == ["up"])
        for name in ("HUP", "USR1", "USR2", "WINCH", "QUIT"):
            self.ok("-p", self.p, "-s", name)
            wait_until(lambda: self.got()[-1] == "SIG" + name)
        self.assertTrue(is_alive(supervisor))
        self.assertEqual(len(self.got()), 6)

    def test_a_burst_of_signals(self):
        supervisor = self.supervise("-r", command=self.recorder())
        wait_until(lambda: self.got() == ["up"])
        for number in range(1000):
            os.kill(supervisor, (signal.SIGUSR1, signal.SIGUSR2,
                                 signal.SIGWINCH)[number % 3])
        os.kill(supervisor, signal.SIGHUP)
        wait_until(lambda: {"SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"} <=
                   set(self.got()))
        self.assertEqual(self.got().count("up"), 1)
        self.ok("-p", self.p, "--stop", "--retry", "KILL/10")
        self.assert_nothing_left()

    def test_stopping_is_gentle_and_then_it_is_not(self):
        """TERM to the worker alone; KILL to its group as well."""
        self.write("record.py", IDLE + self.RECORD)
        self.supervise("-r", "-o", "log", "--retry", "INT/0.1/TERM/0.2",
                       command=("sh", "-c", "trap '' INT TERM; echo >up; "
                                "%s -S -E record.py; :" % sys.executable))
        wait_until(lambda: self.got() == ["up"])
        self.stop()
        self.assertEqual(self.got(), ["up"])    # the group got only KILL
        self.await_log(r"\(pid \d+\) killed by SIGKILL\n\Z")

    def test_with_one_schedule_for_both_the_supervisor_is_first(self):
        self.supervise("-w", "4", "-o", "log", "--retry", "TERM/0.1/KILL/30",
                       command=("sh", "-c", "trap '' TERM; echo $$ >>w."
                                "$DAEMONIZE_WORKER; while :; do sleep 0.1; "
                                "done"))
        for number in range(4):
            self.await_run(number, 1)
        self.assertEqual(self.call(self.driven(     # in slow motion
            "@instead_of(time, 'monotonic')\n"
            "def monotonic(plain): return plain() / 50\n",
            "-p", self.p, "--stop", "--retry", "TERM/0.1/KILL/30")),
            (0, "", ""))
        self.assertEqual(self.read("log").count("killed by SIGKILL"), 4)
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_second_more_for_a_supervisor_of_any_kind(self):
        """As it may have the same schedule."""
        self.start(sys.executable, *FAST, "-c", (
            "import os, signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "worker = os.fork()\n"
            "if worker: os.setpgid(worker, worker)\n"
            "open('up', 'a').close()\n"
            "time.sleep(1000)\n"))
        self.await_log("", "up")
        began = time.monotonic()
        self.ok("-p", self.p, "--stop", "--retry", "TERM/0.1/KILL/30")
        self.assertGreater(time.monotonic() - began, 1.1)

    def test_a_start_that_fails_does_not_wait_for_its_other_workers(self):
        self.assertEqual(self.cli(
            "-w", "2", "-q", "--retry", "TERM/99", "--wait", "30", "sh", "-c",
            "[ $DAEMONIZE_WORKER = 1 ] && exit 4; trap '' TERM; while :; do "
            "sleep 0.1; done", timeout=50)[0], 125)
        self.assert_nothing_left()

    def test_a_worker_may_end_its_children_itself(self):
        self.supervise("-r", command=(*self.recorder(), "ends"))
        wait_until(lambda: self.got() == ["up"])
        process = self.popen([*self.CLI, "-p", self.p,
                              "--stop"])
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.got(), ["up", "SIGTERM"])
        self.assert_nothing_left()

    def test_a_supervisor_killed_on_trial_fails_the_start_and_ends_all(self):
        for options in ([], ["-p", self.p]):
            starter = self.popen([
                *self.CLI, *options, "-w", "2", "--wait", "60",
                "--", "sh", "-c", self.STAY])
            parents = set()
            for number in range(2):
                with open("/proc/%d/stat" % self.await_run(number, 1)) as f:
                    parents.add(int(f.read().split()[3]))
            os.kill(parents.pop(), signal.SIGKILL)
            self.assertEqual(starter.wait(), 125)
            self.assertRegex(starter.stderr.read(), r"\Adaemonize: the "
                             r"supervisor killed by SIGKILL after ")
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.p))
            for number in range(2):
                os.remove(self.path("w.%d" % number))

    def test_a_death_that_is_known_already_is_no_success(self):
        """To a supervisor that gets no processor until --wait is over."""
        self.fails(125, "sh exited with status 3 after .*", "-p", self.p, "-r",
                   "sh", "-c", "kill -STOP $PPID; "
                   "(sleep 0.5; kill -CONT $PPID) & exit 3")
        self.assert_nothing_left()

    # The supervisor goes on when the worker that it has forked is dead
    LATE = (
        "import os, sys\n"
        "plain = os.setpgid\n"
        "def late(pid, group):\n"
        "    try:\n"
        "        plain(pid, group)\n"
        "    finally:\n"
        "        while pid and ') Z' not in open(\n"
        "                '/proc/%d/stat' % pid).read():\n"
        "            pass\n"
        "os.setpgid = late\n"
        "import daemonize\n"
        "sys.exit(daemonize.main(sys.argv[1:]))\n")

    @unittest.skipUnless(LINUX, "needs /proc, to see a zombie")
    def test_a_crash_loop_without_a_pause_holds_no_start_up(self):
        """Though at each moment there is a death not yet heeded."""
        self.assertEqual(self.python(
            self.LATE,
            "-p", self.p, "-w", "2", "--wait", "0", "--respawn-delay", "0",
            "--", "sh", "-c", "exit 1"), (0, "", ""))
        self.stop()

    @unittest.skipUnless(LINUX, "needs /proc, to see a zombie")
    def test_wait_0_and_a_death_before_all_else(self):
        """Of a supervisor that gets no processor until then."""
        self.write("late.py", self.LATE)
        self.script("broken", "#!/no/such/interpreter\n")
        for option in "-H", "-r", "-w2":
            late = self.driven(
                "@instead_of_poll\n"
                "def poll(plain, timeout):\n"
                "    for pid in children if generation == 2 else ():\n"
                "        while state(pid) not in 'ZX': pass\n"
                "    return plain(timeout)\n",
                "-p", self.p, "-o", "log", "--wait", "0", option, "--")
            self.assertEqual(self.call(
                [*late, "sh", "-c", "echo $$ >>w.0; exit $0",
                 "3" if option == "-H" else "0"]), (0, "", ""), option)
            self.await_run(0, 1)
            wait_until(lambda: not os.path.exists(self.p))
            os.remove(self.path("w.0"))
            self.assertEqual(self.call([*late, "./broken"])[0], 127, option)

    def test_a_stopped_worker_is_ended(self):
        self.supervise("-r", "--retry", "TERM/60")
        pid = self.await_run(0, 1)
        os.kill(pid, signal.SIGSTOP)
        self.stop("TERM/50")

    def test_asked_to_stop_in_the_foreground_is_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.popen([*self.CLI, "-f", "-r", "--",
                                  "sh", "-c", self.STAY])
            self.await_run(0, 1 + (number == signal.SIGINT))
            process.send_signal(number)
            self.assertEqual(process.wait(), 0)

    def test_a_stop_in_a_back_off(self):
        """Of which the shorter ones are over at once."""
        self.assertEqual(self.call(self.driven(
            "skipped = [0]\n"
            "@instead_of(time, 'monotonic')\n"
            "def monotonic(plain): return plain() + skipped[0]\n"
            "@instead_of_poll\n"
            "def poll(plain, timeout):\n"
            "    if generation != 2 or not 0 < (timeout or 0) < 1e5:\n"
            "        return plain(timeout)\n"
            "    skipped[0] += timeout / 1000\n"
            "    return plain(0)\n",
            "-p", self.p, "-r", "--respawn-delay", "1000", "--wait", "0",
            "-o", "log", "--", "sh", "-c", "exit 1")), (0, "", ""))
        self.await_log(r"restart 12 in 102.4 s\n\Z")
        self.stop()
        self.assertRegex(self.read("log"), r"restart 12 in 102.4 s\n\Z")

    @unittest.skipUnless(LINUX, "answers as Linux's F_GETLK")
    def test_a_start_between_two_questions_of_a_stop(self):
        """Workers that were not there before are not those of the dead."""
        def late(*args):        # its first look was before
            return self.call(self.driven(
                "asked = []\n"
                "@instead_of(os, 'pread')\n"
                "def pread(plain, *args):\n"
                "    if 'content' in asked: return plain(*args)\n"
                "    asked.append('content')\n"
                "    return b'999999999\\n'\n"
                "@instead_of(fcntl, 'fcntl')\n"
                "def ask(plain, fd, command, *args):\n"
                "    if command != fcntl.F_GETLK or 'lock' in asked:\n"
                "        return plain(fd, command, *args)\n"
                "    asked.append('lock')\n"
                "    return struct.pack('h', fcntl.F_UNLCK) + args[0][2:]\n",
                *args))
        supervisor = self.supervise("-r")
        status, out, err = late("-p", self.p, "--status")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("running, pid %d\nworker 0" % supervisor, out)
        self.assertEqual(late("-vp", self.p, "--stop"), (
            0, "daemonize: stopped pid %d\n" % supervisor, ""))
        self.assert_nothing_left()

    def test_stops_at_any_moment_of_a_start_or_a_death(self):
        """Nothing is left, whatever is cut short."""
        for turn in range(6):
            self.ok("-p", self.p, "-w", "4", "--wait", "0", "-o", "log",
                    "--respawn-delay", "0", "--", "sh", "-c",
                    "[ $DAEMONIZE_WORKER = 3 ] && exec sleep 0.0%d; "
                    "exec sleep 1000" % turn if turn % 2 else "exit 1")
            self.stop()
        starter = None
        for turn in range(4):
            starter = self.popen([
                sys.executable, "-S", SCRIPT, "-p", self.p, "-w", "4",
                "--wait", "30", "--", "sh", "-c", self.STAY])
            if turn % 2:
                wait_until(lambda: self.pids_of(0))
            wait_until(lambda: self.cli(
                "-qp", self.p, "--stop", "--oknodo")[0] == 0
                and starter.poll() is not None)
            self.assertEqual(starter.wait(), 125)
            self.assertEqual(starter.stderr.read(), "daemonize: the start "
                             "of sh was broken off by a signal\n")
            self.assert_nothing_left()

    def test_fifty_deaths_in_one_instant(self):
        supervisor = self.supervise("-w", "50", "-o", "log", number=50)
        for turn in (1, 2):
            pids = [self.await_run(i, turn) for i in range(50)]
            os.kill(supervisor, signal.SIGSTOP)     # so SIGCHLD is one
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            os.kill(supervisor, signal.SIGCONT)
        for number in range(50):
            self.await_run(number, 3)
        self.assertEqual(self.read("log").count("killed by SIGKILL"), 100)
        wait_until(lambda: len(self.workers()) == 50)
        wait_until(lambda: len(marked(self.dir)) == 51)     # after exec
        self.stop()

    def test_a_term_between_fork_and_exec_ends_the_worker(self):
        """Not the supervisor, whose handlers and wake-up pipe it is not to
        use: the window is widened.
        """
        process = self.popen([sys.executable, "-c", IDLE + (
            "import daemonize, os, signal, time\n"
            "plain = os.setpgid\n"
            "def slow(pid, group):\n"
            "    plain(pid, group)\n"
            "    if pid == 0 and not os.path.exists('w.0'):\n"
            "        with open('w.0', 'w') as file:\n"
            "            file.write('%%d\\n' %% os.getpid())\n"
            "        signal.sigwait([signal.SIGUSR1])\n"
            "os.setpgid = slow\n"
            "daemonize.main(['-f', '-r', '-e', 'log', '--', 'sh', '-c', %r])"
            % self.STAY)])
        first = self.await_run(0, 1)
        os.kill(first, signal.SIGTERM)
        os.kill(first, signal.SIGUSR1)
        self.await_run(0, 2)
        self.await_log(r"pid %d\) killed by SIGTERM; restart 1" % first)
        process.terminate()
        self.assertEqual(process.wait(), 0)

    def test_a_full_pipe_holds_nothing_up(self):
        """Its stderr is read by nobody; a stopped terminal is the same."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        process = self.popen([
            *self.CLI, "-f", "-r", "-o", os.devnull,
            "--respawn-delay", "0", "--", "sh", "-c",
            "echo $$ >>w.0; [ $(wc -l <w.0) -lt 5 ] && exit 1; "
            "exec sleep 1000"], stderr=writer)
        os.close(writer)
        self.await_run(0, 5)
        process.terminate()
        self.assertEqual(process.wait(), 0)


class KilledSupervisorTest(SupervisedTestCase):

    def killed(self, *options, number=2):
        """The supervisor is; the workers' pids."""
        supervisor = self.supervise("-w", str(number), *options,
                                    number=number)
        wait_until(lambda: len(self.workers()) == number)
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not is_alive(supervisor))
        return [pid for _, pid in self.workers()]

    def test_status_names_its_workers(self):
        pids = self.killed()
        status, out, err = self.cli("-p", self.p, "--status")
        self.assertEqual(status, 1)
        self.assertRegex(out, r"\Aworker 0, pid %d, up [\d.]+ s\nworker 1, "
                         r"pid %d, up [\d.]+ s\n\Z" % tuple(pids))
        self.assertRegex(err, r"\Adaemonize: not running: .*/p is stale; the "
                         r"workers of a killed supervisor run \(--stop ends "
                         r"them\)\n\Z")
        status, out, err = self.cli("-p", self.p, "--status", "--json")
        self.assertEqual((status, err), (1, ""))
        found = json.loads(out)
        self.assertEqual((found["running"], found["pid"]), (False, None))
        self.assertEqual([worker["pid"] for worker in found["workers"]],
                         pids)

    def test_its_workers_keep_the_pidfile(self):
        """Those of one that was killed when a stop had found nobody."""
        self.write("p", "999999999\n")
        self.assertEqual(self.call(self.driven(
            "import subprocess\n"
            "@instead_of(fcntl, 'lockf')\n"
            "def lockf(plain, fd, how, *args):\n"
            "    if locks(how, 1 << 30, args) and not os.path.exists('w'):\n"
            "        open('w', 'w').close()\n"
            "        subprocess.call([sys.executable, daemonize.__file__,\n"
            "            '-p', 'p', '-r', 'sh', '-c',\n"
            "            'echo >up; exec sleep 1000'])\n"
            "        while not os.path.exists('up'): time.sleep(0.01)\n"
            "        pid = daemonize.status('p')\n"
            "        os.kill(pid, signal.SIGKILL)\n"
            "        while state(pid) not in 'ZX': time.sleep(0.01)\n"
            "    plain(fd, how, *args)\n", "-p", self.p, "--stop"))[0], 1)
        self.assertTrue(os.path.exists(self.p))
        self.assertEqual(len(self.workers()), 1)

    def test_stop_ends_its_workers(self):
        pids = self.killed()
        self.assertEqual(
            self.ok("-vp", self.p, "--stop"), "daemonize: stopped the "
            "workers that were left: pid %d, %d\n" % tuple(pids))
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.p))

    def test_the_next_start_ends_them_first(self):
        pids = self.killed()
        stay = ("for pid in %d %d; do grep -q sleep /proc/$pid/cmdline "
                "2>/dev/null && echo alive >>both; done; " +
                self.STAY.replace("w.", "v."))
        for options in (["-w", "2"], ["-r", "-f"], []):
            process = self.popen([
                *self.CLI, "-p", self.p, *options, "--", "sh",
                "-c", stay % tuple(pids)])
            wait_until(lambda: os.path.exists(self.path("v.0")) or
                       os.path.exists(self.path("v.")))
            if "-f" in options:
                process.terminate()
                self.assertEqual(process.wait(), 0)
            else:
                self.assertEqual(process.wait(), 0, process.stderr.read())
            self.assertFalse(set(pids) & set(marked(self.dir)))
            self.assertFalse(os.path.exists(self.path("both")))
            if options:
                self.cli("-qp", self.p, "--stop")
                for name in ("v.0", "v.1"):
                    if os.path.exists(self.path(name)):
                        os.remove(self.path(name))
                for name in ("w.0", "w.1"):
                    os.remove(self.path(name))
                pids = self.killed()

    def test_one_that_ignores_term_is_killed_with_its_group(self):
        self.supervise("-r", command=(
            "sh", "-c", "trap '' TERM; sleep 1000 & echo $$ >>w.0; wait; :"))
        self.await_run(0, 1)
        supervisor = self.pid()
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not is_alive(supervisor))
        self.ok("-p", self.p, "--stop", "--retry", "TERM/0.1/KILL/30")
        self.assert_nothing_left()

    def test_stop_that_has_to_kill_the_supervisor_ends_its_workers(self):
        supervisor = self.supervise("-w", "2", number=2)
        wait_until(lambda: len(self.workers()) == 2)
        os.kill(supervisor, signal.SIGSTOP)
        self.ok("-p", self.p, "--stop", "--signal", "URG", "--retry",
                "TERM/0.1/KILL/30")
        self.assert_nothing_left()

    def test_killed_at_any_moment_it_leaves_nobody_unknown(self):
        for turn in range(10):
            supervisor = self.supervise(
                "-w", "3", "--respawn-delay", "0", command=(
                    "sh", "-c", "[ $DAEMONIZE_WORKER = 0 ] && exit 1; "
                    "exec sleep 1000"))
            if turn % 3:
                wait_until(lambda: len(self.workers()) >= turn % 3)
            os.kill(supervisor, signal.SIGKILL)
            wait_until(lambda: not is_alive(supervisor))
            if turn % 2:
                self.cli("-qp", self.p, "--stop")
            else:
                self.ok("-p", self.p, "--wait", "0", "--", "sleep", "1000")
                wait_until(lambda: marked(self.dir) == [self.pid()])
                self.stop()
            self.assert_nothing_left()

    def test_killed_between_a_fork_and_its_workers_lock(self):
        """Before the lock nobody could find the worker: it must not run."""
        for lock_first in (False, True):
            process = self.popen(self.driven(
                "@instead_of(fcntl, 'lockf')\n"
                "def slow(plain, fd, how, *args):\n"
                "    if locks(how, 1, args):\n"
                "        if %r: plain(fd, how, *args)\n"
                "        with open('w.0', 'w') as file:\n"
                "            file.write('%%d\\n' %% os.getpid())\n"
                "        signal.sigwait([signal.SIGUSR1])\n"
                "    plain(fd, how, *args)\n" % lock_first,
                "-f", "-r", "-p", "p", "--", "touch", "ran"))
            worker = self.await_run(0, 1)
            process.kill()
            process.wait()
            self.assertEqual(self.workers(), [(0, worker)] * lock_first)
            os.kill(worker, signal.SIGUSR1)
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.path("ran")))
            os.remove(self.path("w.0"))

    def test_a_strangers_lock_makes_no_worker(self):
        self.write("p", "999999999\n")
        for byte, length in ((1, 1), (3, 5), (1, 100)):
            stranger = self.hold_lock(self.p, byte=byte, length=length,
                                      start_new_session=length > 1)
            self.assertEqual(self.workers(), [])
            self.fails(1, "not running: .* is locked by pid %d.*, which is "
                       "not its daemon" % stranger, "-p", self.p, "--status")
            self.supervise("-r")
            self.ok("-p", self.p, "--stop")
            self.assert_alone(stranger)
            os.kill(stranger, signal.SIGKILL)
            wait_until(lambda: not is_alive(stranger))
            self.write("p", "999999999\n")
            os.remove(self.path("w.0"))

    def test_without_proc_and_pidfd(self):
        pids = self.killed()
        status, out, _ = PortableTest.without(self, "-p", self.p, "--status")
        self.assertEqual((status, out), (1, "worker 0, pid %d\nworker 1, pid "
                                         "%d\n" % tuple(pids)))
        self.assertEqual(PortableTest.without(self, "-p", self.p, "--stop")[
            :2], (0, ""))
        self.assert_nothing_left()

    def test_no_permission(self):
        if not OTHERS:
            self.skipTest("needs two users")
        self.killed()
        status, _, err = ControlTest.as_nobody(self, "-p", self.p, "--stop")
        self.assertEqual(status, 125)
        self.assertRegex(err, r"\Adaemonize: cannot signal pid \d+ of user ")
        self.ok("-p", self.p, "--stop")


# ---- A gentle end --------------------------------------------------------

class GentleTest(SupervisedTestCase):
    """A stop is for the whole group: who serves behind a start script that
    does not exec saves his data, too.
    """

    SERVER = ("#!/bin/sh\n"
              "ends=\n"     # his own: another worker's TERM is in the file
              "trap 'echo TERM >>got; ends=1' TERM\n"
              "echo up >>got\n"
              "until [ $ends ]; do sleep 0.02; done\n"
              "sleep 0.1\n"
              "echo saved >>saved\n")
    DEAF = "#!/bin/sh\ntrap 'echo TERM >>got' TERM\necho up >>got\n" + (
        "while :; do sleep 0.02; done\n")
    SCRIPTS = {"plain": "./server\n:\n", "background": "./server & wait\n",
               "pipe": "./server | cat\n:\n"}

    def script_for(self, how="plain", server=SERVER):
        for name in "got", "saved":
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        self.script("server", server)
        return self.script("start.sh", "#!/bin/sh\n" + self.SCRIPTS[how])

    def await_up(self, count=1):
        wait_until(lambda: os.path.exists(self.path("got"))
                   and self.read("got") == "up\n" * count)

    def assert_saved(self, count=1):
        """By each, who got his signal once."""
        self.assertEqual(self.read("saved"), "saved\n" * count)
        self.assertEqual(sorted(self.read("got").split()),
                         ["TERM"] * count + ["up"] * count)
        self.assert_nothing_left()

    def test_what_is_behind_a_start_script_saves_its_data(self):
        for how in self.SCRIPTS:
            for options in ([], ["-r"], ["-w", "2"], ["--log-size", "1M"],
                            ["-r", "-H"]):
                with self.subTest(how=how, options=options):
                    script = self.script_for(how)
                    count = 2 if "-w" in options else 1
                    self.ok("-p", self.p, "-o", "log", "--wait", "0",
                            *options, "--", script)
                    self.await_up(count)
                    self.ok("-p", self.p, "--stop")
                    self.assert_saved(count)
                    self.assertFalse(os.path.exists(self.p))

    def test_in_the_foreground(self):
        for options in [], ["-r"]:
            for number in [signal.SIGTERM, signal.SIGINT][:1 + len(options)]:
                process = self.popen([*self.CLI, "-f", "-p", self.p, *options,
                                      "--", self.script_for()],
                                     start_new_session=True)
                self.await_up()
                if options:
                    process.send_signal(number)
                else:
                    self.ok("-p", self.p, "--stop")
                process.communicate(timeout=60)
                self.assert_saved()

    def test_as_pid_1(self):
        for options in [], ["-r"]:
            process = self.popen(ProxyTest.as_init(
                self, *options, "--", self.script_for()))
            self.await_up()
            os.kill(ProxyTest.inner(self), signal.SIGTERM)
            self.assertEqual(process.wait(), 0 if options else 143)
            self.assert_saved()

    def test_from_python(self):
        script = self.script_for()
        self.assertEqual(self.python(
            "import daemonize, os, subprocess\n"
            "daemonize.daemonize('p', chdir=None)\n"
            "daemonize.supervise(lambda: os.execv(%r, [%r]), workers=2)\n"
            % (script, script)), (0, "", ""))
        self.await_up(2)
        self.stop()
        self.assert_saved(2)

    def test_the_workers_of_a_killed_supervisor(self):
        self.supervise("-w", "2", command=[self.script_for()])
        self.await_up(2)
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.ok("-p", self.p, "--stop")
        self.assert_saved(2)

    def test_who_is_deaf_is_killed_when_his_time_is_over(self):
        for options in [], ["-r", "-R", "TERM/0.2"]:
            self.ok("-p", self.p, "--wait", "0", *options, "--",
                    self.script_for("background", self.DEAF))
            self.await_up()
            self.ok("-p", self.p, "--stop", "--retry", "TERM/0.2/KILL/20")
            self.assertEqual(self.read("got"), "up\nTERM\n")
            self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_without_a_kill_he_is_named(self):
        self.ok("-p", self.p, "--wait", "0", "--",
                self.script_for("background", self.DEAF))
        self.await_up()
        pid = self.pid()
        self.fails(124, r"what is left of the process group of pid %d \(pid "
                   r"\d+(, \d+)*\) did not end in 0.3 s" % pid, "-p", self.p,
                   "--stop", "--retry", "TERM/0.3")
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.read("got"), "up\nTERM\n")

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_program_that_stops_others_keeps_nothing_open(self):
        self.supervise("-w", "3", number=3)
        supervisor = self.pid()
        self.assertEqual(self.python(
            "import daemonize, os\n"
            "def opened(): return len(os.listdir('/proc/self/fd'))\n"
            "before = opened()\n"
            "for retry in 'CONT/0.1', 'TERM/60/KILL/5':\n"
            "    try: daemonize.stop('p', retry)\n"
            "    except daemonize.DaemonizeError as e: print(e.exit_status)\n"
            "    assert opened() == before\n"), (0, "124\n", ""))
        self.assertFalse(is_alive(supervisor))
        self.assert_nothing_left()

    def test_two_who_end_at_different_times(self):
        """The group of the first does not wait for the second's leader."""
        self.script_for()
        self.script("start.sh", (
            "#!/bin/sh\n[ $DAEMONIZE_WORKER = 1 ] && trap '' TERM && "
            "echo up >>got && while :; do sleep 0.02; done\n./server & "
            "wait\n"))
        self.supervise("-w", "2", command=["./start.sh"])
        self.await_up(2)
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.ok("-p", self.p, "--stop", "--retry", "TERM/2/KILL/20")
        self.assertEqual(self.read("saved"), "saved\n")
        self.assert_nothing_left()

    def test_one_that_dies_by_itself_leaves_nobody_to_be_asked(self):
        self.script_for(server=self.DEAF)
        self.script("start.sh", "#!/bin/sh\necho run >>runs\n"
                    "[ $(wc -l <runs) = 2 ] && exec sleep 1000\n"
                    "./server & until [ -s got ]; do sleep 0.02; done; "
                    "exit 1\n")
        self.ok("-p", self.p, "-r", "--wait", "0", "--", "./start.sh")
        wait_until(lambda: self.read("runs") == "run\n" * 2)
        self.assertEqual(self.read("got"), "up\n")
        self.stop()

    def test_what_a_killed_supervisor_was_waiting_for(self):
        """Its worker is dead: no lock tells of the group any more."""
        for options in ["-r"], ["-H", "-o", "log"]:
            for schedule in "0", "TERM/0.2/KILL/20":
                self.ok("-p", self.p, "--wait", "0", *options, "--",
                        self.script_for("background", self.DEAF))
                self.await_up()
                self.ok("-p", self.p, "--stop", "--retry", schedule)
                self.assert_nothing_left()

    def test_a_deaf_worker_that_has_closed_its_descriptors(self):
        """No lock tells of it, so its supervisor has to end it."""
        self.ok("-p", self.p, "-r", "-R", "TERM/0.3", "--wait", "0", "--",
                sys.executable, *FAST, "-c", IDLE + (
                    "import os, signal\n"
                    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "os.closerange(3, 1024)\n"
                    "open('up', 'w').close()\n"
                    "idle()\n"))
        wait_until(lambda: os.path.exists(self.path("up")))
        self.ok("-p", self.p, "--stop", "--retry", "TERM/0.3/KILL/20")
        self.assert_nothing_left()

    def test_other_signals_are_not_for_what_is_left(self):
        self.script_for()
        self.script("server", self.SERVER.replace(
            "sleep 0.1", "until [ -e go ]; do sleep 0.02; done"))
        self.ok("-p", self.p, "-r", "--wait", "0", "--", "./start.sh")
        self.await_up()
        supervisor = self.pid()
        stop = self.popen([*self.CLI, "-p", self.p, "--stop"])
        wait_until(lambda: "TERM" in self.read("got"))
        for number in signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM:
            os.kill(supervisor, number)
        self.await_sleep()
        self.write("go", "")
        self.assertEqual(stop.wait(), 0)
        self.assert_saved()

    def test_a_command_that_takes_its_time_before_it_ends(self):
        """Twenty seconds, by the clock of its supervisor."""
        self.script_for()
        self.script("start.sh", "#!/bin/sh\ntrap 'sleep 1; exit' TERM\n"
                    "./server & wait\n")
        self.assertEqual(self.python(
            "import time\n"
            "plain = time.monotonic\n"
            "time.monotonic = lambda: plain() * 20\n"
            "import daemonize, sys\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p, "-H",
            "-o", "log", "--retry", "TERM/1000", "--wait", "0", "--",
            "./start.sh"), (0, "", ""))
        self.await_up()
        self.ok("-p", self.p, "--stop", "--retry", "60")
        self.assert_saved()

    def test_a_signal_that_was_passed_on_ends_nothing(self):
        """Of a supervisor: workers may die of it, and come back."""
        self.supervise("-r", "-o", "log")
        for count in 1, 2:
            first = self.await_run(0, count)
            self.ok("-p", self.p, "-s", "QUIT")
            wait_until(lambda: not is_alive(first))
            self.await_run(0, count + 1)
        self.stop()

    @unittest.skipUnless(LOOKS, "needs root with CAP_SYS_PTRACE")
    def test_where_processes_are_hidden(self):
        """Nobody's, from an ordinary user, and what is not dumpable; also
        where PID 1 itself can see no more, so that we see PID 1.
        """
        unshare = ["unshare", "-mpf", "--kill-child", "--mount-proc"]
        for inner in unshare, [*unshare, *self.giving_up("sys_ptrace")]:
            with self.subTest(inner):
                self.hidden(inner)

    def hidden(self, inner):
        hide = "mount -o remount,hidepid=4 /proc"
        if subprocess.call([*inner, "sh", "-c", hide],
                           stderr=subprocess.DEVNULL):
            self.skipTest("no hidepid=4 here")
        os.chmod(self.dir, 0o777)
        script = self.script_for()
        status, _, err = self.call([
            *inner, "sh", "-c", hide + "\n\"$@\" -p p --wait 0 -u nobody -- "
            "%s || exit 1\nuntil [ -s got ]; do sleep 0.02; done\n"
            "%s \"$@\" -p p --stop; exit $?" % (
                script, " ".join(self.giving_up("sys_ptrace"))),
            "sh", *self.CLI])
        self.assertEqual((status, err), (0, ""))
        self.assert_saved()
        for name in os.listdir(self.dir):
            os.remove(self.path(name))

    def test_retry_0_is_term_and_kill_at_once(self):
        for options in [], ["-r"]:
            self.ok("-p", self.p, "--wait", "0", *options, "--", "sh", "-c",
                    "trap '' TERM; echo >up; while :; do sleep 0.1; done")
            wait_until(lambda: os.path.exists(self.path("up")))
            self.ok("-p", self.p, "--stop", "--retry", "0")
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.p))
            os.remove(self.path("up"))

    def test_who_is_not_ready_in_time(self):
        status, _, err = self.cli("-p", self.p, "--notify-await",
                                  "--notify-timeout", "1", "--",
                                  self.script_for())
        self.assertEqual(status, 124, err)
        self.assert_saved()

    def test_a_failed_start_ends_its_whole_session(self):
        if not LINUX or not shutil.which("bash"):
            self.skipTest("needs /proc, and bash for a group of its own")
        for options in [], ["-r"], ["-p", self.p], ["-p", self.p, "-r"]:
            self.assertEqual(self.cli(
                "-q", "--wait", "60", *options, "--", "bash", "-c",
                "set -m; sleep 1000 & exit 3")[0], 125)
            self.assert_nothing_left()

    # Whose group is it?

    RECORDING = (
        "import os, sys\n"
        "plain = os.kill\n"
        "def kill(pid, number):\n"
        "    if pid < 0 and number:\n"
        "        try:\n"
        "            stat = open('/proc/%d/stat' % -pid).read()\n"
        "            state = stat.rpartition(') ')[2][:1]\n"
        "        except OSError:\n"
        "            state = 'gone'\n"
        "        with open('kills', 'a') as file:\n"
        "            file.write('%d %s\\n' % (number, state))\n"
        "    plain(pid, number)\n"
        "os.kill = kill\n"
        "import daemonize\n"
        "sys.exit(daemonize.main(sys.argv[1:]))\n")

    @unittest.skipUnless(hasattr(os, "waitid"), "as it is without waitid(2)")
    def test_a_worker_is_not_reaped_before_its_group_has_ended(self):
        """Until then the number can be nobody else's."""
        self.assertEqual(self.python(
            self.RECORDING, "-p", self.p, "-r", "--wait", "0", "--", "sh",
            "-c", "sleep 1000 & " + self.STAY), (0, "", ""))
        os.kill(self.await_run(0, 1), signal.SIGKILL)
        self.await_run(0, 2)
        self.stop()
        kills = self.read("kills").splitlines()
        self.assertEqual(kills[0], "9 Z")
        self.assertIn("15 Z", kills)
        self.assertEqual({line.split()[1] for line in kills}, {"Z"})

    @unittest.skipUnless(hasattr(os, "waitid"), "as it is without waitid(2)")
    def test_a_failed_start_reaps_last(self):
        self.assertEqual(self.python(
            self.RECORDING, "-q", "--wait", "60", "sh", "-c",
            "sleep 1000 & exit 3")[0], 125)
        self.assertEqual(self.read("kills"), "9 Z\n")
        self.assert_nothing_left()

    def test_a_stop_reaches_the_group_by_the_pidfd(self):
        if not hasattr(signal, "pidfd_send_signal"):
            self.skipTest("no pidfds here")
        group = self.popen(["sleep", "1000"], start_new_session=True)
        try:
            signal.pidfd_send_signal(os.pidfd_open(group.pid), 0, None, 4)
        except OSError:
            self.skipTest("this kernel knows no PIDFD_SIGNAL_PROCESS_GROUP")
        self.start("sh", "-c", "sleep 1000 & echo >up; wait")
        wait_until(lambda: os.path.exists(self.path("up")))
        self.assertEqual(self.python(self.RECORDING, "-p", self.p, "--stop"),
                         (0, "", ""))
        self.assert_alone(group.pid)
        self.assertFalse(os.path.exists(self.path("kills")))

    def test_a_kernel_that_signals_no_groups_by_pidfd(self):
        """Before Linux 6.9."""
        if not hasattr(signal, "pidfd_send_signal"):
            self.skipTest("no pidfds here")
        self.ok("-p", self.p, "--wait", "0", "--", self.script_for())
        self.await_up()
        self.assertEqual(self.python(
            "import _signal\n"
            "to_one = _signal.pidfd_send_signal\n"
            "def send(pidfd, number, info=None, flags=0):\n"
            "    if flags: raise OSError(22, 'Invalid argument')\n"
            "    to_one(pidfd, number)\n"
            "_signal.pidfd_send_signal = send\n" + self.RECORDING, "-p",
            self.p, "--stop"), (0, "", ""))
        self.assert_saved()
        self.assertIn("15 ", self.read("kills"))

    def test_a_worker_that_a_thread_of_the_program_has_reaped(self):
        """Between a look at it and its signal."""
        self.assertEqual(self.python(
            "import daemonize, os, signal, time\n"
            "plain = os.kill\n"
            "def late(pid, number):\n"
            "    if number == signal.SIGTERM and os.getpid() == me:\n"
            "        plain(pid, signal.SIGKILL)\n"
            "        os.waitpid(pid, 0)\n"
            "    plain(pid, number)\n"
            "me = os.getpid()\n"
            "os.kill = late\n"
            "def work():\n"
            "    plain(me, signal.SIGTERM)\n"
            "    idle()\n"
            "daemonize.supervise(work)\n"
            "print('returned', flush=True)\n")[:2], (0, "returned\n"))


# ---- Who is it? ----------------------------------------------------------

class IdentityTest(SupervisedTestCase):
    """The file may say what it likes, and anybody may lock it."""

    # A process of another user with such locks: (first byte, count, step);
    # and with so many children, each with one far above, the last the lowest
    HOSTILE = (
        "import fcntl, json, os, sys, time\n"
        "fd = fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY),\n"
        "                 fcntl.F_DUPFD, 240)\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for first, count, step in json.loads(sys.argv[2]):\n"
        "    for number in range(count):\n"
        "        fcntl.lockf(fd, fcntl.LOCK_SH, 1, first + number * step)\n"
        "ready, tell = os.pipe()\n"
        "for number in range(int(sys.argv[3])):\n"
        "    if not os.fork():\n"
        "        fcntl.lockf(fd, fcntl.LOCK_SH, 1, 5000 - number)\n"
        "        os.write(tell, b'x')\n"
        "        time.sleep(1000)\n"
        "    os.read(ready, 1)\n"
        "print('locked', flush=True)\n"
        "time.sleep(1000)\n")

    def hostile(self, *locks, children=0):
        """It leads its group, as workers do."""
        if not OTHERS:
            self.skipTest("needs root, to be another user")
        process = self.popen([sys.executable, *FAST, "-c", self.HOSTILE,
                              self.p, json.dumps(locks), str(children)],
                             start_new_session=True)
        self.assertEqual(process.stdout.readline(), "locked\n",
                         process.stderr)
        return process

    def test_a_running_daemon_is_not_overruled_by_its_file(self):
        victim = self.popen(["sleep", "1000"], start_new_session=True)
        for options in [], ["-r"]:
            for text in ("", "999999999\n", "%d\n" % victim.pid,
                         "4711\n/var/lib/data\n5432\n", None):
                with self.subTest(options=options, text=text):
                    pid = self.start("sleep", "1000", options=options)
                    if text is None:
                        os.utime(self.p)
                    else:
                        self.write("p", text)
                    self.assertIn("running, pid %d\n" % pid,
                                  self.ok("-p", self.p, "--status"))
                    self.fails(1, "already running: .*/p is held by pid %d"
                               % pid, "-p", self.p, "sleep", "9")
                    self.ok("-p", self.p, "-s", "CONT")
                    self.assertEqual(
                        self.ok("-vp", self.p, "--stop"),
                        "daemonize: stopped pid %d\n" % pid)
                    self.assertFalse(is_alive(pid))
                    self.assertFalse(os.path.exists(self.p))
        self.assertIsNone(victim.poll())

    def test_a_restart_ends_the_one_that_holds_the_lock(self):
        for text in "", "hello\n":
            first = self.start("sleep", "1000")
            self.write("p", text)
            self.ok("-p", self.p, "--restart", "sleep", "1001")
            self.assertFalse(is_alive(first))
            self.assert_alone(self.pid())
            self.ok("-p", self.p, "--stop")

    def test_a_stop_ends_the_supervisor_and_not_its_workers_alone(self):
        supervisor = self.supervise("-w", "2", number=2)
        self.write("p", "99999\n")
        self.assertEqual(self.ok("-vp", self.p, "--stop"),
                         "daemonize: stopped pid %d\n" % supervisor)
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.p))

    def test_a_program_that_was_given_the_same_pidfile(self):
        self.supervise("-r", command=("sh", "-c", "echo $$ >p; " + self.STAY))
        self.await_run(0, 1)
        supervisor = json.loads(self.ok("-p", self.p, "--status", "--json"))[
            "pid"]
        self.assertNotEqual(supervisor, self.pid())
        self.fails(1, "already running: .* held by pid %d" % supervisor,
                   "-p", self.p, "sleep", "9")
        os.kill(supervisor, signal.SIGTERM)
        self.assert_nothing_left()
        wait_until(lambda: not os.path.exists(self.p))  # by its own hand

    def test_a_pidfile_on_a_standard_stream(self):
        """Closed by who has locked it, it would cost the lock."""
        self.write("p", "")
        for stream in "stdin", "stdout", "stderr":
            for options in [], ["-f"]:
                with open(self.p, "r+") as file:
                    status, _, err = self.cli("-p", self.p, *options, "true",
                                              **{stream: file})
                self.assertEqual(status, 2)
                text = err or self.read("p")
                self.assertRegex(text, r"\Adaemonize: descriptor \d is the "
                                 "pidfile, .*/p\n")
                self.write("p", "")

    def test_control_in_the_daemon_itself_costs_no_lock(self):
        self.write("program.py", IDLE + (
            "import daemonize, signal\n"
            "signal.signal(signal.SIGUSR1, lambda *_: "
            "open('usr1', 'w').close())\n"
            "daemonize.daemonize('p', chdir=None)\n"
            "for words in (['--status'], ['-s', 'USR1'],\n"
            "              ['--status', '--json'],\n"
            "              ['-o', '/no/log', '--restart', 'true']):\n"
            "    daemonize.main(['-q', '-p', 'p', *words])\n"
            "open('up', 'w').close()\n"
            "idle()\n"))
        self.assertEqual(self.call([sys.executable, "-S", "program.py"]),
                         (0, "", ""))
        wait_until(lambda: os.path.exists(self.path("up")))
        self.assertTrue(os.path.exists(self.path("usr1")))
        with open(self.p) as file:
            self.assertEqual(locked_by(file, 0), self.pid())
        self.stop()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_log_that_became_the_pidfile_costs_no_lock(self):
        """Whoever may write to the log's directory can do that."""
        self.supervise("-rH", "-o", "log")
        os.rename(self.log, self.path("old"))
        os.symlink("p", self.log)
        for _ in range(3):
            self.ok("-p", self.p, "-s", "HUP")
        self.await_sleep(self.pid())
        with open(self.p) as file:
            self.assertEqual(locked_by(file, 0), self.pid())
        os.remove(self.log)
        self.ok("-p", self.p, "-s", "HUP")
        self.await_log("cannot reopen .*/log: it is the pidfile; it goes on "
                       "as it is\n", "old")
        wait_until(lambda: os.path.exists(self.log))    # now it was none
        self.stop()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_log_that_becomes_the_pidfile_just_then(self):
        """Between a look at the name and the opening: it is lost once."""
        self.assertEqual(self.python(
            "import os\n"
            "plain = os.stat\n"
            "def stat(path, *args, **options):\n"
            "    if str(path).endswith('/log'):\n"
            "        raise FileNotFoundError(2, 'No such file', path)\n"
            "    return plain(path, *args, **options)\n"
            "os.stat = stat\n"
            "import daemonize, sys\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p, "-rH",
            "-o", "log", "--wait", "0", "--", "sleep", "1000"), (0, "", ""))
        opened = "/proc/%d/fd" % self.pid()
        self.await_sleep(self.pid())
        before = len(os.listdir(opened))
        os.rename(self.log, self.path("old"))
        os.symlink("p", self.log)
        for count in 1, 2, 3:
            self.ok("-p", self.p, "-s", "HUP")
            wait_until(lambda: self.read("old").count(
                "cannot reopen") == count)
        self.assertEqual(len(os.listdir(opened)), before + 1)
        with open(self.p) as file:
            self.assertEqual(locked_by(file, 0), self.pid())
        self.stop()

    # Another user of the machine

    def test_a_dead_daemons_number_is_not_the_daemon(self):
        self.write("p", "999999999\n")
        stranger = self.hostile([0, 1, 1])
        self.write("p", "%d\n" % stranger.pid)
        message = ("not running: .*/p is locked by pid %d of user nobody, "
                   "which is not its daemon" % stranger.pid)
        self.fails(1, message, "-p", self.p, "--status")
        self.fails(1, message, "-p", self.p, "-s", "KILL")
        self.ok("-p", self.p, "--oknodo", "sleep", "1000")
        self.assertTrue(is_alive(self.pid()))
        self.assertEqual(self.ok("-p", self.p, "--status"),
                         "running, pid %d\n" % self.pid())
        self.ok("-p", self.p, "--stop")
        self.assertFalse(os.path.exists(self.p))
        self.assertIsNone(stranger.poll())

    def test_a_byte_makes_no_worker(self):
        supervisor = self.supervise("-r")
        stranger = self.hostile([11, 1, 1])
        self.assertRegex(self.ok("-p", self.p, "--status"),
                         r"\Arunning, pid %d\nworker 0, .*\n\Z" % supervisor)
        self.ok("-p", self.p, "--restart", "--wait", "0", "-r", "--", "sh",
                "-c", self.STAY)
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.ok("-p", self.p, "--stop")
        self.assertIsNone(stranger.poll())
        self.assert_alone(stranger.pid)

    def test_an_ordinary_users_daemon_and_another_users_byte(self):
        """Who may not look into the other's process, and not signal it."""
        os.chmod(self.dir, 0o777)

        def as_user(*args):
            return self.python(
                "import daemonize, getopt, grp, os, pwd, socket, sys\n"
                "os.setgroups([]); os.setgid(1); os.setuid(1)\n"
                "sys.exit(daemonize.main(sys.argv[1:]))\n", *args)

        if not OTHERS:
            self.skipTest("needs root, to be two other users")
        start = ["-p", self.p, "-r", "--wait", "0", "sleep", "1000"]
        self.assertEqual(as_user(*start), (0, "", ""))
        stranger = self.hostile([11, 1, 1])
        status, out, err = as_user("-p", self.p, "--status")
        self.assertEqual((status, err, out.count("\n")), (0, "", 2))
        self.assertEqual(as_user("-p", self.p, "--restart", *start[2:]),
                         (0, "", ""))
        # Root's, as a set-user-ID program that the other one has started
        roots = self.hold_lock(self.p, byte=13, start_new_session=True)
        self.assertEqual(as_user("-p", self.p, "--stop"), (0, "", ""))
        self.assertFalse(os.path.exists(self.p))
        self.assertIsNone(stranger.poll())
        self.assertTrue(is_alive(roots))

    def test_thousands_of_locks_hide_nobody_who_was_there_before(self):
        supervisor = self.supervise("-w", "3", number=3)
        stranger = self.hostile([5, 2000, 2])
        self.assertRegex(
            self.ok("-p", self.p, "--status"), r"\Arunning, pid %d\n"
            r"worker 0, .*\nworker 1, .*\nworker 2, .*\n\Z" % supervisor)
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not is_alive(supervisor))
        self.assertEqual(len(self.workers()), 3)
        self.supervise("-w", "3", number=3)     # ends them first
        self.ok("-p", self.p, "--stop")
        self.assert_alone(stranger.pid)

    def clone(self):
        """The number of clone(2), by which a child shares the table of
        descriptors: then a lock is kept when its taker is dead.
        """
        number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
        if struct.calcsize("P") < 8:    # another one, on the same kernel
            number = None
        if PYPY or not ctypes or not ROOT or not number:
            self.skipTest("needs root, ctypes, and the number of clone(2)")
        return number

    def given(self, number, command):
        """A process that leads its group and has that pid; or None."""
        for _ in range(100):
            try:
                with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                    last.write(str(number - 1))
            except OSError:
                self.skipTest("no ns_last_pid")
            process = self.popen(command, start_new_session=True)
            if process.pid == number:
                return process
            process.kill()
            process.wait()
        return None         # another one has got it

    def test_whoever_gets_the_number_that_a_lock_names(self):
        """Also who has the file open: a daemon's descendants have, by
        inheritance, and tail(1); the kernel tells them apart.
        """
        code = ("import ctypes, fcntl, os, time\n"
                "fd = os.open('p', os.O_RDONLY)\n"
                "for byte in 0, 2, 5:\n"
                "    fcntl.lockf(fd, fcntl.LOCK_SH, 1, byte)\n"
                "if not ctypes.CDLL(None).syscall(%d, 0x411, 0, 0, 0, 0):\n"
                "    time.sleep(1000)\n" % self.clone())
        bystanders = [["sleep", "1000"]]
        if "ino:" in self.read("/proc/self/fdinfo/0"):
            bystanders.append(["bash", "-c", "exec 240<p; sleep 1000; :"])
        for command in bystanders:
            bystander = None
            while not bystander:
                self.write("p", "999999999\n")
                taker = self.popen([sys.executable, *FAST, "-c", code],
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
                taker.wait(timeout=60)
                with open(self.p) as file:
                    holder = locked_by(file, 0)
                if holder == 0:
                    self.skipTest("the dead are named in the first pid "
                                  "namespace alone")
                self.assertEqual(holder, taker.pid)
                bystander = self.given(taker.pid, command)
                if not bystander:       # or it is in the next one's way
                    self.kill_all()
            if command[0] == "bash":
                wait_until(lambda: os.readlink("/proc/%d/fd/240"
                                               % bystander.pid) == self.p)
            self.write("p", "%d\n" % taker.pid)
            self.fails(1, "not running: .*", "-p", self.p, "-s", "KILL")
            self.assertEqual(self.cli("-p", self.p, "--status")[:2], (1, ""))
            self.ok("-p", self.p, "sleep", "1000")
            self.ok("-p", self.p, "--stop")
            self.assertIsNone(bystander.poll())
            os.path.exists(self.p) and os.remove(self.p)

    @unittest.skipUnless(LINUX and OTHERS, "needs root, to be another user")
    def test_a_mark_that_comes_again(self):
        """After 10^7 ticks, for those who have waited for it."""
        self.start("sleep", "1000", options=["-u", "nobody"])
        pid = self.pid()
        turn = 10 ** 7 // os.sysconf("SC_CLK_TCK")
        os.chown(self.p, 0, 0)      # so it is nobody's at all
        other = self.hold_lock(self.p, byte=0)
        stamp = os.stat(self.p).st_mtime_ns - turn * 10 ** 9
        os.utime(self.p, ns=(stamp, stamp))
        self.assertEqual(self.ok("-p", self.p, "-u", "nobody", "--status"),
                         "running, pid %d\n" % pid)
        os.kill(other, signal.SIGKILL)
        os.utime(self.p, ns=(stamp, stamp))
        self.assertEqual(self.cli("-p", self.p, "--status")[0], 1)
        os.kill(pid, signal.SIGKILL)

    @unittest.skipUnless(LINUX and OTHERS, "needs root, to be another user")
    def test_the_owner_of_a_file_cannot_name_others(self):
        """He can put any mark on it."""
        victim = self.start("sleep", "1000")
        info = os.stat(self.p)
        self.write("q", "%d\n" % victim)
        os.chown(self.path("q"), 65534, -1)
        os.utime(self.path("q"), ns=(info.st_mtime_ns, info.st_mtime_ns))
        for options in [], ["-u", "nobody"]:
            self.assertNotEqual(self.cli(
                "-p", self.path("q"), "--stop", *options)[0], 0)
        self.assertTrue(is_alive(victim))
        # Nor one who has his uid for a while
        half = self.popen([sys.executable, "-c", (
            "import os, time\n"
            "os.setresuid(0, 65534, 0)\n"
            "print('up', flush=True)\n"
            "time.sleep(1000)\n")])
        self.assertEqual(half.stdout.readline(), "up\n")
        with open("/proc/%d/stat" % half.pid) as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        boot = int(self.read("/proc/sys/kernel/random/boot_id").replace(
            "-", ""), 16)
        self.write("q", "%d\n" % half.pid)
        os.chown(self.path("q"), 65534, -1)
        stamp = int(time.time()) * 10 ** 9 + 100 * ((boot + ticks) % 10 ** 7)
        os.utime(self.path("q"), ns=(stamp, stamp))
        for options in [], ["-u", "nobody"]:
            self.assertNotEqual(self.cli(
                "-p", self.path("q"), "--stop", *options)[0], 0)
        self.assertIsNone(half.poll())

    @unittest.skipUnless(LOOKS, "needs root with CAP_SYS_PTRACE")
    def test_the_users_of_a_start_with_user_are_known(self):
        for options in [], ["-r"]:
            self.ok("-p", self.p, "-u", "nobody", "--wait", "0", *options,
                    "sleep", "1000")
            self.assertEqual(os.stat(self.p).st_gid,
                             pwd.getpwnam("nobody").pw_gid)
            pid = self.pid()
            wait_until(lambda: b"sleep" in self.command_of(pid) or options)
            self.write("p", "")
            self.assertIn("running, pid %d\n" % pid,
                          self.ok("-p", self.p, "--status"))
            self.ok("-p", self.p, "--stop")
            self.assert_nothing_left()

    @unittest.skipUnless(OTHERS, "needs root, to start as another user")
    def test_the_group_of_an_earlier_start_is_not_believed(self):
        self.ok("-p", self.p, "-u", "nobody", "--wait", "0", "sleep", "1000")
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.start("sleep", "1000")
        self.assertEqual(os.stat(self.p).st_gid, os.getegid())

    def test_a_start_that_must_fail_ends_no_worker(self):
        """Those that a killed supervisor has left serve on until what is to
        replace them is sure.
        """
        self.supervise("-w", "2", number=2)
        pids = [pid for _, pid in self.workers()]
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        os.mkdir(self.path("dir"))
        for options in (), ("-f",):
            self.fails(125, "cannot open dir: Is a directory", "-p", self.p,
                       *options, "-w", "2", "-o", "dir", "sleep", "1000")
            self.assert_alone(*pids)
        self.assertEqual(self.cli("-p", self.p, "-f", "-r", "true")[0], 0)
        self.assert_nothing_left()

    @unittest.skipUnless(OTHERS, "needs root, to change owners")
    def test_a_supervisor_removes_a_pidfile_of_its_user(self):
        self.write("p", "")
        os.chown(self.p, pwd.getpwnam("nobody").pw_uid, -1)
        self.ok("-p", self.p, "-u", "nobody", "-r", "--wait", "0", "--", "sh",
                "-c", "sleep 0.3")
        wait_until(lambda: not os.path.exists(self.p))

    def test_where_proc_tells_less_a_locked_file_is_kept(self):
        """As root's without CAP_SYS_PTRACE tells of another user."""
        pid = self.start("sleep", "1000")
        self.write("p", "")
        status, _, err = self.python(
            "import os\n"
            "plain = os.stat\n"
            "def stat(path, *args, **options):\n"
            "    if str(path).endswith(('/exe', '/fd/240')):\n"
            "        raise PermissionError(13, 'Permission denied')\n"
            "    return plain(path, *args, **options)\n"
            "os.stat = stat\n"
            "import daemonize, sys\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
            "--stop")
        self.assertEqual(status, 1)
        self.assertIn("which is not its daemon", err)
        self.assertTrue(os.path.exists(self.p))
        self.ok("-p", self.p, "--stop")
        self.assertFalse(is_alive(pid))

    @unittest.skipUnless(LINUX and ROOT, "needs root, for its bit")
    def test_a_set_user_id_program_is_not_believed(self):
        """Anybody can start it, with a lock that he has taken."""
        shutil.copy(shutil.which("sleep"), self.path("sleep"))
        os.chmod(self.path("sleep"), 0o4755)
        self.write("p", "999999999\n")
        process = self.popen([sys.executable, "-c", (
            "import fcntl, os\n"
            "first = os.open('p', os.O_RDONLY)\n"
            "os.set_inheritable(first, True)\n"
            "fcntl.lockf(os.dup2(first, 240), fcntl.LOCK_SH, 1)\n"
            "os.execv('./sleep', ['sleep', '1000'])\n")])
        wait_until(lambda: b"sleep\0" in self.command_of(process.pid))
        self.fails(1, "not running: .*/p is locked by pid %d .*, which is "
                   "not its daemon" % process.pid, "-p", self.p, "--stop")
        self.assertIsNone(process.poll())

    def test_a_descriptor_that_sudo_would_let_in_is_not_ours(self):
        self.write("p", "999999999\n")
        for fd, status in (0, 1), (240, 0):
            holder = self.popen([sys.executable, "-c", (
                "import fcntl, os, sys, time\n"
                "fd = os.open('p', os.O_RDONLY)\n"
                "os.dup2(fd, %d)\n"
                "os.close(fd)\n"
                "fcntl.lockf(%d, fcntl.LOCK_SH, 1, 0)\n"
                "print('locked', flush=True)\n"
                "time.sleep(1000)\n" % (fd, fd))])
            self.assertEqual(holder.stdout.readline(), "locked\n")
            self.assertEqual(self.cli("-p", self.p, "--status")[0],
                             status if LINUX else 1)
            holder.kill()
            holder.wait()

    def test_locks_far_above_hide_no_worker(self):
        self.write("p", "999999999\n")
        self.hostile([100, 3000, 2], children=200)
        strangers = marked(self.dir)
        self.supervise("-w", "3", number=3)
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.assertEqual(len(self.workers()), 3)
        self.ok("-p", self.p, "--stop")
        self.assert_alone(*strangers)

    def test_a_lock_from_outside_hinders_no_stop(self):
        """In a pid namespace one whose taker is dead looks like that."""
        inner = ["unshare", "-pf", "--mount-proc", "--kill-child"]
        number = self.clone()
        if subprocess.call([*inner, "true"], stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare here")
        self.write("hide.py", (
            "import ctypes, fcntl, os, time\n"
            "fcntl.lockf(os.open('p', os.O_RDONLY), fcntl.LOCK_SH, 1, 5)\n"
            "if not ctypes.CDLL(None).syscall(%d, 0x411, 0, 0, 0, 0):\n"
            "    [os.close(fd) for fd in (0, 1, 2)]\n"
            "    time.sleep(1000)\n" % number))
        status, out, err = self.call([
            *inner, "sh", "-c", "\"$@\" -p p -r --wait 0 sleep 1000\n"
            "%s hide.py\n\"$@\" -p p --status || exit\n"
            "\"$@\" -vp p --stop 2>&1" % sys.executable, "sh", *self.CLI])
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Arunning, pid \d+\nworker 0, .*\ndaemonize: "
                         r"stopped pid \d+")

    # Where /proc does not tell

    NO_PROC = (
        "import builtins, os\n"
        "def hide(owner, name):\n"
        "    plain = getattr(owner, name)\n"
        "    def hidden(path, *args, **options):\n"
        "        if str(path).startswith('/proc'):\n"
        "            raise FileNotFoundError(2, 'no /proc')\n"
        "        return plain(path, *args, **options)\n"
        "    setattr(owner, name, hidden)\n"
        "for name in 'stat', 'listdir', 'scandir', 'readlink':\n"
        "    hide(os, name)\n"
        "hide(builtins, 'open')\n")

    def without_proc(self, *args):
        return self.python(
            self.NO_PROC + "import daemonize, sys\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", *args)

    def test_without_proc_the_number_must_agree(self):
        self.assertEqual(self.without_proc("-p", self.p, "sleep", "1000"),
                         (0, "", ""))
        pid = self.pid()
        self.assertEqual(self.without_proc("-p", self.p, "--status"),
                         (0, "running, pid %d\n" % pid, ""))
        self.write("p", "999999999\n")
        status, _, err = self.without_proc("-p", self.p, "--stop")
        self.assertEqual(status, 1)
        self.assertRegex(err, "is locked by pid %d, which is not its daemon"
                         % pid)
        self.assertTrue(os.path.exists(self.p))     # it may be the daemon
        self.write("p", "%d\n" % pid)
        self.assertEqual(self.without_proc("-p", self.p, "--stop"),
                         (0, "", ""))
        self.assert_nothing_left()

    def test_without_proc_what_a_leader_leaves_ends_too(self):
        for options in [], ["-w", "2"]:
            if options:
                options = [*options, "-R", "TERM/1000"]
            self.assertEqual(self.without_proc(
                "-p", self.p, *options, "--wait", "0", "--", "sh", "-c",
                "sleep 1000 & echo >up; wait"), (0, "", ""))
            wait_until(lambda: os.path.exists(self.path("up")))
            self.assertEqual(self.without_proc(
                "-p", self.p, "--stop", "--retry", "TERM/30"), (0, "", ""))
            self.assert_nothing_left()
            os.remove(self.path("up"))

    def test_the_proc_of_another_pid_namespace(self):
        inner = ["unshare", "-pf", "--kill-child"]      # no --mount-proc
        if not ROOT or subprocess.call([*inner, "true"],
                                       stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare here")
        start = "\"$@\" -p p sleep 1000 || exit 1\n"
        status, out, err = self.call([
            *inner, "sh", "-c", start + "kill -9 $(cat p)\n" + start +
            "\"$@\" -p p --status && \"$@\" -p p --stop", "sh", *self.CLI])
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Arunning, pid \d+\n\Z")

    # What fails

    def failing(self, setup, *args):
        return self.python(
            "import daemonize, errno, fcntl, os, sys\n" + setup +
            "sys.exit(daemonize.main(sys.argv[1:]))\n", *args)

    def test_status_is_4_where_the_file_cannot_be_looked_at(self):
        self.write("p", "999999999\n")
        for name in "fstat", "lstat":
            for error, text in (("EOVERFLOW", "Value too large for defined "
                                 "data type"), ("EACCES",
                                                "Permission denied")):
                setup = (
                    "plain = os.%s\n"
                    "def fails(what):\n"
                    "    if os.path.basename(str(what if 'l' in %r else "
                    "os.readlink('/proc/self/fd/%%d' %% what))) == 'p':\n"
                    "        raise OSError(errno.%s, os.strerror(errno.%s))\n"
                    "    return plain(what)\n"
                    "os.%s = fails\n" % (name, name[0], error, error, name))
                self.assertEqual(self.failing(setup, "-p", self.p,
                                              "--status"),
                                 (4, "", "daemonize: cannot look at %s: %s\n"
                                  % (self.p, text)))

    def test_where_locks_are_refused_no_pidfile_is_left(self):
        for error in "ENOLCK", "ENOSYS", "EOPNOTSUPP":
            for call in "lockf", "fcntl":
                setup = (
                    "plain = fcntl.%s\n"
                    "def refused(fd, command, *args):\n"
                    "    if %r == 'fcntl' and command not in (\n"
                    "            fcntl.F_GETLK, fcntl.F_SETLK):\n"
                    "        return plain(fd, command, *args)\n"
                    "    raise OSError(errno.%s, os.strerror(errno.%s))\n"
                    "fcntl.%s = refused\n" % (call, call, error, error, call))
                for options in [], ["-f"]:
                    status, _, err = self.failing(
                        setup, "-p", self.p, *options, "true")
                    if call == "fcntl" and not err:
                        continue        # not asked: nobody was in the way
                    self.assertEqual(status, 125)
                    self.assertRegex(err, r"\Adaemonize: cannot .*/p: .*; "
                                     "put the pidfile on a local file "
                                     r"system\n\Z")
                    self.assertFalse(os.path.exists(self.p))
        self.write("p", "")         # it was there before
        self.failing(setup, "-p", self.p, "true")
        self.assertTrue(os.path.exists(self.p))


class ProxyTest(SupervisedTestCase):
    """Supervisors that restart nothing: for the log, or as PID 1."""

    def test_it_ends_with_the_commands_status(self):
        for how, status in (("exit 0", 0), ("exit 7", 7),
                            ("kill -TERM $$", 143), ("kill -SEGV $$", 139)):
            self.assertEqual(self.cli(
                "-f", "-o", "log", "-e", "log", "--log-size", "1M", "--",
                "sh", "-c", "echo $DAEMONIZE_WORKER; " + how),
                (status, "", ""))
        log = self.read("log")
        self.assertEqual(log.count("daemonize: worker 0 (pid "), 4)
        self.assertTrue(log.startswith("\n"))   # it is no worker of several
        self.assertNotIn("restart", log)

    def test_signals_go_on_unchanged(self):
        command = self.recorder()
        process = self.popen([*self.CLI, "-f", "-o", "log",
                              "--log-size", "1M", "--", *command, "ends"])
        wait_until(lambda: self.got() == ["up"])
        for name in ("HUP", "USR1", "INT", "QUIT", "WINCH"):
            process.send_signal(getattr(signal, "SIG" + name))
            wait_until(lambda: self.got()[-1] == "SIG" + name)
        process.terminate()
        self.assertEqual(process.wait(), 7)

    def test_a_stop_of_a_detached_one(self):
        self.ok("-p", self.p, "-o", "log", "-H", "--", "sh", "-c",
                "echo up; exec sleep 1000")
        self.await_log("up")
        self.assertEqual(len(self.workers()), 1)
        self.stop()

    def test_a_death_within_wait_shows_its_log(self):
        status, _, err = self.cli("-p", self.p, "-o", "log", "-H", "--wait",
                                  "60", "sh", "-c", "echo no config; exit 3")
        self.assertEqual(status, 125)
        self.assertIn("exited with status 3 after", err)
        self.assertIn("\n    no config\n", err)
        self.assertFalse(os.path.exists(self.p))

    def as_init(self, *args, tail=()):
        """In a PID namespace of its own, as PID 1."""
        if not ROOT or not shutil.which("unshare"):
            self.skipTest("needs root and unshare")
        if self.call(["unshare", "-pf", "--mount-proc", "true"])[0]:
            self.skipTest("no PID namespaces here")
        return ["unshare", "-pf", "--mount-proc", "--kill-child", *tail,
                *self.CLI, "-f", *args]

    # Two orphans, one of which is a zombie until it is reaped
    ORPHANS = ("sh -c 'sleep 1000 & exec true'; (true &); "
               "while grep -l '^State:.Z' /proc/[0-9]*/status >/dev/null "
               "2>&1; do sleep 0.01; done; ")

    def test_as_pid_1_it_is_an_init(self):
        for how, status in (("exit 5", 5), ("kill -9 $$", 137)):
            self.assertEqual(self.call(self.as_init(
                "--", "sh", "-c", self.ORPHANS + "echo $PPID; " + how)),
                (status, "1\n", ""))
        self.assert_nothing_left()

    def test_as_pid_1_it_passes_signals_on(self):
        process = self.popen(self.as_init("--", *self.recorder(), "ends"))
        wait_until(lambda: self.got() == ["up"])
        inner = self.inner()
        for name in ("HUP", "INT", "USR2"):
            os.kill(inner, getattr(signal, "SIG" + name))
            wait_until(lambda: self.got()[-1] == "SIG" + name)
        os.kill(inner, signal.SIGTERM)
        self.assertEqual(process.wait(), 7)

    def inner(self):
        """PID 1 of the namespace, as it is called out here."""
        return wait_until(lambda: [
            pid for pid in marked(self.dir) if re.search(
                r"NSpid:\s\d+\s1\n", self.read("/proc/%d/status" % pid))])[0]

    def test_as_pid_1_it_supervises(self):
        process = self.popen(self.as_init(
            "-r", "-e", "log", "-p", self.p, "--", "sh", "-c",
            self.ORPHANS + self.STAY))
        self.await_run(0, 1)
        inner = self.inner()
        os.kill(wait_until(lambda: [    # its pid out here, after its exec
            pid for pid in marked(self.dir) if os.getpgid(pid) == pid
            and self.command_of(pid) == b"sleep\0001000\0"])[0],
            signal.SIGKILL)
        self.await_run(0, 2)
        os.kill(inner, signal.SIGTERM)
        self.assertEqual(process.wait(), 0)
        self.await_log("killed by SIGKILL; restart 1")
        self.assert_nothing_left()

    def test_as_pid_1_on_a_terminal(self):
        """The command has the terminal: it reads, and Ctrl-C reaches it."""
        import pty
        command = self.as_init("--", "sh", "-c", "trap 'echo int; exit 3' "
                               "INT; read line; echo got $line; "
                               "while :; do sleep 0.05; done")
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execvpe(command[0], command, self.env)
        self.addCleanup(os.close, terminal)
        os.write(terminal, b"hello\n")
        seen = b""
        for wanted, send in ((b"got hello", b"\x03"), (b"int", b"")):
            while wanted not in seen:
                self.assertTrue(select.select([terminal], [], [], 60)[0],
                                seen)
                seen += os.read(terminal, 4096)
            os.write(terminal, send)
        self.assertEqual(os.waitpid(pid, 0)[1], 3 << 8)

    def test_under_other_supervisors(self):
        """runit and s6 stop it with TERM, and see its status."""
        found = 0
        for name, command in (("runsv", ["runsv", "sv"]),
                              ("s6-supervise", ["s6-supervise", "sv"])):
            if not shutil.which(name):
                continue
            found += 1
            os.mkdir(self.path("sv"))
            self.script("sv/run", "#!/bin/sh\nexec %s %s -f -w 2 -p %s -- sh "
                        "-c 'cd %s; %s'\n" % (sys.executable, SCRIPT, self.p,
                                              self.dir, self.STAY))
            self.script("sv/finish", "#!/bin/sh\necho $1 >>%s\n"
                        % self.path("status"))
            process = self.popen(command)
            first = [self.await_run(i, 1) for i in range(2)]
            os.kill(first[1], signal.SIGKILL)
            self.await_run(1, 2)
            os.kill(self.pid(), signal.SIGTERM)     # it is started again
            self.await_run(0, 2)
            self.assertEqual(self.read("status"), "0\n")
            subprocess.check_call(
                ["sv", "-w", "20", "force-stop", self.path("sv")]
                if name == "runsv" else ["s6-svc", "-d", self.path("sv")],
                stdout=subprocess.DEVNULL)
            wait_until(lambda: self.read("status") == "0\n0\n")
            process.kill()
            process.wait()
            self.kill_all()
            shutil.rmtree(self.path("sv"))
            for file in ("w.0", "w.1", "status"):
                os.remove(self.path(file))
        if not found:
            self.skipTest("neither runit nor s6 is installed")


class LogTest(SupervisedTestCase):

    def logs(self, name="log"):
        """All that was kept, oldest first."""
        names = [each for each in os.listdir(self.dir)
                 if re.match(re.escape(name) + r"(\.\d+)?\Z", each)]
        names.sort(key=lambda each: -int(each.partition(".")[2] or 0))
        return names, "".join(map(self.read, names))

    def assert_numbered(self, lines, count):
        """1 to count, each once, in order."""
        self.assertEqual(len(lines), count)
        for number, line in enumerate(lines, 1):
            if line != str(number):
                self.fail("%r instead of %d" % (line, number))

    def test_half_a_million_lines_across_rotations(self):
        self.assertEqual(self.cli(
            "-f", "-o", "log", "-e", "log", "--log-size", "300k",
            "--log-keep", "20", "--", "seq", "500000"), (0, "", ""))
        names, text = self.logs()
        self.assertEqual(len(names), 12)
        lines = text.splitlines()
        self.assertRegex(lines.pop(), "exited with status 0")
        self.assert_numbered(lines, 500000)
        for name in names:
            self.assertLessEqual(os.path.getsize(self.path(name)), 300 << 10)
            self.assertTrue(self.read(name).endswith("\n"))
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode)
                             & ~0o640, 0)

    def test_so_many_are_kept(self):
        for keep, names in ((2, ["log.2", "log.1", "log"]), (0, ["log"])):
            self.cli("-f", "-o", "log", "--log-size", "1000", "--log-keep",
                     str(keep), "--", "seq", "5000")
            self.assertEqual(self.logs()[0], names)
            self.assertIn("\n5000\n", self.logs()[1])
            for name in names:
                os.remove(self.path(name))
        self.write("log", "x" * 5000 + "\n")    # it was over the size before
        self.cli("-f", "-o", "log", "--log-size", "1000", "--", "echo", "new")
        self.assertEqual(self.read("log.1"), "x" * 5000 + "\n")

    def test_an_old_log_that_a_death_has_left_aside_is_kept(self):
        for number in "0", "1", "3":
            self.write("log." + number, number + "\n")
        self.cli("-f", "-o", "log", "--log-size", "8", "--log-keep", "9",
                 "--", "seq", "-w", "1000", "1001")
        self.assertEqual([self.read("log.%d" % number) for number in
                          range(1, 5)], ["1000\n", "0\n", "1\n", "3\n"])
        self.assertFalse(os.path.exists(self.path("log.0")))

    def test_an_old_log_that_cannot_be_moved_costs_no_line(self):
        for aside in "", "aside\n":
            for number in "12":
                self.write("log." + number, number + "\n")
            os.makedirs(self.path("log.3"), exist_ok=True)
            self.write("log", "before\n")
            if aside:
                self.write("log.0", aside)
            self.cli("-f", "-o", "log", "--log-size", "8", "--log-keep", "3",
                     "--", "seq", "-w", "1000", "1009")
            lines = self.read("log").splitlines()
            self.assertEqual([line for line in lines if " " not in line], [
                "before", *map(str, range(1000, 1010))])
            self.assertEqual([self.read("log." + number) for number in "12"],
                             ["1\n", "2\n"])
        self.assertEqual(self.read("log.0"), aside)

    @unittest.skipUnless(LINUX and shutil.which("strace"), "needs strace")
    def test_few_names_are_looked_at_however_many_are_kept(self):
        status, _, err = self.call([
            "strace", "-fqqo", "trace", "-e", "trace=file", *self.CLI, "-f",
            "-o", "log", "--log-size", "8", "--log-keep", "100000", "--",
            "seq", "-w", "1000", "1009"])
        if status:
            self.skipTest("strace: " + err)
        self.assertEqual(self.read("log.9"), "1000\n")
        self.assertLess(self.read("trace").count('/log.'), 500)

    @unittest.skipUnless(LINUX and shutil.which("strace"), "needs strace")
    def test_a_log_is_opened_as_a_shell_opens_it(self):
        """With O_CREAT also where it exists: see fs.protected_regular."""
        for name in "log", "err":
            self.write(name, "")
        status, _, err = self.call([
            "strace", "-fqqo", "trace", "-e", "trace=open,openat", *self.CLI,
            "-f", "-o", "log", "-e", "err", "--log-size", "8", "--", "seq",
            "-w", "1000", "1002"])
        if status:
            self.skipTest("strace: " + err)
        opened = re.findall(r'open.*"(?:.*/)?(?:log|err)", (\S+?),? ',
                            self.read("trace"))
        self.assertGreater(len(opened), 3)
        for flags in opened:
            self.assertIn("O_CREAT", flags)
            self.assertIn("O_APPEND", flags)

    def test_the_file_behind_a_symbolic_link_is_rotated(self):
        os.makedirs(self.path("logs"))
        os.makedirs(self.path("disk"))
        os.symlink("../disk/real.log", self.path("logs/app.log"))
        self.supervise("-r", "-o", "logs/app.log", "--log-size", "1K", "-H",
                       command=("sh", "-c", "echo $$ >>w.0; seq 400; "
                                "exec sleep 1000"))
        wait_until(lambda: "\n400\n" in self.read("logs/app.log"))
        self.assertEqual(os.listdir(self.path("logs")), ["app.log"])
        self.assertEqual(os.readlink(self.path("logs/app.log")),
                         "../disk/real.log")
        self.assertEqual(sorted(os.listdir(self.path("disk"))),
                         ["real.log", "real.log.1"])
        os.rename(self.path("disk/real.log"), self.path("disk/moved"))
        self.ok("-p", self.p, "--signal", "HUP")
        wait_until(lambda: os.path.exists(self.path("disk/real.log")))
        self.assertTrue(os.path.islink(self.path("logs/app.log")))
        self.stop()

    @unittest.skipUnless(LINUX, "needs a mount namespace")
    def test_what_cannot_be_moved_costs_no_old_log(self):
        """A file that is mounted, as into a container."""
        for number in range(1, 6):
            self.write("log.%d" % number, "%d\n" % number)
        self.write("log", "")
        unshare = ["unshare", "-m" if ROOT else "-Urm", "sh", "-c"]
        if not shutil.which("unshare") or self.call(
                [*unshare, "mount --bind log log"])[0]:
            self.skipTest("no mount namespace for us here")
        self.call([*unshare, "mount --bind log log; exec \"$@\"", "sh",
                   *self.CLI, "-f", "-o", "log", "--log-size", "8", "--",
                   "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do seq -w 1000 "
                   "1010; sleep 0.01; done"])
        self.assertEqual([self.read("log.%d" % number) for number in
                          range(1, 6)], ["1\n", "2\n", "3\n", "4\n", "5\n"])
        self.assertIn("cannot rotate", self.read("log"))
        self.assertEqual(self.read("log").count("1010\n"), 9)
        self.assertFalse(os.path.exists(self.path("log.0")))

    def test_the_last_words_are_found_wherever_a_rotation_has_put_them(self):
        status, _, err = self.cli(
            "-o", "log", "--log-size", "64", "--wait", "60", "sh", "-c",
            "seq 300; echo FATAL; exit 3")
        self.assertEqual(status, 125)
        self.assertRegex(err, r"(?s)wrote to log:\n    292\n.*    300\n"
                         r"    FATAL\n\Z")
        status, _, err = self.cli(
            "-w", "2", "-o", "out", "-e", "err", "--log-size", "64", "--wait",
            "60", "sh", "-c", "[ $DAEMONIZE_WORKER = 1 ] && exec sleep 999; "
            "seq 300; echo FATAL >&2; exit 3")
        self.assertRegex(err, r"(?s)wrote to out and err:\n    291\n.*"
                         r"    300\n    FATAL\n\Z")

    @unittest.skipUnless(OTHERS and LINUX, "only root can give a pipe away")
    def test_a_pipe_belongs_to_the_user_who_writes_to_it(self):
        self.cli("-f", "-u", "nobody", "-o", "log", "-e", "err",
                 "--log-size", "1M", "--", "sh", "-c",
                 "echo out > /dev/stdout; echo err > /dev/stderr")
        self.assertEqual(self.read("log"), "out\n")
        self.assertRegex(self.read("err"), r"\Aerr\n")

    def limited(self, size):
        """The soft limit on file sizes, of the supervisor."""
        import resource
        if not hasattr(resource, "prlimit"):
            self.skipTest("no prlimit() here")
        resource.prlimit(self.pid(), resource.RLIMIT_FSIZE,
                         (size, resource.RLIM_INFINITY))

    @unittest.skipUnless(LINUX, "needs prlimit(2)")
    def test_what_cannot_be_written_has_a_bound_and_its_own_name(self):
        # An ordinary user's pipes are of 8 kB when others of his hold 64 MiB
        self.supervise(
            "-r", "-o", "log", "--log-size", "1G", "--respawn-delay", "0",
            "-R", "0", command=(
                "sh", "-c", "ulimit -S -f unlimited; echo $$ >>w.0; "
                "[ -e go ] || exec sleep 1000; [ -e on ] && exec sleep "
                "1000; seq 100000 108999 | LC_ALL=C dd bs=4k oflag=nonblock "
                "2>>dd; kill -9 $$"))

        def memory():
            return int(re.search(r"VmRSS:\s*(\d+)", self.read(
                "/proc/%d/status" % self.pid())).group(1))

        self.limited(100)
        before = memory()
        self.write("go", "")
        os.kill(self.workers()[0][1], signal.SIGKILL)
        # 60 kB of each dead one
        wait_until(lambda: sum(map(int, re.findall(
            r"^(\d+) bytes", self.read("dd"), re.M))) > 18000000)
        if not PYPY:            # whose collector takes its time
            self.assertLess(memory() - before, 13000)
        self.write("on", "")
        self.assertLess(len(self.read("log")), 101)
        # In whole lines, but just when one is attempted and taken back
        wait_until(lambda: re.match(r"(.*\n)+\Z", self.read("log")))
        self.limited(-1)
        self.await_log(r"could not write .*/log for [\d.]+ s: File too large")
        self.await_log(r"dropped \d+ lines of workers that had died")
        self.stop("TERM/5/KILL/5")

    def test_a_full_stderr_stops_no_restart(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        command = "#!/bin/sh\necho $$ >>w.0\nexec sleep 1000\n"
        self.script("cmd", command)
        process = self.popen(
            [*self.CLI, "-f", "-r", "-p", self.p, "--respawn-delay", "0.1",
             "./cmd"], stderr=writer)
        self.await_run(0, 1)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        os.close(writer)
        os.remove(self.path("cmd"))
        os.kill(self.workers()[0][1], signal.SIGKILL)
        wait_until(lambda: not self.workers())
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 0.3)
        self.script("cmd", command)
        self.await_run(0, 2)
        process.terminate()
        self.assertEqual(process.wait(60), 0)

    def test_lines_of_several_workers_are_not_torn(self):
        self.cli("-f", "-w", "3", "-o", "log", "-e", "log", "-H", "--", "sh",
                 "-c", "say() { sed \"s/^/$DAEMONIZE_WORKER /\"; }; "
                 "seq 20000 | say; seq 20001 40000 | say >&2")
        seen = {number: [] for number in "012"}
        for line in self.read("log").splitlines():
            if " daemonize: " not in line:
                self.assertRegex(line, r"\A[012] \d+\Z")
                seen[line[0]].append(line[2:])
        for lines in seen.values():
            self.assert_numbered(lines, 40000)

    def test_long_lines_and_lines_without_an_end(self):
        self.write("w.py", "import os, sys\n"
                   "def write(text):\n"
                   "    while text: text = text[os.write(1, text):]\n"
                   "me = os.environ['DAEMONIZE_WORKER'].encode()\n"
                   "for i in range(20): write(me * 200000 + b'\\n')\n"
                   "write(me * 100)\n")
        self.cli("-f", "-w", "2", "-o", "log", "--log-size", "1000000",
                 "--log-keep", "20", "--", sys.executable, *FAST, "w.py")
        lines = [line for line in self.logs()[1].splitlines()
                 if " daemonize: " not in line]
        self.assertEqual(sorted(lines), sorted(
            [c * 200000 for c in "01"] * 20 + [c * 100 for c in "01"]))

    def test_a_slow_reader_gets_all_at_an_ordinary_end(self):
        os.mkfifo(self.path("fifo"))
        fifo = os.open(self.path("fifo"), os.O_RDWR)
        self.addCleanup(os.close, fifo)
        process = self.popen([*self.CLI, "-f", "-o", "fifo", "-e",
                              "fifo", "-H", "--", "seq", "30000"])
        text = b""
        while text.count(b"\n") < 30001:       # the death's line, too
            self.assertTrue(select.select([fifo], [], [], 60)[0], text[-99:])
            text += os.read(fifo, 1000)
        self.assertEqual(process.wait(), 0)
        self.assert_numbered([line for line in text.decode().splitlines()
                              if " " not in line], 30000)
        # But a stop does not wait for one that never reads
        self.supervise("-r", "-o", "fifo", "-H", command=(
            "sh", "-c", "echo $$ >>w.0; seq 30000; exec sleep 1000"))
        self.await_run(0, 1)
        self.stop("TERM/50")

    def test_lines_longer_than_any_are_cut(self):
        self.write("w.py", "import os\n"
                   "left = 9 << 20\n"
                   "while left: left -= os.write(1, b'x' * left)\n"
                   "os.write(1, b'\\nlast\\n')\n")
        self.cli("-f", "-o", "log", "-H", "--", sys.executable, *FAST, "w.py")
        lines = self.read("log").splitlines()
        self.assertEqual(lines.pop(), "last")
        self.assertEqual(set("".join(lines)), {"x"})
        self.assertEqual(sum(map(len, lines)), 9 << 20)
        self.assertEqual(len(lines), 9)

    def test_small_files_do_not_make_it_deaf(self):
        self.supervise("-w", "6", "-o", "log", "--log-size", "100", command=(
            "sh", "-c", "echo $$ >>w.$DAEMONIZE_WORKER; exec yes aaaaaaa"))
        for number in range(6):
            self.await_run(number, 1)
        self.stop("TERM/100")

    def test_a_stop_loses_no_line_to_slow_rotations(self):
        self.write("program.py", (
            "import daemonize, os, sys, time\n"
            "plain = os.rename\n"
            "def rename(*args):\n"
            "    time.sleep(0.03)\n"
            "    plain(*args)\n"
            "os.rename = rename\n"
            "daemonize._PATIENCE = 0.1\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n"))
        self.assertEqual(self.call([
            sys.executable, "program.py", "-p", self.p, "-r", "-o", "log",
            "--log-size", "100", "--log-keep", "99", "--retry", "TERM/60",
            "--", "sh", "-c", "trap 'seq 100 300; echo bye; exit' TERM; "
            "echo $$ >>w.0; while :; do sleep 0.05; done"]), (0, "", ""))
        self.await_run(0, 1)
        self.stop("TERM/60")
        text = "".join(self.read(name) for name in [
            "log.%d" % number for number in range(99, 0, -1)
            if os.path.exists(self.path("log.%d" % number))] + ["log"])
        self.assertTrue(text.startswith("".join(
            "%d\n" % number for number in range(100, 301)) + "bye\n"), text)

    def test_many_rotations_do_not_make_it_deaf(self):
        """Minutes of them: each takes a while."""
        self.popen(self.driven(
            "@instead_of(os, 'unlink')\n"
            "def unlink(plain, path, *args, **options):\n"
            "    plain(path, *args, **options)\n"
            "    open('rotated', 'w').close()\n"
            "    time.sleep(0.03)\n",
            "-f", "-r", "-p", self.p, "-o", "log", "--log-size", "2",
            "--log-keep", "0", "--", "sh", "-c",
            "(trap '' USR1; exec seq 9000) & trap 'echo >usr1' USR1; "
            "while :; do sleep 0.05; done"))
        self.await_log("", "rotated")
        os.kill(self.pid(), signal.SIGUSR1)
        self.await_log("", "usr1")

    def test_a_signal_that_a_command_survives_is_no_hurry(self):
        """A slow reader still gets all."""
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        writer = os.open(self.path("fifo"), os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:         # until it is full
                os.write(writer, b"x" * 4096)
        os.close(writer)
        self.write("program.py", (
            "import daemonize, sys\n"
            "daemonize._PATIENCE, daemonize._LAST_CALL = 0.1, 0.2\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n"))
        process = self.popen([
            sys.executable, "-S", "program.py", "-f", "-H", "-o", "fifo",
            "sh", "-c", "trap 'echo >told' QUIT; echo >up; until [ -e go ]; "
            "do sleep 0.05; done; seq 1000; echo >done"])
        wait_until(lambda: os.path.exists(self.path("up")))
        process.send_signal(signal.SIGQUIT)
        wait_until(lambda: os.path.exists(self.path("told")))
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 0.3)
        self.write("go", "")
        wait_until(lambda: os.path.exists(self.path("done")))
        ended = time.monotonic()
        wait_until(lambda: time.monotonic() > ended + 0.5)
        got = b""
        while process.poll() is None or select.select([reader], [], [], 0)[0]:
            if select.select([reader], [], [], 0.1)[0]:
                chunk = os.read(reader, 1 << 16)
                got += chunk
                if not chunk:
                    break
        self.assertEqual(got.count(b"\n"), 1000)

    def test_stdout_and_stderr_apart(self):
        self.cli("-f", "-r", "-o", "out", "-e", "err", "--log-size", "1M",
                 "--", "sh", "-c", "echo to out; echo to err >&2")
        self.assertEqual(self.read("out"), "to out\n")
        self.assertRegex(self.read("err"), r"\Ato err\n[^\n]*with status 0\n")
        self.cli("-f", "-r", "-o", "same", "-e", "./same", "-H", "--", "sh",
                 "-c", "for i in 1 2 3 4; do echo $i; echo $i >&2; done")
        self.assertTrue(self.read("same").startswith(
            "1\n1\n2\n2\n3\n3\n4\n4\n"))

    def test_hup_reopens_for_logrotate(self):
        supervisor = self.supervise("-r", "-o", "log", "-H", command=(
            "sh", "-c", "trap 'echo hup' HUP; echo $$ >>w.0; i=0; while :; "
            "do i=$((i+1)); echo $i; sleep 0.01; done"))
        first = self.await_run(0, 1)
        for turn in range(3):
            wait_until(lambda: self.read("log").count("\n") > 5)
            os.rename(self.log, self.path("log.%d" % (3 - turn)))
            os.kill(supervisor, signal.SIGHUP)
            wait_until(lambda: os.path.exists(self.log))
        self.assertEqual(self.pids_of(0), [first])
        self.stop()
        lines = self.logs()[1].splitlines()
        self.assertRegex(lines.pop(), "killed by SIGTERM")
        self.assert_numbered(lines, len(lines))

    def test_what_grandchildren_write_after_the_death_is_kept(self):
        self.supervise("-r", "-o", "log", "-H", "--respawn-delay", "0",
                       command=("sh", "-c", "if ! [ -e up ]; then printf "
                                "half; %s -S -E -c 'import os, time\n"
                                "os.setsid()\n"
                                "open(\"up\", \"w\").close()\n"
                                "while not os.path.exists(\"go\"): "
                                "time.sleep(0.01)\n"
                                "print(\"late\")' & fi; until [ -e up ]; do "
                                "sleep 0.02; done; echo $$ >>w.0; exec sleep "
                                "1000" % sys.executable))
        first = self.await_run(0, 1)
        os.kill(first, signal.SIGKILL)
        self.await_run(0, 2)
        self.write("go", "")
        self.await_log(r"(?m)^halflate$")
        self.stop()

    def test_a_full_disk(self):
        if not ROOT:
            self.skipTest("only root can mount")
        full = self.path("full")
        os.mkdir(full)
        if self.call(["mount", "-t", "tmpfs", "-o", "size=4m", "none",
                      full])[0]:
            self.skipTest("no tmpfs can be mounted")
        self.addCleanup(subprocess.call, ["umount", "-l", full])
        with open(full + "/filler", "w") as file:
            file.write("x" * (970000 + (3 << 20)))
        self.supervise("-r", "-o", full + "/log", "-H", command=(
            "sh", "-c", "echo $$ >>w.0; seq 300000; echo >done; "
            "exec sleep 1000"))
        self.await_run(0, 1)
        # No room alone does not say that a write has failed. Each new
        # attempt renews the time of the file, but not its size.
        seen = {}

        def has_failed():
            info = os.stat(full + "/log")
            times = seen.setdefault(info.st_size, set())
            times.add(info.st_mtime_ns)
            return len(times) > 2 and not os.statvfs(full).f_bfree
        wait_until(has_failed)
        self.assertFalse(os.path.exists(self.path("done")))
        os.remove(full + "/filler")
        wait_until(lambda: os.path.exists(self.path("done")))
        wait_until(lambda: "\n300000\n" in self.read(full + "/log"))
        text = self.read(full + "/log").partition("\n300000\n")
        text = text[0] + text[1]
        lines = text.splitlines()
        told = [line for line in lines if "could not write" in line]
        self.assertEqual(len(told), 1)
        self.assertRegex(told[0], r"daemonize: could not write %s/log for "
                         r"[\d.]+ s: No space left on device" % full)
        self.assert_numbered([line for line in lines if line not in told],
                             300000)
        self.assertNotIn("done", self.read(full + "/log"))
        self.stop()
        self.hup_on_a_full_disk(full)
        with open(full + "/filler", "w") as file, \
                contextlib.suppress(OSError):
            file.write("x" * 8000000)
        self.supervise("-r", "-o", full + "/log", "-H", command=(
            "sh", "-c", "seq 100000; exec sleep 1000"))
        self.stop()

    def hup_on_a_full_disk(self, full):
        """logrotate's repair: no line is torn between two files."""
        os.remove(full + "/log")
        os.remove(self.path("w.0"))
        supervisor = self.supervise("-r", "-o", full + "/log", "-H", command=(
            "sh", "-c", "echo $$ >>w.0; seq 2000000 | head -c 10000000; "
            "exec sleep 1000"))
        self.await_run(0, 1)
        wait_until(lambda: not os.statvfs(full).f_bavail)
        os.rename(full + "/log", full + "/old")
        os.kill(supervisor, signal.SIGHUP)
        wait_until(lambda: os.path.exists(full + "/log"))
        shutil.move(full + "/old", self.path("old"))    # makes room
        wait_until(lambda: not os.statvfs(full).f_bavail)
        self.stop()
        old, new = self.read("old"), self.read(full + "/log")
        self.assertTrue(old.endswith("\n"), old[-30:])
        self.assert_numbered(
            [line for line in (old + new).splitlines() if " " not in line]
            [:old.count("\n") + 100], old.count("\n") + 100)

    def test_a_log_that_cannot_be_rotated_goes_on(self):
        os.makedirs(self.path("log.1/in the way"))
        self.cli("-f", "-o", "log", "--log-size", "100", "--log-keep", "1",
                 "--", "seq", "200")
        lines = self.read("log").splitlines()
        told = [line for line in lines if " " in line]
        self.assertIn(len(told), range(1, 9))   # not again at each line
        self.assertRegex(told[0], "cannot rotate .*/log: .*; it goes on as "
                         "it is")
        self.assert_numbered([line for line in lines if line not in told],
                             200)

    def test_a_log_that_cannot_be_reopened_goes_on(self):
        os.mkdir(self.path("sub"))
        supervisor = self.supervise("-r", "-o", "sub/log", "-H", command=(
            "sh", "-c", "echo $$ >>w.0; while :; do echo x; sleep 0.01; "
            "done"))
        self.await_run(0, 1)
        os.rename(self.path("sub"), self.path("moved"))
        os.kill(supervisor, signal.SIGHUP)
        self.await_log("daemonize: cannot reopen .*/sub/log: No such file or "
                       "directory; it goes on as it is\nx\n", "moved/log")
        os.rename(self.path("moved"), self.path("sub"))
        os.rename(self.path("sub/log"), self.path("sub/old"))
        os.kill(supervisor, signal.SIGHUP)
        self.await_log("x\n", "sub/log")
        self.stop()

    def test_devices_are_not_rotated(self):
        with open(os.devnull) as null:
            self.assertEqual(self.cli(
                "-f", "-o", os.devnull, "-e", os.devnull, "--log-size", "10",
                "--", "seq", "1000"), (0, "", ""))
            self.assertTrue(os.path.samestat(os.stat(os.devnull),
                                             os.fstat(null.fileno())))

    def test_a_killed_supervisor_breaks_the_pipe(self):
        supervisor = self.supervise("-r", "-o", "log", "-H", command=(
            "sh", "-c", "while echo x; do sleep 0.01; done"))
        self.await_log("x")
        os.kill(supervisor, signal.SIGKILL)
        self.assert_nothing_left()


class SyslogTest(SupervisedTestCase):

    def setUp(self):
        super().setUp()
        # sun_path has room for 107 bytes
        self.address = os.path.join(self.dir, "dev-log")
        self.write("logged.py", IDLE + (
            "import daemonize, sys\n"
            "daemonize._SYSLOG = ['/nonexistent', %r]\n"
            "daemonize._LAST_CALL = 999.0\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n" % self.address))

    def logged(self, *args):
        return self.call([sys.executable, "logged.py", *args])

    def syslogd(self):
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.address)
        server.bind(self.address)
        os.chmod(self.address, 0o777)
        server.settimeout(60)
        return server

    def test_streams_go_to_syslog(self):
        server = self.syslogd()
        process = self.popen([
            sys.executable, "logged.py", "-f", "-S", "--", "sh", "-c",
            "echo $$; until [ -e go ]; do sleep 0.02; done; exec >&2; "
            "echo oops; echo; printf half"])
        pid = int(re.match(rb"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
                           rb"sh\[(\d+)\]: \1\Z", server.recv(9999)).group(1))
        self.write("go", "")
        self.assertEqual((*process.communicate(timeout=60),
                          process.returncode), ("", "", 0))
        for text in (b"oops", b"", b"half"):
            self.assertRegex(server.recv(9999), rb"\A<27>.{15} sh\[%d\]: %s"
                             rb"\Z" % (pid, text))
        self.assertRegex(server.recv(9999), rb"\A<27>.{15} sh\[\d+\]: \d.* "
                         rb"daemonize: worker 0 .* exited with status 0\Z")

    def test_a_line_that_is_too_long_for_the_socket_is_split(self):
        server = self.syslogd()
        self.write("small.py", (
            "import socket\n"
            "class Small(socket.socket):\n"
            "    def sendto(self, *args):\n"
            "        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)\n"
            "        return super().sendto(*args)\n"
            "socket.socket = Small\n") + self.read("logged.py"))
        self.popen([sys.executable, "small.py", "-f", "-S", "--", "printf",
                    "%07000d\n%d\n", "7", "8"])
        text, parts = b"", 0
        while b"8" not in text:
            head, _, part = server.recv(9999).partition(b"]: ")
            if head.startswith(b"<30>"):
                text += part
                parts += 1
        self.assertGreater(parts, 2)
        self.assertEqual(text, b"0" * 6999 + b"78")

    def test_a_stream_that_was_closed_is_a_pipe(self):
        server = self.syslogd()
        process = self.popen([sys.executable, "-c", IDLE + (
            "import os, daemonize\n"
            "daemonize._SYSLOG = [%r]\n"
            "for fd in 0, 1: os.close(fd)\n"
            "def work():\n"
            "    os.write(1, b'out\\n')\n"
            "    if not os.path.exists('again'):\n"
            "        os.close(os.open('again', os.O_CREAT))\n"
            "        os._exit(3)\n"
            "daemonize.supervise(work, syslog=True)\n") % self.address])
        self.assertEqual(process.wait(60), 0)
        for pattern in b": out", b"status 3", b": out", b"status 0":
            self.assertIn(pattern, server.recv(9999))

    def test_the_tag_and_a_stream_that_is_named(self):
        server = self.syslogd()
        self.logged("-f", "-S", "-T", "tag", "-o", "log", "--", "sh", "-c",
                    "echo out; echo err >&2; exec sh -c 'echo x%9000s >&2'")
        self.assertEqual(self.read("log"), "out\n")
        self.assertRegex(server.recv(9999), rb"tag\[\d+\]: err\Z")

    def test_it_waits_for_a_syslogd_and_never_for_long(self):
        """One that is not there, does not read, and is started anew."""
        self.assertEqual(self.logged("-p", self.p, "-r", "-S", "--", "sh",
                                     "-c", "seq 2000; exec sleep 1000"),
                         (0, "", ""))
        server = self.syslogd()
        received = [server.recv(9999)]
        server.close()
        server = self.syslogd()
        while not received[-1].endswith(b": 2000"):
            received.append(server.recv(9999))
        numbers = [int(line.rpartition(b" ")[2]) for line in received
                   if b"daemonize" not in line]
        told = [line for line in received if b"daemonize" in line]
        for line in told:
            self.assertIn(b"could not write to syslog for ", line)
        # The closed one may have taken some with it
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(numbers[-1], 2000)
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_no_syslogd_and_a_start_that_fails(self):
        status, _, err = self.logged("-p", self.p, "-r", "-S", "--wait",
                                     "60", "sh", "-c", "echo hi; exit 3")
        self.assertEqual(status, 125)
        self.assertRegex(err, "sh exited with status 3 after .*; its output "
                         "went to syslog")
        self.assert_nothing_left()
        self.assertEqual(self.logged("-p", self.p, "-S", "--wait", "0", "--",
                                     "sh", "-c", "echo hi; exit 3"),
                         (0, "", ""))
        wait_until(lambda: marked(self.dir) == [self.pid()])
        self.stop("TERM/50")    # its command has ended, it has lines to say

    def test_no_syslogd_and_many_deaths(self):
        """They leave no pipes open."""
        self.assertEqual(self.logged(
            "-p", self.p, "-S", "--respawn-always", "--respawn-delay", "0",
            "--wait", "0", "sh", "-c", "echo $$ >>w.0; echo x"), (0, "", ""))
        self.await_run(0, 30)
        self.assertLess(len(os.listdir("/proc/%d/fd" % self.pid())), 20)
        self.stop()

    def test_no_syslogd_and_an_end(self):
        """An init is to know of it, though a line is lost."""
        self.write("logged.py", self.read("logged.py").replace(
            "999.0", "0.3"))
        self.assertEqual(self.logged("-f", "-S", "--", "sh", "-c",
                                     "echo hi; exit 3"), (3, "", ""))

    def test_no_syslogd_stops_nothing(self):
        self.assertEqual(self.logged("-p", self.p, "-w", "2", "-S", "--",
                                     "sh", "-c", self.STAY + "; seq 99999"),
                         (0, "", ""))
        os.kill(self.await_run(0, 1), signal.SIGKILL)
        self.await_run(0, 2)
        self.stop()
        for stop in "TERM/50", "QUIT/50":   # of one that passes signals on
            self.assertEqual(self.logged(   # BusyBox's sh ignores QUIT
                "-p", self.p, "-S", "--", sys.executable, *FAST, "-c",
                "import time\n"
                "for number in range(99999): print(number)\n"
                "time.sleep(1000)"), (0, "", ""))
            self.stop(stop)


class SuperviseTest(SupervisedTestCase):
    """supervise(), fork_processes(), task_id(), and Daemon with workers."""

    PRELUDE = (
        "import atexit, daemonize, os, signal, sys, time\n"
        "from daemonize import (Daemon, DaemonizeError, daemonize as detach,\n"
        "    fork_processes, supervise, task_id)\n"
        "def born():\n"
        "    with open('w.%d' % task_id(), 'a') as file:\n"
        "        file.write('%d\\n' % os.getpid())\n")

    def program(self, text, *args, **options):
        return self.python(self.PRELUDE + text, *args, **options)

    def test_a_function_is_run_and_run_again(self):
        status, out, err = self.program(
            "def work():\n"
            "    born()\n"
            "    runs = len(open('w.0').readlines())\n"
            "    if runs == 1: raise ValueError('first')\n"
            "    if runs == 2: sys.exit('second')\n"
            "    if runs == 3: os.kill(os.getpid(), 9)\n"
            "    if runs == 4: sys.exit(256 + 3)\n"
            "    print('fifth', task_id(), os.environ['DAEMONIZE_WORKER'])\n"
            "supervise(work, respawn_delay=0)\n"
            "print('over', task_id())\n")
        self.assertEqual((status, out), (0, "fifth 0 0\nover None\n"))
        self.assertRegex(err, (
            r"(?s)\ATraceback .*in work\n.*ValueError: first\n"
            r"[^\n]*exited with status 1; restart 1 in 0 s\nsecond\n[^\n]*"
            r"status 1; restart 2 in 0 s\n[^\n]*SIGKILL; restart 3 in 0 s\n"
            r"[^\n]*exited with status 3; restart 4 in 0 s\n"
            r"[^\n]*exited with status 0\n\Z"))

    def test_it_raises_when_it_gives_up(self):
        status, out, _ = self.program(
            "try:\n"
            "    supervise(lambda: sys.exit(4 * task_id()), workers=2,\n"
            "              respawn_max=1)\n"
            "except DaemonizeError as error:\n"
            "    print(error, error.exit_status)\n")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\Aworker 1 \(pid \d+\) exited with status 4; "
                         r"given up after 1 restarts 4\n\Z")

    def test_the_librarys_own_exit_handlers_run(self):
        """Those of the program do not; its children are left alone."""
        status, out, err = self.program(
            "import logging.handlers, multiprocessing, tempfile\n"
            "import concurrent.futures.process\n"
            "fork = multiprocessing.get_context('fork')\n"
            "logging.getLogger().addHandler(logging.handlers.MemoryHandler(\n"
            "    9, target=logging.StreamHandler(sys.stdout)))\n"
            "def child():\n"
            "    time.sleep(0.1)\n"
            "    print('child', flush=True)\n"
            "def work():\n"
            "    global kept\n"
            "    logging.warning('kept')\n"
            "    fork.Process(target=child).start()\n"
            "    kept = [tempfile.TemporaryDirectory(dir='.'),\n"
            "            concurrent.futures.ProcessPoolExecutor(\n"
            "                1, mp_context=fork)]\n"    # nothing guards us
            "    kept[1].submit(abs, 5).result()\n"
            "    pool = concurrent.futures.ThreadPoolExecutor(1)\n"
            "    pool.submit(time.sleep, 0.1)\n"
            "    pool.submit(print, 'thread', flush=True)\n"
            "atexit.register(print, 'atexit')\n"
            "logging.warning('before')\n"
            "closed = logging.StreamHandler(open(os.devnull, 'w'))\n"
            "logging.getLogger().addHandler(closed)\n"
            "closed.stream.close()\n"
            "mine = tempfile.TemporaryDirectory(dir='.')\n"
            "before = os.listdir('.')\n"
            "ours = fork.Process(target=idle, daemon=True)\n"
            "ours.start()\n"
            "supervise(work, workers=2)\n"
            "assert ours.is_alive()\n"
            "assert before == os.listdir('.')\n")
        self.assertEqual((status, sorted(out.split())), (0, [
            "atexit", "before", "child", "child", "kept", "kept", "thread",
            "thread"]), err)
        self.assertEqual(err.count(" exited with status 0\n"), 2, err)

    def test_a_failure_that_cannot_be_told_is_one(self):
        """Stderr on a full disk, closed, or gone."""
        for failure in ("sys.exit('no config')", "1 / 0", "sys.exit(2 ** 70)",
                        "sys.exit('')",
                        "sys.stderr.close(); sys.exit('x')",
                        "del sys.stderr; sys.exit('x')"):
            with self.subTest(failure=failure), open("/dev/full", "w") as full:
                self.assertEqual(self.program(
                    "def work(): %s\n"
                    "try: supervise(work, respawn_max=1, respawn_delay=0)\n"
                    "except DaemonizeError as error:\n"
                    "    print(error.exit_status)\n" % failure,
                    stderr=full)[:2],
                    (0, "255\n" if "**" in failure else "1\n"))

    @unittest.skipIf(sys.version_info < (3, 8), "has no shared memory")
    @unittest.skipIf(sys.version_info >= (3, 14),
                     "lets go of the resource tracker at each fork itself")
    def test_shared_memory_outlives_a_worker_that_has_opened_it(self):
        status, out, err = self.python(
            "import os\n"
            "from multiprocessing import shared_memory\n"
            "from daemonize import supervise\n"
            "memory = shared_memory.SharedMemory(create=True, size=99)\n"
            "def work():\n"
            "    other = shared_memory.SharedMemory(memory.name)\n"
            "    other.buf[0] = 5\n"
            "    other.close()\n"
            "    os.kill(os.getppid(), 15)\n"
            "    idle()\n"
            "try: supervise(work, respawn_max=0)\n"
            "finally:\n"
            "    again = shared_memory.SharedMemory(memory.name)\n"
            "    print(again.buf[0])\n"
            "    again.close()\n"
            "    memory.close()\n"
            "    memory.unlink()\n")
        self.assertEqual((status, out), (0, "5\n"), err)
        self.assertNotIn("leaked", err)

    def test_a_worker_that_daemonizes_is_none_any_more(self):
        self.program(
            "def work():\n"
            "    detach(%r, stdout='log', chdir=None)\n"
            "    print(task_id(), 'DAEMONIZE_WORKER' in str(os.environ))\n"
            "    supervise(lambda: print('supervised', flush=True))\n"
            "    try:\n"
            "        print('waits', flush=True)\n"
            "        idle()\n"
            "    except SystemExit as error: print(error.code)\n"
            "supervise(work)\n" % self.p)
        self.await_log("waits")
        self.stop()
        self.assertRegex(self.read("log"), r"(?s)\ANone False\nsupervised\n"
                         r".*\nwaits\n0\n\Z")

    def test_its_streams_block_again_afterwards(self):
        self.program("detach('p', stdout='log', chdir=None)\n"
                     "supervise(lambda: None, log_reopen=True)\n"
                     "print(os.get_blocking(1), flush=True)\n"
                     "idle()\n")
        self.await_log("True\n")

    def test_a_target_that_cannot_be_called(self):
        for target in "None", "5":
            status, _, err = self.program("supervise(%s)\n" % target)
            self.assertEqual(status, 1)
            self.assertIn("\nTypeError: not callable: " + target, err)

    def test_a_worker_killed_by_hand_comes_back(self):
        """SystemExit(143): finally and the worker's own atexit run."""
        supervisor = self.detached(
            "def work():\n"
            "    atexit.register(lambda: print('its atexit', flush=True))\n"
            "    try:\n"
            "        born()\n"
            "        idle()\n"
            "    finally: print('finally', flush=True)\n"
            "atexit.register(lambda: print('our atexit', flush=True))\n"
            "supervise(work, workers=2)\n"
            "print('over')\n", 2)
        os.kill(self.await_run(0, 1), signal.SIGTERM)
        self.await_run(0, 2)
        self.await_log(r"finally\nits atexit\n[^\n]*worker 0 .*exited with "
                       "status 143; restart 1 in 0 s")
        self.assertEqual(len(self.workers()), 2)
        self.assertTrue(is_alive(supervisor))
        self.stop()
        log = self.read("log")
        self.assertEqual(log.count("finally\n"), 3, log)
        self.assertEqual(log.count("its atexit\n"), 3, log)
        self.assertTrue(log.endswith("over\nour atexit\n"), log)
        self.assertEqual(log.count("our atexit"), 1)

    def detached(self, text, number=1, *, options=""):
        status, out, err = self.program(
            "detach('p', stdout='log', chdir=None%s)\n" % options + text)
        self.assertEqual((status, out, err), (0, "", ""))
        for worker in range(number):
            self.await_run(worker, 1)
        return self.pid()

    def test_a_second_sigterm_in_the_middle_of_the_first(self):
        """It comes while the end is being told."""
        status, _, err = self.program(
            "class Terminal:\n"
            "    def write(self, text): hook()\n"
            "def hook(*_): os.kill(os.getpid(), signal.SIGTERM)\n"
            "def work():\n"
            "    if not os.path.exists('again'):\n"
            "        os.close(os.open('again', os.O_CREAT))\n"
            "        sys.stderr = Terminal()\n"
            "        raise SystemExit('words')\n"
            "    sys.excepthook = hook\n"
            "    1 / 0\n"
            "try: supervise(work, respawn_max=1)\n"
            "except DaemonizeError: pass\n")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"exited with status 143; restart 1 in 0 s\n"
                         ".*exited with status 143; given up")

    def test_a_worker_killed_while_its_threads_run_comes_back(self):
        self.detached(
            "import threading\n"
            "def thread():\n"
            "    born()\n"
            "    time.sleep(1000)\n"
            "def work(): threading.Thread(target=thread).start()\n"
            "supervise(work)\n")
        def kill_again():
            """CPython may miss one that comes just before it waits."""
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids_of(0)[0], signal.SIGTERM)
            return self.pids_of(0)[1:]
        self.await_run(0, 1)
        wait_until(kill_again)
        self.await_log("exited with status 143; restart 1 in 0 s")
        self.stop()

    def test_other_signals_do_not_end_a_supervisor_in_python(self):
        self.detached(
            "def own(*args): open('own', 'w').close()\n"
            "signal.signal(signal.SIGPROF, own)\n"
            "def work():\n"
            "    def note(number, frame): open('alarm', 'w').close()\n"
            "    signal.signal(signal.SIGALRM, note)\n"
            "    born()\n"
            "    idle()\n"
            "supervise(work)\n")
        self.ok("-p", self.p, "-s", "ALRM")
        wait_until(lambda: os.path.exists(self.path("alarm")))
        self.ok("-p", self.p, "-s", "PROF")
        wait_until(lambda: os.path.exists(self.path("own")))
        self.assertEqual(len(self.workers()), 1)
        self.stop()

    def test_nothing_of_the_supervisor_is_the_workers(self):
        self.detached(
            "import json\n"
            "def reload(*args): pass\n"
            "signal.signal(signal.SIGHUP, reload)\n"
            "before = signal.getsignal(signal.SIGCHLD)\n"
            "def work():\n"
            "    fds = {}\n"
            "    for fd in os.listdir('/proc/self/fd'):\n"
            "        try: fds[fd] = os.readlink('/proc/self/fd/' + fd)\n"
            "        except OSError: pass\n"
            "    state = dict(fds=fds, hup=signal.getsignal(signal.SIGHUP) is "
            "reload, chld=signal.getsignal(signal.SIGCHLD) == before,\n"
            "        usr1=signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,"
            " mask=len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),\n"
            "        wakeup=signal.set_wakeup_fd(-1), status=daemonize.status"
            "('p'), group=os.getpgrp() == os.getpid())\n"
            "    try: supervise(work)\n"
            "    except DaemonizeError as error: state['nested'] = "
            "str(error)\n"
            "    name = 'state%d' % task_id()\n"
            "    with open(name + '.new', 'w') as file: json.dump(state, "
            "file)\n"
            "    os.rename(name + '.new', name)\n"
            "    born()\n"
            "    idle()\n"
            "supervise(work, workers=2, log_size='1M', retry='TERM/20')\n", 2)
        for number in range(2):
            state = self.report("state%d" % number)
            fds = sorted((int(fd), name) for fd, name in
                         state.pop("fds").items() if "/proc/" not in name)
            self.assertEqual([fd for fd, name in fds], [0, 1, 2, 240])
            self.assertEqual(fds[1][1][:5], "pipe:")
            self.assertEqual(fds[3][1], self.p)
            self.assertEqual(state, dict(
                hup=True, chld=True, usr1=True, mask=0, wakeup=-1,
                status=self.pid(), group=True, nested=(
                    "this is worker %d itself: it cannot supervise"
                    % number)))
        # Its call of status() has not cost the worker its lock
        self.assertEqual(len(self.workers()), 2)
        self.stop()

    def test_the_programs_own_children_are_left_to_it(self):
        status, out, _ = self.program(
            "import subprocess\n"
            "child = subprocess.Popen(['sh', '-c', 'exit 5'])\n"
            "def work():\n"
            "    time.sleep(0.2)\n"
            "supervise(work)\n"
            "print(child.wait(), signal.getsignal(signal.SIGTERM) == "
            "signal.SIG_DFL, signal.set_wakeup_fd(-1))\n")
        self.assertEqual((status, out), (0, "5 True -1\n"))

    def test_the_supervisor_killed_leaves_workers_that_are_found(self):
        os.kill(self.detached("def work():\n    born()\n    idle()\n"
                              "supervise(work, workers=2)\n", 2),
                signal.SIGKILL)
        wait_until(lambda: len(self.workers()) == 2 and not self.is_running())
        self.assertEqual(self.cli("-p", self.p, "--status")[0], 1)
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    def test_it_refuses_the_wrong_place_and_wrong_arguments(self):
        status, out, err = self.program(
            "import asyncio, threading\n"
            "def attempt(**options):\n"
            "    try: supervise(print, **options)\n"
            "    except (DaemonizeError, ValueError, TypeError) as error: "
            "print(type(error).__name__, error)\n"
            "thread = threading.Thread(target=attempt)\n"
            "thread.start(); thread.join()\n"
            "async def loop(): attempt()\n"
            "asyncio.run(loop())\n"
            "attempt(workers=0)\n"
            "attempt(workers=2.7)\n"
            "attempt(respawn=None)\n"
            "attempt(respawn='never')\n"
            "attempt(log_size=5)\n"
            "attempt(user='nosuchuser')\n")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.splitlines(), [
            "DaemonizeError only the main thread can set signal handlers, as "
            "supervise() and daemonize(foreground=True) do",
            "DaemonizeError daemonize() and supervise() must come before the "
            "event loop: neither loop nor threads survive a fork",
            "ValueError bad number: 0", "ValueError bad number: 2.7",
            "ValueError respawn is \"on-failure\" or \"always\"",
            "ValueError bad respawn: 'never'",
            "DaemonizeError a log that is to be rotated or reopened must be "
            "a file: name stdout or stderr",
            "DaemonizeError unknown user: nosuchuser"])

    def test_a_worker_that_changes_its_user(self):
        if not OTHERS:
            self.skipTest("only root can change users")
        status, out, err = self.program(
            "supervise(lambda: print(os.getuid(), os.environ['USER'], "
            "flush=True), user='nobody')\n"
            "print(os.getuid())\n")
        self.assertEqual((status, out), (0, "%d nobody\n0\n" % pwd.getpwnam(
            "nobody").pw_uid))

    def test_the_recipe_as_another_user(self):
        if not OTHERS:
            self.skipTest("only root can change users")
        os.chmod(self.dir, 0o777)
        # with site, which imports what that user may not be able to read
        self.assertEqual(self.program(
            self.DAEMON % "workers=1, user='nobody'", "start", flags=[]),
            (0, "", ""))
        users = [re.search(r"Uid:\t(\d+)", self.read(
                     "/proc/%d/status" % pid)).group(1)
                 for pid in (self.pid(), self.await_run(0, 1))]
        self.assertEqual(users, ["0", str(pwd.getpwnam("nobody").pw_uid)])
        self.stop()

    def test_a_worker_that_handles_systemexit_has_ended_well(self):
        self.assertEqual(self.program(
            "def work():\n"
            "    try: os.kill(os.getpid(), 15); time.sleep(9)\n"
            "    except SystemExit: pass\n"
            "supervise(work)\n")[0], 0)

    def test_fork_processes_keeps_tornados_contract(self):
        status, out, err = self.program(
            "assert task_id() is None\n"
            "number = fork_processes(3)\n"
            "assert number == task_id()\n"
            "born()\n"
            "runs = len(open('w.%d' % number).readlines())\n"
            "if number == 1 and runs < 4: os.kill(os.getpid(), 9)\n"
            "if number == 2 and runs < 3: sys.exit(1)\n"
            "print('worker', number, runs)\n")
        self.assertEqual(status, 0)
        self.assertEqual(sorted(out.splitlines()), [
            "worker 0 1", "worker 1 4", "worker 2 3"])
        self.assertRegex(err, r"SIGKILL; restart \d in 0 s")
        status, out, err = self.program(
            "os.cpu_count = lambda: 2\n"
            "print(fork_processes([None, 0, -1][int(sys.argv[1])]), "
            "flush=True)\n", "2")
        self.assertEqual(sorted(out.split()), ["0", "1"])

    def test_fork_processes_gives_up_and_leaves_no_siblings(self):
        status, out, err = self.program(
            "try:\n"
            "    if fork_processes(3, max_restarts=4): idle()\n"
            "    sys.exit(2)\n"
            "except RuntimeError as error: print(error)\n")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\AToo many child restarts, giving up: worker "
                         r"0 \(pid \d+\) exited with status 2; given up "
                         r"after 4 restarts\n\Z")
        self.assert_nothing_left()
        began = len(err.splitlines())
        self.assertEqual(began, 5 + 2, err)

    def test_a_sigterm_at_the_very_end_raises_nothing(self):
        """A worker must never return into the supervisor's program."""
        self.assertEqual(self.program(
            "plain = os._exit\n"
            "def late(status):\n"
            "    os._exit = plain\n"
            "    if task_id() is not None: os.kill(os.getpid(), 15)\n"
            "    plain(status)\n"
            "os._exit = late\n"
            "def work():\n"
            "    born()\n"
            "try: supervise(work, respawn_max=1)\n"
            "finally: print('over', task_id())\n")[:2], (0, "over None\n"))
        self.assertEqual(len(self.pids_of(0)), 1)

    def test_a_term_ends_the_children_of_fork_processes(self):
        for detach in ("", "detach('p', chdir=None)\n"):
            self.write("program.py", IDLE + self.PRELUDE + detach +
                       "fork_processes(2)\nborn()\nidle()\n")
            process = self.popen([sys.executable, "program.py"])
            for number in range(2):
                self.await_run(number, 1)
            if detach:
                self.assertEqual(len(self.workers()), 2)
                self.stop()
            else:
                process.terminate()
            self.assertEqual(process.wait(), 0)
            self.assert_nothing_left()
            os.remove(self.path("w.0"))
            os.remove(self.path("w.1"))

    DAEMON = ("class App(Daemon):\n"
              "    def run(self):\n"
              "        born()\n"
              "        if os.path.exists('broken') and not task_id(): 1 / 0"
              "\n"
              "        idle()\n"
              "sys.exit(App('p', stdout='log', chdir=None, wait=0.5, %s)"
              ".main())\n")

    def test_the_recipe_with_workers(self):
        for options in ("workers=2", "respawn='on-failure', workers=2, "
                        "log_size='1M', retry='TERM/30'"):
            self.assertEqual(self.program(self.DAEMON % options, "start"),
                             (0, "", ""))
            self.assertEqual(len(self.workers()), 2)
            self.await_run(0, 1)
            os.kill(self.await_run(1, 1), signal.SIGKILL)
            self.await_run(1, 2)
            status, out, err = self.program(self.DAEMON % options, "status")
            self.assertEqual((status, out), (0, "%d\n" % self.pid()))
            if "TERM" in options:
                os.kill(self.pid(), signal.SIGKILL)
            self.assertEqual(self.program(self.DAEMON % options, "stop"),
                             (0, "", ""))
            self.assert_nothing_left()
            for name in ("w.0", "w.1"):
                os.remove(self.path(name))

    def test_a_start_of_the_recipe_that_fails(self):
        self.write("broken", "")
        for options in ("workers=2", "respawn='always'"):
            status, out, err = self.program((self.DAEMON % options).replace(
                "wait=0.5", "wait=60"), "start")
            self.assertEqual((status, out), (125, ""))
            self.assertRegex(err, r"(?s)\Adaemonize: worker \d exited with "
                             r"status 1 after .*ZeroDivisionError")
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.p))

    def test_options_of_the_recipe_that_lack_a_partner(self):
        for options in ("workers=0", "respawn_max=2", "log_keep=3",
                        "respawn='alwys'", "nonsense=1"):
            status, out, err = self.program(self.DAEMON % options, "start")
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, r"\n(ValueError|TypeError): .*\n\Z")
        self.assertFalse(os.path.exists(self.p))

    def test_the_recipe_restarts_nothing_for_the_log_alone(self):
        self.assertEqual(self.program(self.DAEMON % "log_reopen=True",
                                      "start"), (0, "", ""))
        pid = self.await_run(0, 1)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(self.p))
        self.assertEqual(self.pids_of(0), [pid])
        self.assert_nothing_left()


# ---- Readiness -----------------------------------------------------------

class NotifyTestCase(SupervisedTestCase):
    """Services that follow orders: each word is a step."""

    SERVICE = r"""
import array, os, select, signal, socket, sys, time
def say(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        sender.sendmsg([text.encode()], [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            if fds else [])
def touch(name):
    os.rename(os.open(name + ".new", os.O_CREAT) and name + ".new", name)
def forked(step, *calls):
    pid = os.fork()
    if not pid:
        for call in calls or (lambda: follow(step),):
            call()
        os._exit(0)
    os.waitpid(pid, 0)
def stop_parent():
    os.kill(os.getppid(), signal.SIGSTOP)
    while open("/proc/%d/stat" % os.getppid()).read().rpartition(
            ")")[2].split()[0] != "T":
        time.sleep(0.01)
def barrier():
    reader, writer = os.pipe()
    say("BARRIER=1", writer)
    os.close(writer)
    return select.select([reader], [], [], 60)[0] and os.read(reader, 1) == b""
def follow(step):
    verb, _, rest = step.partition(" ")
    if "=" in verb:
        say(step)
    elif verb == "print":
        print(rest, flush=True)
    elif verb == "touch":
        touch(rest)
    elif verb == "await":
        while not os.path.exists(rest):
            time.sleep(0.01)
    elif verb == "barrier":
        touch(rest if barrier() else "unanswered")
    elif verb == "exit":
        os._exit(int(rest))
    elif verb == "kill":
        os.kill(os.getpid(), int(rest))
    elif verb == "only":
        number, _, step = rest.partition(" ")
        if number == os.environ.get("DAEMONIZE_WORKER", "0"):
            follow(step)
    elif verb == "flood":
        for _ in range(5000):
            say("X=" + 498 * "x")
    elif verb == "invent":
        for number in range(2000):
            say("V%d=%s" % (number, 16000 * "x"))
    elif verb == "stop":
        forked(rest, stop_parent, lambda: say("READY=1"), barrier)
    elif verb == "child":
        forked(rest)
    elif verb == "asking":
        forked(rest, lambda: follow(rest), barrier)
    elif verb == "setsid":
        forked(rest, os.setsid, lambda: follow(rest))
    elif verb == "mode":
        assert oct(os.stat(os.environ["NOTIFY_SOCKET"]).st_mode).endswith(rest)
    elif verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "last":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(
            say("READY=1") or not barrier()))
    elif verb == "polite":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(
            print("bye", flush=True) or 0))
    elif verb == "seen":
        with open(rest + ".new", "w") as file:
            for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
                print(os.environ.get(name), file=file)
            print(os.getpid(), file=file)
        os.rename(rest + ".new", rest)
    else:
        raise ValueError(step)
for step in sys.argv[1:]:
    follow(step)
while True:
    time.sleep(0.05)
"""

    def service(self, *steps):
        self.write("service.py", self.SERVICE)
        return ("--", sys.executable, *FAST, self.path("service.py"), *steps)

    # Time stands still until that file is there
    PATIENT = (
        "import os, sys, time\n"
        "plain = time.monotonic\n"
        "began = plain()\n"
        "time.monotonic = lambda: (\n"
        "    plain() if os.path.exists(%r) else began)\n")

    def patient(self, name, timeout, *args, inside=()):
        self.write("patient.py", self.PATIENT % self.path(name) +
                   "import daemonize\n"
                   "sys.exit(daemonize.main(sys.argv[1:]))\n")
        return self.popen([
            *inside, sys.executable, "patient.py", "-p", self.p,
            "--notify-await",
            "--notify-timeout", timeout, *args])

    def launch(self, *args, **options):
        return self.popen([*self.CLI, "-p", self.p, "--notify-await", *args],
                          **options)

    def touch(self, name):
        self.write(name + ".new", "")
        os.rename(self.path(name + ".new"), self.path(name))

    def await_file(self, name):
        wait_until(lambda: os.path.exists(self.path(name)), what=name)

    def end_of(self, process):
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def ends(self, process, status, out="", err=""):
        self.assertEqual(self.end_of(process), (status, out, err))

    def still_waits(self, launcher, seconds=0.2):
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + seconds)
        self.assertIsNone(launcher.poll())

    def parent_of(self, pid):
        return int(self.read("/proc/%d/stat" % pid).rpartition(")")[2]
                   .split()[1])

    def environ_of(self, pid, name):
        """Of a command: not until its exec is over."""
        with open("/proc/%d/environ" % pid, "rb") as file:
            found = dict(field.partition(b"=")[::2]
                         for field in file.read().split(b"\0"))
        return found.get(name.encode(), b"").decode()


    def assert_taken(self, pid, address):
        """Nobody else can bind what that process still speaks to."""
        self.assertTrue(is_alive(pid))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            with self.assertRaisesRegex(OSError, "in use"):
                other.bind(address.replace("@", "\0", 1))


class ReadinessTest(NotifyTestCase):

    def test_it_returns_when_the_command_is_ready(self):
        launcher = self.launch(*self.service("touch up", "await go",
                                             "READY=1"))
        self.await_file("up")
        self.assertIsNone(launcher.poll())
        self.assertIn("running", self.ok("-p", self.p, "--status"))
        self.touch("go")
        self.ends(launcher, 0)
        pid = self.pid()
        self.assertTrue(is_alive(pid))
        wait_until(lambda: marked(self.dir) == [pid])   # nothing of us stays
        self.stop()

    def test_other_words_are_not_readiness(self):
        launcher = self.launch(*self.service(
            "MAINPID=1\nREADY=0", "STATUS=READY=1", "READY=11", "X=\nREADY",
            "touch up", "await go", "MAINPID=1\nREADY=1\nERRNO=2"))
        self.await_file("up")
        self.still_waits(launcher)
        self.touch("go")
        self.ends(launcher, 0)

    def test_verbose_shows_the_status(self):
        steps = self.service("STATUS=half\x1b[2J way", "STATUS=",
                             "STATUS=" + "x" * 5000, "await go",
                             "STATUS=on port 80\nREADY=1")
        launcher = self.launch("-v", *steps)
        self.assertEqual(launcher.stdout.readline(),    # as they come
                         "daemonize: status: half\\x1b[2J way\n")
        self.assertEqual(launcher.stdout.readline(),
                         "daemonize: status: " + "x" * 5000 + "\n")
        self.touch("go")
        out, err = launcher.communicate(timeout=60)
        self.assertEqual((launcher.returncode, out, err), (
            0, "daemonize: status: on port 80\n"
            "daemonize: started, pid %d\n" % self.pid(), ""))
        self.stop()
        self.ends(self.launch(*steps), 0)
        self.stop()
        self.ends(self.launch("-vq", *steps), 0)

    def test_a_death_first_fails_the_start_at_once(self):
        for step, how in (("exit 3", "exited with status 3"),
                          ("exit 0", "exited with status 0"),
                          ("kill 11", "killed by SIGSEGV")):
            status, out, err = self.cli(
                "-p", self.p, "-o", "log", "--notify-await",
                "--notify-timeout", "1000", *self.service(
                    "print no\x07 config", "STATUS=x", step))
            self.assertEqual((status, out), (125, ""))
            self.assertRegex(err, r"\Adaemonize: .*%s after [\d.]+ s, before "
                             r"it was ready.*; the last that it wrote to log:"
                             r"\n    no\\x07 config\n\Z" % how)
            self.assertEqual("out of reach" in err, step == "exit 0")
            self.assertFalse(os.path.exists(self.p))
            self.assert_nothing_left()
        self.fails(127, "command not found: .*", "--notify-await", "nosuch")
        self.broken_elf("cmd")
        self.fails(127, "./cmd exists, but .*", "--notify-await", "./cmd")

    def test_a_death_after_it_is_none(self):
        self.ok("-p", self.p, "--notify-await", *self.service(
            "READY=1", "barrier answered", "exit 3"))
        self.await_file("answered")
        wait_until(lambda: not self.is_running())
        self.assert_nothing_left()

    def test_readiness_and_death_at_once(self):
        """Nobody knows which the starter sees; it must be one of them."""
        for step, statuses in (("exit 0", (0,)), ("exit 4", (0, 125))):
            status, _, err = self.cli("-p", self.p, "--notify-await",
                                      *self.service("READY=1", step))
            self.assertIn(status, statuses, err)
            self.assertNotIn("Traceback", err)
            self.assert_nothing_left()

    def test_not_ready_in_time(self):
        status, out, err = self.end_of(self.patient(
            "up", "0.1", "-o", "log", *self.service(
                "polite", "STATUS=loading\x07", "child touch up")))
        self.assertEqual((status, out), (124, ""))
        self.assertRegex(err, r"\Adaemonize: \S+ was not ready in [\d.]+ s:"
                         r" its last status was loading\\x07\n\Z")
        self.assertEqual(self.read("log"), "bye\n")     # TERM came first
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()
        self.fails(124, r"sleep was not ready in [\d.]+ s: READY=1 did not "
                   r"come \(does it speak sd_notify\?\)",
                   "--notify-await", "--notify-timeout", "0.1", "sleep",
                   "1000")

    def test_one_that_is_late_and_deaf_is_killed(self):
        status, _, err = self.python(
            "import daemonize, sys\n"
            "daemonize._schedule = lambda: [(15, 0.1), (9, 5)]\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
            "--notify-await", "--notify-timeout", "0.3",
            *self.service("deaf", "child touch up", "READY=0"))
        self.assertEqual(status, 124, err)
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()

    def test_it_may_ask_for_more_time(self):
        launcher = self.patient(
            "up", "0.3",
            *self.service("EXTEND_TIMEOUT_USEC=x", "EXTEND_TIMEOUT_USEC=-1",
                          "EXTEND_TIMEOUT_USEC=\xb2", "EXTEND_TIMEOUT_USEC="
                          + "9" * 5000, "EXTEND_TIMEOUT_USEC=1", "touch up",
                          "await go", "READY=1"))
        self.await_file("up")
        self.still_waits(launcher, 0.6)
        self.touch("go")
        self.ends(launcher, 0)
        self.stop()
        # Microseconds: less than the time there is changes nothing
        self.fails(124, r"\S+ was not ready in [\d.]+ s: .*",
                   "--notify-await", "--notify-timeout", "0.1",
                   *self.service("EXTEND_TIMEOUT_USEC=400000"))

    @unittest.skipUnless(LINUX, "the kernel names senders on Linux")
    def test_only_its_own_session_is_believed(self):
        launcher = self.patient(
            "go", "0.2", "-v", *self.service(
                "touch up", "setsid READY=1\nSTATUS=forged"))
        self.await_file("up")
        name = self.environ_of(self.pid(), "NOTIFY_SOCKET")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            with contextlib.suppress(ConnectionRefusedError):
                for _ in range(300):
                    sender.sendto(b"READY=1\nSTATUS=forged\n"
                                  b"EXTEND_TIMEOUT_USEC=99000000",
                                  name.replace("@", "\0"))
        self.touch("go")
        out, err = launcher.communicate(timeout=60)
        self.assertEqual((launcher.returncode, out), (124, ""))
        self.assertRegex(err, r"READY=1 came from pid \d+, which is not of "
                         "its session, or had gone\n")
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX and ROOT, "needs root, for a pid namespace")
    def test_nobody_outside_its_pid_namespace_is_believed(self):
        inside = ["unshare", "-p", "--fork", "--mount-proc"]
        if subprocess.call(inside + ["true"], stderr=subprocess.DEVNULL):
            self.skipTest("cannot unshare here")
        launcher = self.patient(
            "go", "0.2", "sh", "-c", "echo $NOTIFY_SOCKET >name.new; "
            "mv name.new name; exec sleep 1000", inside=inside)
        self.await_file("name")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1",
                          self.read("name").strip().replace("@", "\0"))
        self.touch("go")
        out, err = launcher.communicate(timeout=60)
        self.assertEqual((launcher.returncode, out), (124, ""))
        self.assertRegex(err, "READY=1 came from pid 0, which is not of its")

    def test_a_child_is_believed(self):
        self.ok("-p", self.p, "--notify-await", *self.service(
            "asking READY=1"))
        self.ok("-p", self.p, "--notify-await", "--restart", "--", "sh",
                "-c", "%s; exec sleep 1000" % " ".join(
                    "'%s'" % word for word in
                    self.service("READY=1", "barrier x", "exit 0")[1:]))
        self.stop()

    def test_a_barrier_is_answered(self):
        """Before readiness, with it, and ever after."""
        self.ok("-p", self.p, "--notify-await", *self.service(
            "barrier a", "READY=1", "barrier b", "STATUS=x", "await go",
            "barrier c"))
        self.touch("go")
        for name in "abc":
            self.await_file(name)
        self.assertFalse(os.path.exists(self.path("unanswered")))

    def test_systemd_notify(self):
        if not shutil.which("systemd-notify"):
            self.skipTest("systemd is not installed")
        # Again where it was not answered in the five seconds it waits
        script = ("until systemd-notify --status=hello; do :; done; "
                  "until systemd-notify --ready; do :; done; "
                  "systemd-notify --status=on || exit; "
                  "touch survived; exec sleep 1000")
        out = self.ok("-vp", self.p, "--notify-await", "sh", "-c", script)
        self.assertRegex(out, r"\A(daemonize: status: hello\n)+"
                         r"(daemonize: status: on\n)?"     # just then
                         r"daemonize: started, pid \d+\n\Z")
        self.await_file("survived")
        self.stop()
        os.remove(self.path("survived"))
        self.ok("-p", self.p, "--notify-await", "-w", "2", "sh", "-c", script)
        self.await_file("survived")
        os.remove(self.path("survived"))
        os.kill(self.workers()[0][1], signal.SIGKILL)
        self.await_file("survived")         # its successor is answered, too
        self.stop()

    def abandon(self, *args):
        """Kills a launcher, before time is up; so its starter leaves."""
        launcher = self.patient("killed", "0.05", *args)
        self.await_file("up")
        starter = self.parent_of(self.pid())
        os.kill(starter, signal.SIGSTOP)
        launcher.kill()
        launcher.wait()
        self.touch("late")
        os.kill(starter, signal.SIGCONT)
        wait_until(lambda: not is_alive(starter))

    def test_a_killed_launcher_does_not_harm_the_daemon(self):
        self.abandon(*self.service("touch up"))
        self.assert_alone(self.pid())
        self.assertIn("running", self.ok("-p", self.p, "--status"))
        self.stop()

    def test_a_launcher_that_is_killed_takes_the_starter_with_it(self):
        """At once: the daemon may say what it likes."""
        launcher = self.launch(*self.service(
            "touch up2", "await go", "READY=1", "barrier answered", "flood",
            "touch on"))
        self.await_file("up2")
        launcher.kill()
        wait_until(lambda: marked(self.dir) == [self.pid()])
        self.touch("go")
        self.await_file("answered")
        self.await_file("on")
        self.stop()

    def test_a_killed_launcher_does_not_harm_the_workers(self):
        self.abandon("-o", "log", "-w", "2", *self.service("only 1 touch up"))
        wait_until(lambda: len(self.workers()) == 2)
        first, second = (pid for _, pid in self.workers())
        os.kill(first, signal.SIGKILL)      # a failure, not of the start
        self.await_log("worker 0 .* killed by SIGKILL; restart 1 in 0 s")
        wait_until(lambda: len(self.workers()) == 2)
        self.assertEqual(self.workers()[1], (1, second))
        self.stop()

    def test_stopped_while_it_is_awaited(self):
        launcher = self.launch(*self.service("touch up"))
        self.await_file("up")
        self.ok("-p", self.p, "--stop")
        _, err = launcher.communicate(timeout=60)
        self.assertEqual(launcher.returncode, 125)
        self.assertIn("killed by SIGTERM", err)
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "elsewhere the socket is a file")
    def test_what_is_said_after_the_start_is_taken_and_dropped(self):
        """Without a process that reads it, and its name is nobody else's."""
        for options in (), ("-w", "2"), ("-S",):
            with self.subTest(options):
                self.ok("-p", self.p, *options, "--notify-await",
                        *self.service("READY=1", "await go", "only 0 flood",
                                      "RELOADING=1", "barrier answered",
                                      "only 0 touch on"))
                pids = {self.pid(), *(pid for _, pid in self.workers())}
                self.assert_alone(*pids)
                addresses = [self.environ_of(pid, "NOTIFY_SOCKET")
                             for pid in pids]
                before = {pid: doings(pid)[1] for pid in pids}
                self.touch("go")
                self.await_file("on")
                self.await_file("answered")
                if options:         # the supervisor has not read them
                    self.assertLess(doings(self.pid())[1]
                                    - before[self.pid()], 5)
                for address in filter(None, addresses):
                    self.assert_taken(self.pid(), address)
                self.stop()
                for name in "go", "on", "answered":
                    os.remove(self.path(name))
                self.assertFalse(os.path.exists(self.path("unanswered")))

    @unittest.skipUnless(LINUX, "elsewhere the socket is a file")
    def test_where_the_kernel_takes_no_filter(self):
        """Then it is refused, but never waited for."""
        for options in (), ("-w", "2"):
            self.assertEqual(self.call(self.driven(
                "@instead_of(socket.socket, 'setsockopt')\n"
                "def refused(plain, self, level, name, *args):\n"
                "    if name == 26: raise OSError(errno.EPERM, 'refused')\n"
                "    return plain(self, level, name, *args)\n",
                "-p", self.p, "-o", self.log, "--notify-await", *options,
                *self.service("READY=1", "await go", "only 0 flood"))),
                (0, "", ""))
            pid = (self.workers() or [(0, self.pid())])[0][1]
            address = self.environ_of(pid, "NOTIFY_SOCKET")
            self.assert_taken(pid, address)
            self.touch("go")
            self.await_log("BrokenPipeError")
            if options:
                self.stop()
            for name in "go", "log":
                os.remove(self.path(name))

    def test_a_stopped_daemon_is_not_hung_up_after_it(self):
        """The starter stays: see is_stopped(); with nothing of ours open."""
        reader, writer = os.pipe()
        self.ok("-p", self.p, "--notify-await", *self.service(
            "stop", "touch continued"), pass_fds=[writer])
        os.close(writer)
        with open(reader) as pipe:
            self.assertEqual(pipe.read(), "")
        pid = self.pid()
        wait_until(lambda: len(marked(self.dir)) == 2)
        os.kill(pid, signal.SIGCONT)
        self.await_file("continued")
        wait_until(lambda: marked(self.dir) == [pid])
        self.stop()

    def test_a_descriptor_that_is_passed_costs_no_lock(self):
        """One of the pidfile, which to close would drop it."""
        launcher = self.launch("-r", *self.service("touch up", "await go",
                                                   "READY=1"))
        self.await_file("up")
        worker = self.workers()[0][1]
        address = self.environ_of(worker, "NOTIFY_SOCKET")
        with open(self.p) as file, socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            supervisor = self.pid()
            opened = "/proc/%d/fd" % supervisor
            before = len(os.listdir(opened))
            for fds in [file.fileno()], [file.fileno()] * 250:
                sender.sendmsg([b"STATUS=x"], [(
                    socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(
                        "%di" % len(fds), *fds))], 0,
                    address.replace("@", "\0", 1))
            self.touch("go")
            self.ends(launcher, 0)      # so all has been heard
            self.assertEqual(locked_by(file, 0), supervisor)
            self.assertLessEqual(len(os.listdir(opened)), before)
        self.stop()

    @unittest.skipUnless(LINUX, "the kernel names senders on Linux")
    @unittest.skipUnless(LINUX, "reads /proc")
    def test_descriptors_that_a_command_makes_room_for_are_closed(self):
        launcher = self.launch("--", sys.executable, *FAST, "-c", (
            "import socket\nwith socket.socket(fileno=241) as ours:\n"
            "    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)\n"
            if not PYPY else "") + self.SERVICE, "touch up", *(
                100 * ["barrier x"]), "touch on")
        self.await_file("up")
        self.await_file("on")
        self.assertLess(len(os.listdir("/proc/%d/fd" % launcher.pid)), 40)
        launcher.kill()
        self.stop()

    @unittest.skipUnless(LINUX, "reads /proc")
    def test_what_a_command_invents_is_not_kept(self):
        launcher = self.launch(*self.service("touch up", "await go", "invent",
                                             "touch on"))
        self.await_file("up")
        starter = self.parent_of(self.pid())

        def memory():
            return int(re.search(r"VmRSS:\s*(\d+)", self.read(
                "/proc/%d/status" % starter)).group(1))

        before = memory()
        self.touch("go")
        self.await_file("on")
        if not PYPY:            # whose collector takes its time
            self.assertLess(memory() - before, 16000)
        launcher.kill()
        self.stop()

    def test_one_that_may_not_be_signalled(self):
        """As a user's, of a set-uid program."""
        status, _, err = self.python(
            "import daemonize, os, sys\n"
            "def kill(pid, number):\n"
            "    raise PermissionError(1, 'Operation not permitted')\n"
            "os.kill = kill\n"
            "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
            "--notify-await", "--notify-timeout", "0.2", "sleep", "1000")
        self.assertEqual(status, 124, err)
        self.assertRegex(
            err, r"\Adaemonize: sleep was not ready in .*; cannot end pid \d+:"
            r" Operation not permitted\n\Z")

    def test_an_error_after_the_outcome_stays_in_the_starter(self):
        self.assertEqual(self.python(
            "import daemonize, os\n"
            "plain, asked = os.waitpid, []\n"
            "def waitpid(pid, options):\n"
            "    if options & os.WUNTRACED: asked.append(1)\n"
            "    if len(asked) == 2: raise OSError('no')\n"
            "    return plain(pid, options)\n"
            "os.waitpid = waitpid\n"
            "status = daemonize.main(%r)\n"
            "print(status, flush=True)\n" % [
                "--notify-await", *self.service("READY=1")]),
            (0, "0\n", ""))

    def test_it_replaces_wait_and_needs_nothing_else(self):
        self.ok("--wait", "100", "--notify-await", *self.service("READY=1"))
        self.all_fail(2, [
            ("--notify-timeout goes with --notify-await",
             ("--notify-timeout", "5", "true")),
            (r"bad --notify-timeout: -1 \(see --help\)",
             ("--notify-await", "--notify-timeout", "-1", "true")),
            (r"bad --notify-timeout: x \(see --help\)",
             ("--notify-await", "--notify-timeout", "x", "true")),
            (r"bad --notify-timeout: 0 \(see --help\)",
             ("--notify-await", "--notify-timeout", "0", "true"))])

    @unittest.skipUnless(OTHERS, "only root can change users")
    def test_another_user_is_believed(self):
        os.chmod(self.dir, 0o777)
        for options in (), ("-w", "2"):
            self.ok("-p", self.p, "-u", "nobody", "--notify-await", *options,
                    "--", "/usr/bin/python3", *FAST, "-c", self.SERVICE,
                    "READY=1")
            self.ok("-p", self.p, "-u", "nobody", "--stop")

    def test_without_abstract_sockets(self):
        """A socket in /tmp then, which nobody else can enter."""
        def start(*args):
            return self.python(
                "import daemonize, sys\n"
                "daemonize._ABSTRACT = False\n"
                "sys.exit(daemonize.main(sys.argv[1:]))\n", "-p", self.p,
                "--notify-await", *args)
        options = ("-u", "nobody") if OTHERS else ()
        python = "/usr/bin/python3" if OTHERS else sys.executable
        os.chmod(self.dir, 0o777)
        for workers in (), ("-w", "2"):
            self.assertEqual(start(
                *options, *workers, "--", python, *FAST, "-c", self.SERVICE,
                "only 0 seen env", "only 0 mode 600",
                "only 0 barrier answered", "READY=1")[::2],
                (0, ""))
            self.await_file("answered")
            address = self.read("env").split()[0]
            self.assertRegex(address, r"\A/tmp/daemonize-\d+-\w{16}/socket\Z")
            self.assertFalse(os.path.exists(os.path.dirname(address)))
            self.ok("-p", self.p, *options, "--stop")
            for name in "env", "answered":
                os.remove(self.path(name))
        self.assertEqual(start("--notify-timeout", "0.2", "sleep",
                               "99")[0], 124)
        self.assert_nothing_left()


class WorkersReadinessTest(NotifyTestCase):

    def test_ready_when_all_workers_are(self):
        launcher = self.launch("-vw", "3", *self.service(
            "only 1 await begun", "only 1 STATUS=first", "only 1 STATUS=",
            "only 1 touch one", "only 1 await go", "READY=1"))
        # Before that the launcher may not know whose number is 1
        wait_until(lambda: len(self.workers()) == 3)
        wait_until(lambda: doings(self.pid())[2] == "S")
        self.touch("begun")
        self.await_file("one")
        self.still_waits(launcher)
        self.touch("go")
        out, err = launcher.communicate(timeout=60)
        self.assertEqual((launcher.returncode, out, err), (
            0, "daemonize: status: worker 1: first\n"
            "daemonize: started, pid %d\n" % self.pid(), ""))
        self.assertEqual(len(self.workers()), 3)
        self.stop()

    def test_a_death_first_fails_the_start(self):
        for step, how in (("exit 0", "exited with status 0"),
                          ("kill 9", "killed by SIGKILL")):
            status, _, err = self.cli(
                "-p", self.p, "-o", "log", "--notify-await", "-w", "3",
                "--notify-timeout", "100", *self.service(
                    "only 1 print words", "only 1 " + step, "READY=1"))
            self.assertEqual(status, 125)
            self.assertRegex(err, r"\Adaemonize: worker 1 %s after [\d.]+ s, "
                             "before all were ready" % how)
            self.assertIn("\n    words\n", err)
            self.assertFalse(os.path.exists(self.p))
            self.assert_nothing_left()
        self.fails(127, "command not found: .*", "--notify-await", "-r",
                   "nosuch")

    def test_an_exit_0_after_readiness_is_none(self):
        self.ok("-p", self.p, "--notify-await", "-w", "2", *self.service(
            "READY=1", "only 0 exit 0", "only 1 touch one"))
        wait_until(lambda: [number for number, _ in self.workers()] == [1])
        self.stop()

    def test_not_ready_in_time(self):
        status, _, err = self.end_of(self.patient(
            "up", "0.1", "-o", "log", "-w", "3", *self.service(
                "only 1 polite", "only 2 STATUS=", "only 1 READY=1",
                "only 0 STATUS=slow", "only 1 touch up")))
        self.assertEqual(status, 124)
        self.assertRegex(err, r"\Adaemonize: \S+ was not ready in [\d.]+ s:"
                         " worker 0, worker 2 did not say READY=1\n\\Z")
        self.assertIn("bye\n", self.read("log"))
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()

    def test_it_may_ask_for_more_time(self):
        launcher = self.patient(
            "up", "0.3", "-w", "2",
            *self.service(
                "only 1 EXTEND_TIMEOUT_USEC=60000000", "only 1 touch up",
                "await go", "READY=1"))
        self.await_file("up")
        self.still_waits(launcher, 0.6)
        self.touch("go")
        self.ends(launcher, 0)
        self.stop()

    @unittest.skipUnless(LINUX, "/proc counts context switches")
    def test_nobody_polls_while_waiting(self):
        launcher = self.launch("-w", "2", *self.service(
            "only 1 touch up", "await go", "READY=1"))
        self.await_file("up")
        self.await_sleep(launcher.pid, self.parent_of(self.pid()), self.pid())
        self.touch("go")
        self.ends(launcher, 0)
        self.await_sleep(self.pid())
        self.stop()

    def test_a_stranger_is_named(self):
        self.assertRegex(self.end_of(self.patient(
            "up", "0.1", "-r",
            *self.service("setsid READY=1", "touch up")))[2],
            r"READY=1 came from pid \d+, which is not of its session")

    def test_ready_and_dead_before_it_is_heard(self):
        for workers in "141":
            self.ok("-p", self.p, "--notify-await", "-w", workers,
                    *self.service("READY=1", "exit 0"))
            self.assert_nothing_left()

    def test_one_that_cannot_be_executed(self):
        self.broken_elf("cmd")
        for options in ("-r",), ("-w", "3"):
            self.fails(127, "./cmd exists, but its interpreter .* does not",
                       "-p", self.p, "--notify-await", *options, "./cmd")
            self.assert_nothing_left()

    def test_readiness_comes_too_late_for_a_start_that_has_failed(self):
        status, _, err = self.cli(
            "-p", self.p, "--notify-await", "-w", "2", *self.service(
                "last", "only 0 READY=1", "only 1 touch up", "only 0 await up",
                "only 0 exit 1"))
        self.assertEqual(status, 125)
        self.assertRegex(err, r"\Adaemonize: worker 0 exited with status 1 "
                         r"[^\n]*\n\Z")
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()

    def test_a_failing_start_keeps_its_schedule(self):
        """Each worker that ends in it does not begin it anew."""
        began = time.monotonic()
        status, _, err = self.cli(
            "-p", self.p, "--notify-await", "-w", "8", *self.service(
                "deaf", "child touch up", "only 0 exit 1"))
        self.assertEqual(status, 125)
        self.assertIn("worker 0 exited with status 1", err)
        self.assertLess(time.monotonic() - began, 20)
        self.assert_nothing_left()

    def test_a_supervisor_for_the_log_alone(self):
        launcher = self.launch("-vo", "log", "--log-size", "1M",
                               *self.service("print words", "touch up",
                                             "await go", "READY=1"))
        self.await_file("up")
        self.touch("go")
        out, _ = launcher.communicate(timeout=60)
        self.assertEqual((launcher.returncode, out), (
            0, "daemonize: started, pid %d\n" % self.pid()))
        self.assertEqual(self.read("log"), "words\n")
        self.stop()

    def test_who_is_told_of_readiness_reads_the_lines_before_it(self):
        """Although the supervisor gets no processor until then."""
        launcher = self.launch(
            "-o", "log", "--log-size", "1M", "--", "sh", "-c",
            'kill -STOP $PPID; exec "$@"', "sh", *self.service(
                "print words", "READY=1", "touch said")[1:])
        self.await_file("said")
        os.kill(self.pid(), signal.SIGCONT)
        self.ends(launcher, 0)
        self.assertEqual(self.read("log"), "words\n")
        self.stop()

    def test_a_schedule_of_weeks(self):
        self.fails(124, r"sleep was not ready in \d.*", "-p", self.p, "-r",
                   "--retry", "TERM/999999/INT/999999/HUP/999999",
                   "--notify-await", "--notify-timeout", "0.2", "sleep",
                   "1000")

    def test_stopped_while_they_are_awaited(self):
        launcher = self.launch("-w", "2", *self.service("only 1 touch up"))
        self.await_file("up")
        self.ok("-p", self.p, "--stop")
        self.ends(launcher, 125, "", "daemonize: the start of %s was broken "
                  "off by a signal\n" % sys.executable)
        self.assert_nothing_left()


class JudgeTest(NotifyTestCase):
    """The launcher judges a start, and only it reads what anybody can send.
    """

    def test_a_stopped_launcher_holds_nobody_up(self):
        """The starter keeps the time; a verdict that comes later agrees."""
        for options in ("-r",), ():
            launcher = self.launch("--notify-timeout", "0.5", *options,
                                   *self.service("touch up"),
                                   stderr=subprocess.PIPE,
                                   universal_newlines=True)
            self.await_file("up")
            os.kill(launcher.pid, signal.SIGSTOP)
            wait_until(lambda: not os.path.exists(self.p))
            os.kill(launcher.pid, signal.SIGCONT)
            _, err = launcher.communicate(timeout=60)
            self.assertEqual(launcher.returncode, 124, err)
            self.assertRegex(err, r"\Adaemonize: \S+ was ended: that it is "
                             r"ready was not heard in time \(was this process "
                             r"stopped, or pid \d+\?\)\n\Z")
            self.assert_nothing_left()
            os.unlink(self.path("up"))

    def test_a_service_that_talks_on_while_it_is_ended(self):
        """Neither side of the launcher and the starter waits for the other.

        Of the last words each byte makes eight: more than a pipe holds.
        """
        self.write("talk.py", (
            "import os, signal, socket, time\n"
            "address = os.environ['NOTIFY_SOCKET'].replace('@', '\\0')\n"
            "server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "def talk(*args):\n"
            "    os.write(1, b'\\xff' * 9000)\n"
            "    os.write(2, b'\\xfe' * 9000)\n"
            "    for _ in range(10000):\n"
            "        server.sendto(b'EXTEND_TIMEOUT_USEC=60000000', address)\n"
            "    os._exit(0)\n"
            "signal.signal(signal.SIGTERM, talk)\n"
            "open('up', 'w').close()\n"
            "while True: time.sleep(0.05)\n"))
        status, _, err = self.cli(
            "-p", self.p, "-o", "out", "-e", "err", "--notify-await",
            "--notify-timeout", "0.5", "--", sys.executable, *FAST, "talk.py")
        self.assertEqual(status, 124, err)
        self.assertIn("was not ready", err)
        self.assert_nothing_left()

    def test_a_launcher_that_is_late_hears_what_came_in_time(self):
        """When it learns of the daemon its clock is 31 s ahead."""
        launcher = self.popen(self.driven(
            "@instead_of(os, 'fork')\n"
            "def fork(plain):\n"
            "    pid = plain()\n"
            "    if pid and generation == 0:\n"
            "        while not os.path.exists('up'): time.sleep(0.01)\n"
            "        clock = time.monotonic\n"
            "        time.monotonic = lambda: clock() + 31\n"
            "    return pid\n",
            "-p", self.p, "--notify-await", "--notify-timeout", "30",
            *self.service("READY=1", "touch up")))
        self.assertEqual(self.end_of(launcher), (0, "", ""))
        self.stop()

    def test_a_stdout_that_nobody_reads_holds_nobody_up(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        launcher = self.launch("-v", "--notify-timeout", "10", *self.service(
            "STATUS=first", "touch up", "STATUS=second", "await go",
            "READY=1"), stdout=writer)
        os.close(writer)
        self.await_file("up")
        pid = self.pid()
        starter = self.parent_of(pid)
        self.touch("go")
        # It leaves; or it ends the daemon
        wait_until(lambda: not is_alive(starter))
        self.assertTrue(is_alive(pid))
        self.assertNotIn(b"status", os.read(reader, 1 << 20))
        self.assertEqual(launcher.wait(60), 0)
        self.stop()

    def test_a_stopped_launcher_stops_no_restart(self):
        """When the trial is over without it; and what dies then is of no
        start.
        """
        launcher = self.popen([
            *self.CLI, "-p", self.p, "-r", "--wait", "1",
            "--", "sh", "-c", self.STAY])
        self.await_run(0, 1)
        began = time.monotonic()
        os.kill(launcher.pid, signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > began + 2.9)
        os.kill(self.pids_of(0)[0], signal.SIGKILL)
        self.await_run(0, 2)
        os.kill(launcher.pid, signal.SIGCONT)
        self.assertEqual(launcher.wait(60), 0)
        self.assertTrue(is_alive(self.pids_of(0)[1]))
        self.stop()

    def test_a_stopped_launcher_is_told_when_it_ended(self):
        began = time.monotonic()
        launcher = self.popen(
            [*self.CLI, "-p", self.p, "--wait", "60", "--", "sh", "-c",
             "echo $$ >up; until [ -e go ]; do sleep 0.05; done; exit 3"])
        self.await_file("up")
        os.kill(launcher.pid, signal.SIGSTOP)
        pid = int(wait_until(lambda: self.read("up")))
        self.touch("go")
        wait_until(lambda: not is_alive(pid))
        ended = time.monotonic()
        wait_until(lambda: time.monotonic() > ended + 2)
        os.kill(launcher.pid, signal.SIGCONT)
        status, _, err = self.end_of(launcher)
        self.assertEqual(status, 125)
        seconds = re.search(r"sh exited with status 3 after ([\d.]+) s", err)
        self.assertLess(float(seconds.group(1)), ended - began + 1, err)

    @unittest.skipUnless(LINUX, "needs F_SETPIPE_SZ")
    def test_a_stopped_launcher_with_a_small_pipe_holds_nobody_up(self):
        """As an ordinary user has them whose other pipes hold 64 MiB."""
        launcher = self.popen(self.driven(
            "import fcntl\n"
            "@instead_of(os, 'pipe')\n"
            "def pipe(plain):\n"
            "    ends = plain()\n"
            "    fcntl.fcntl(ends[0], 1031, 4096)\n"
            "    return ends\n",
            "-p", self.p, "-w", "2", "-o", "log", "--log-size", "1M",
            "--wait", "60", "--", "sh", "-c", "echo $$ >>w.$DAEMONIZE_WORKER; "
            "[ $DAEMONIZE_WORKER = 1 ] && exec sleep 1000; until [ -e go ]; "
            "do sleep 0.05; done; printf %6000d 1; echo; exit 1"))
        self.await_run(0, 1)
        self.await_run(1, 1)
        os.kill(launcher.pid, signal.SIGSTOP)
        self.touch("go")
        wait_until(lambda: not is_alive(self.pids_of(0)[0]))
        self.ok("-p", self.p, "--stop", "--retry", "TERM/30")
        os.kill(launcher.pid, signal.SIGCONT)
        status, _, err = self.end_of(launcher)
        self.assertEqual(status, 125, err)
        self.assertRegex(err, r"\Adaemonize: (worker 0|the supervisor) exited")

    def test_a_death_of_the_starter_names_the_daemon(self):
        launcher = self.launch(*self.service("touch up"))
        self.await_file("up")
        pid = self.pid()
        os.kill(self.parent_of(pid), signal.SIGKILL)
        self.assertEqual(self.end_of(launcher), (
            125, "", "daemonize: the start was broken off by a death: pid "
            "%d may run\n" % pid))
        self.stop()

    def test_a_fork_of_a_thread_holds_no_launcher_up(self):
        """It has all pipes of the start, and may live for long."""
        self.write("program.py", DRIVER + (
            "first = True\n"
            "@instead_of(os, 'fork')\n"
            "def fork(plain):\n"
            "    global first\n"
            "    if first:\n"
            "        first = False\n"
            "        if not plain():\n"
            "            while not os.path.exists('go'): time.sleep(0.05)\n"
            "            os._exit(0)\n"
            "    return plain()\n"
            "import daemonize\n"
            "daemonize.daemonize('p', stdout='log', chdir=None)\n"
            "time.sleep(1000)\n"))
        launcher = self.popen([sys.executable, "-S", "program.py"])
        self.assertEqual(launcher.wait(20), 0)
        self.touch("go")
        self.stop()

    def test_a_stopped_launcher_leaves_the_daemon_to_others(self):
        launcher = self.launch("-r", *self.service("touch up"))
        self.await_file("up")
        os.kill(launcher.pid, signal.SIGSTOP)
        self.ok("-p", self.p, "--stop")
        os.kill(launcher.pid, signal.SIGCONT)
        self.assertEqual(launcher.wait(60), 125)
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX and shutil.which("strace"), "needs strace")
    def test_nobody_else_receives(self):
        """To close what a stranger has passed can take as long as he likes.
        """
        for options in ("-r", "-w", "2"), ():
            trace = self.path("trace%d" % len(options))
            process = self.popen(
                ["strace", "-fqqo", trace, "-e", "trace=recvmsg", *self.CLI,
                 "-p", self.p, "--notify-await", *options,
                 *self.service("STATUS=up", "only 0 touch up", "await go",
                               "READY=1", "only 0 barrier answered")],
                stderr=subprocess.PIPE, universal_newlines=True)
            wait_until(lambda: os.path.exists(self.path("up"))
                       or process.poll() is not None)
            if process.poll() is not None:
                self.skipTest("strace: " + process.stderr.read())
            pid = self.pid()
            starter = self.parent_of(pid)
            self.touch("go")
            self.await_file("answered")
            wait_until(lambda: not is_alive(starter))
            self.ok("-p", self.p, "--stop")
            self.assertEqual(self.end_of(process)[::2], (0, ""))
            readers = {line.split()[0] for line in
                       self.read(trace).splitlines() if "recvmsg(" in line}
            self.assertEqual(len(readers - {str(pid), str(starter)}), 1)
            self.assertEqual(len(readers), 1)
            for name in "answered", "go", "up":
                os.unlink(self.path(name))

    @unittest.skipUnless(ROOT, "needs root, to become somebody else")
    def test_many_long_messages_at_once(self):
        """Each is read as a whole: PATH may be longer than a pipe."""
        os.mkdir(self.path("private"), 0o700)
        self.script("private/only-root", "sleep 1000")
        os.chmod(self.dir, 0o755)
        path = ":".join([self.path("private")]
                        + ["/" + "x" * 1000] * 100)
        script = ("import daemonize, shlex, sys\n"
                  "sys.exit(daemonize.main(sys.argv[1:]))\n")
        for options in (), ("-r",), ("-w", "8"):
            status, out, err = self.python(
                script, "-p", self.p, "-u", "nobody", *options, "--",
                "only-root", env=dict(self.env, PATH=path))
            self.assertEqual((status, out), (127, ""), err[:200])
            self.assertEqual(err, "daemonize: command not found: only-root "
                             "(PATH is %s)\n" % path)
            self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_whoever_is_born_while_the_session_is_ended(self):
        self.write("command.py", """
import os, sys, time
def await_file(name):
    while not os.path.exists(name):
        time.sleep(0.01)
if os.fork():
    await_file("ready")
    sys.exit(3)
os.setpgid(0, 0)
os.mkdir("ready")
await_file("looked")
if not os.fork():
    os.mkdir("born")
time.sleep(1000)
""")
        status, out, err = self.call(self.driven("""
@instead_of(os, "listdir")
def listdir(plain, path="."):
    names = plain(path)
    if (generation == 1 and path == "/proc" and os.path.exists("ready")
            and not os.path.exists("looked")):
        os.mkdir("looked")
        while not os.path.exists("born"):
            time.sleep(0.01)
    return names
""", "-p", self.p, "--wait", "60", sys.executable, *FAST, "command.py"))
        self.assertEqual((status, out), (125, ""), err)
        self.assertIn("exited with status 3", err)
        self.assertTrue(os.path.exists(self.path("born")))
        self.assert_nothing_left()

    def test_a_starter_killed_before_it_has_ended_a_failed_start(self):
        """What has failed may live: that is said."""
        status, out, err = self.call(self.driven("""
@instead_of(os, "kill")
def kill(plain, pid, number):
    plain(os.getpid() if generation == 1 else pid, 9)
""", "-p", self.p, "--notify-await", "--notify-timeout", "0.1", "sleep",
            "1000"))
        self.assertEqual((status, out), (124, ""), err)
        self.assertRegex(err, r"\Adaemonize: sleep was not ready in .*; the "
                         r"start was broken off by a death\n\Z")
        self.ok("-p", self.p, "--stop")
        self.assert_nothing_left()

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_daemon_that_is_stopped_when_the_starter_leaves(self):
        """Then the launcher, which has been told otherwise, does not wait."""
        self.assertEqual(self.call(self.driven("""
@instead_of(os, "waitpid")
def waitpid(plain, pid, options):
    result = plain(pid, options)
    if (generation == 1 and options & os.WUNTRACED and result == (0, 0)
            and not os.path.exists("stopped")):
        os.mkdir("stopped")
        os.kill(pid, signal.SIGSTOP)
        while state(pid) != "T":
            time.sleep(0.01)
    return result
""", "-p", self.p, "sh", "-c", "trap '' HUP; exec sleep 1000")), (0, "", ""))
        self.assertTrue(os.path.exists(self.path("stopped")))
        self.assert_alone(self.pid())

    @unittest.skipUnless(LINUX, "needs /proc")
    def test_a_killed_launcher_and_a_program_that_dies_of_sigpipe(self):
        """Its supervisor does not, when it tells of a death."""
        self.write("app.py", """
import signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
import daemonize
class App(daemonize.Daemon):
    def run(self):
        open("up", "w").close()
        time.sleep(1000)
App("p", stdout="log", respawn="on-failure", wait=60, chdir=None).start()
""")
        launcher = self.popen([sys.executable, "-S", "app.py"])
        self.await_file("up")
        supervisor = self.pid()
        with open("/proc/%d/task/%d/children" % (
                supervisor, supervisor)) as file:
            worker = int(file.read())
        os.kill(supervisor, signal.SIGSTOP)
        launcher.kill()
        launcher.wait()
        os.kill(worker, signal.SIGKILL)
        os.kill(supervisor, signal.SIGCONT)
        wait_until(lambda: "restart 1 in 0 s" in self.read("log"))
        self.ok("-p", self.p, "--stop")

    def test_a_starter_that_fails_when_it_is_to_leave(self):
        """It ends what it has begun, and so the start is none."""
        for options in [], ["-r"]:
            status, out, err = self.call(self.driven("""
@instead_of(os, "waitpid")
def waitpid(plain, pid, options):
    if generation == 1 and options & os.WUNTRACED:
        raise OSError(errno.ENOMEM, "no memory")
    return plain(pid, options)
""", "-p", self.p, "--notify-await", *options, *self.service("READY=1")))
            self.assertEqual((status, out, err), (
                125, "", "daemonize: cannot start: no memory\n"))
            self.assert_nothing_left()
            self.assertFalse(os.path.exists(self.p))

    def test_an_interrupt_when_signals_are_being_blocked(self):
        """Python raises it behind the work of pthread_sigmask()."""
        self.assertEqual(self.python("""
import os
try:
    import _signal as signal
except ImportError:
    import signal
import daemonize
plain = signal.pthread_sigmask
def pthread_sigmask(how, numbers):
    mask = plain(how, numbers)
    if how == signal.SIG_BLOCK and signal.SIGINT in numbers:
        raise KeyboardInterrupt
    return mask
signal.pthread_sigmask = pthread_sigmask
try:
    daemonize.daemonize("p")
except KeyboardInterrupt:
    print(plain(signal.SIG_BLOCK, ()), os.path.exists("p"))
"""), (0, "set() False\n", ""))


class ReadyTest(NotifyTestCase):
    """The library: daemonize(notify_await=...) and ready()."""

    def daemonized(self, body, patience=60, before=""):
        return self.python(
            before + "import os, sys, time\n"
            "from daemonize import DaemonizeError, daemonize, ready\n"
            "try:\n"
            "    daemonize('p', stdout='log', chdir=None, wait=60,\n"
            "              notify_await=%s)\n"
            "except DaemonizeError as error:\n"
            "    print(error.exit_status, error)\n"
            "    sys.exit(9)\n" % patience + body)

    def test_it_returns_when_the_program_is_ready(self):
        self.assertEqual(self.daemonized(
            "before = sys.excepthook\n"
            "print([name for name in map(os.readlink, ['/proc/self/fd/%s' % fd"
            " for fd in range(240) if os.path.exists('/proc/self/fd/%s' % fd)"
            "]) if 'socket' in name])\n"
            "print(os.environ['NOTIFY_SOCKET'])\n"
            "ready()\n"
            "print(os.environ.get('NOTIFY_SOCKET'),\n"
            "      before == sys.excepthook,\n"
            "      sys.excepthook == sys.__excepthook__)\n"
            "ready()\n"
            "print('again', flush=True)\n"
            "idle()\n"), (0, "", ""))
        self.await_log("again")
        address = self.read("log").split()[1]
        self.assertEqual(self.read("log"), "[]\n%s\nNone False True\nagain\n"
                         % address)
        if LINUX:
            self.assert_taken(self.pid(), address)
        self.assertIn("running", self.ok("-p", self.p, "--status"))
        wait_until(lambda: marked(self.dir) == [self.pid()])
        self.stop()

    def test_a_program_that_clears_its_environment(self):
        self.assertEqual(self.daemonized(
            "os.environ.clear()\n"
            "ready()\nidle()\n"), (0, "", ""))
        self.kill_all()

    def test_the_launcher_waits_for_it(self):
        self.write("program.py", IDLE + (
            "import os, time\n"
            "from daemonize import daemonize, ready\n"
            "daemonize('p', chdir=None, notify_await=60)\n"
            "open('up', 'w').close()\n"
            "while not os.path.exists('go'): time.sleep(0.01)\n"
            "ready()\nidle()\n"))
        launcher = self.popen([sys.executable, "program.py"])
        self.await_file("up")
        self.assertIsNone(launcher.poll())
        self.touch("go")
        self.ends(launcher, 0)

    def test_a_program_that_dies_of_sigpipe_survives_its_launcher(self):
        self.write("program.py", (
            "import os, signal, time\n"
            "from daemonize import daemonize\n"
            "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
            "daemonize('p', chdir=None, notify_await=60, stderr='log')\n"
            "open('up', 'w').close()\n"
            "while not os.path.exists('go'): time.sleep(0.01)\n"
            "raise LookupError('no config')\n"))
        launcher = self.popen([sys.executable, "program.py"])
        self.await_file("up")
        launcher.kill()
        launcher.wait()
        self.touch("go")
        wait_until(lambda: not os.path.exists(self.p))      # by atexit
        self.assertIn("LookupError: no config\n", self.read("log"))

    def test_an_exception_before_it_shows_its_traceback(self):
        body = ("def load():\n"
                "    raise LookupError('no \\x1b config')\n"
                "load()\n")
        status, out, err = self.daemonized(body)
        self.assertEqual((status, err), (9, ""))
        self.assertRegex(out, r"\A125 the daemon exited with status 1 after "
                         r"[\d.]+ s, before it was ready:\n"
                         r"    Traceback \(most recent call last\):\n")
        self.assertIn(", in load\n", out)
        self.assertTrue(out.endswith(
            "    LookupError: no \\x1b config\n"), out)
        self.assertIn("LookupError: no \x1b config\n", self.read("log"))
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()
        # uncaught, and without a log
        status, out, err = self.python(
            "from daemonize import daemonize\n"
            "daemonize('p', notify_await=60)\n" + body)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("\n    LookupError: no \\x1b config\n", err)
        self.assertIn("before it was ready", err)

    def test_a_program_with_a_hook_of_its_own(self):
        status, out, _ = self.daemonized(
            "theirs = sys.excepthook\n"
            "def hook(*error):\n"
            "    print('hooked', flush=True)\n"
            "    theirs(*error)\n"
            "sys.excepthook = hook\n"
            "raise LookupError('no config')\n")
        self.assertEqual(status, 9)
        self.assertIn("LookupError: no config\n", out)
        self.assertIn("hooked", self.read("log"))

    def test_exceptions_that_are_hard_to_show(self):
        for error, shown in (
                ("LookupError('caf\\udce9')", "LookupError: caf\\udce9"),
                ("SyntaxError('m', ('f', 'x', None, 3))", "SyntaxError"),
                ("LookupError('x\\n' * 100000)", "    x"),
                ("KeyboardInterrupt()", "KeyboardInterrupt")):
            status, out, err = self.daemonized("raise " + error + "\n")
            self.assertEqual((status, err), (9, ""))
            self.assertRegex(out, r"\A125 the daemon (exited with status 1|"
                             "exited with status 130|killed by SIGINT) after")
            self.assertIn(shown, out)
            self.assertNotIn("the last that it wrote", out)
            self.assertLess(out.count("\n"), 60)
            self.assert_nothing_left()

    def test_a_traceback_of_a_child_is_not_the_daemons(self):
        status, out, _ = self.daemonized(
            "if os.fork() == 0: raise LookupError('a child')\n"
            "os.wait()\n"
            "sys.exit(3)\n")
        self.assertEqual(status, 9)
        self.assertIn("exited with status 3", out)
        self.assertNotIn("before it was ready:\n    Traceback", out)

    def test_a_long_traceback_is_cut(self):
        status, out, _ = self.daemonized(
            "raise LookupError('x' * 100000 + 'end')\n")
        self.assertEqual(status, 9)
        self.assertTrue(out.endswith("xxxend\n"))
        self.assertLess(len(out), 9000)

    def test_other_ends_before_it(self):
        for body, how in (("sys.exit(3)", "exited with status 3"),
                          ("os._exit(0)", "exited with status 0"),
                          ("", "exited with status 0"),
                          ("os.abort()", "killed by SIGABRT"),
                          ("os.kill(os.getpid(), 15)\nidle()",
                           "exited with status 0")):
            status, out, err = self.daemonized(
                "print('words', flush=True)\n" + body)
            self.assertEqual((status, err), (9, ""))
            self.assertRegex(out, r"\A125 the daemon %s after [\d.]+ s, "
                             "before it was ready; the last that it wrote to "
                             "log:\n    words\n" % how)
            self.assert_nothing_left()
            os.remove(self.log)

    def test_not_ready_in_time(self):
        status, out, err = self.daemonized(
            "try:\n"
            "    open('up', 'w').close()\n"
            "    idle()\n"
            "finally: print('bye', flush=True)\n", 0.1,
            self.PATIENT % self.path("up"))
        self.assertEqual((status, err), (9, ""))
        self.assertRegex(out, r"\A124 the daemon was not ready in [\d.]+ s:"
                         r" ready\(\) was not called\n\Z")
        self.assertEqual(self.read("log"), "bye\n")
        self.assertFalse(os.path.exists(self.p))
        self.assert_nothing_left()

    def test_a_killed_launcher_does_not_harm_the_daemon(self):
        self.write("program.py", IDLE + (
            "import os, time\n"
            "from daemonize import daemonize, ready\n"
            "daemonize('p', stdout='log', chdir=None, notify_await=60)\n"
            "open('up', 'w').close()\n"
            "while not os.path.exists('go'): time.sleep(0.01)\n"
            "ready()\nprint('ready', flush=True)\nidle()\n"))
        launcher = self.popen([sys.executable, "program.py"])
        self.await_file("up")
        launcher.kill()
        self.touch("go")
        self.await_log("ready")
        wait_until(lambda: marked(self.dir) == [self.pid()])

    def test_nobody_waits(self):
        self.assertEqual(self.python(
            "import os, daemonize\n"
            "daemonize.ready()\n"
            "for name in ('/no/such/socket', '@daemonize-no-such', 'vsock:1',"
            " '', os.path.abspath('program.py')):\n"
            "    os.environ['NOTIFY_SOCKET'] = name\n"
            "    daemonize.ready()\n"
            "daemonize.daemonize('p', chdir=None)\n"
            "daemonize.ready()\n"
            "open('up', 'w').close()\n"
            "idle()\n"), (0, "", ""))
        self.await_file("up")
        self.stop()

    def test_a_socket_that_refuses(self):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.bind(self.path("socket"))
            stream.listen(1)
            self.env["NOTIFY_SOCKET"] = self.path("socket")
            status, _, err = self.python("import daemonize\n"
                                         "daemonize.ready()\n")
        self.assertEqual(status, 1)
        self.assertIn("DaemonizeError: cannot notify %s: Protocol wrong" %
                      self.path("socket"), err)

    def test_bad_values(self):
        self.assertEqual(self.python(
            "import daemonize\n"
            "for value in -1, 'x', float('nan'), 0, True:\n"
            "    try: daemonize.daemonize(notify_await=value)\n"
            "    except ValueError: print('no')\n"), (0, "no\n" * 5, ""))

    PROGRAM = (
        "import os, sys, time\n"
        "from daemonize import Daemon, daemonize, ready, supervise, task_id\n"
        "class App(Daemon):\n"
        "    def run(self):\n"
        "        if task_id() == 1:\n"
        "            open('one', 'w').close()\n"
        "            while not os.path.exists('go'): time.sleep(0.01)\n"
        "        if 'fail' in sys.argv: raise LookupError('no config')\n"
        "        ready()\n"
        "        idle()\n"
        "options = dict(chdir=None, notify_await=60)\n")

    def test_the_class(self):
        for more in "", ", respawn='on-failure'":
            program = self.PROGRAM + (
                "sys.exit(App('p', stdout='log', **options%s)"
                ".main(['start']))\n" % more)
            self.assertEqual(self.python(program), (0, "", ""))
            self.stop()
            status, _, err = self.python(program, "fail")
            self.assertEqual(status, 125)
            self.assertRegex(err, "\\Adaemonize: .* exited with status 1 "
                             "after .*, before it was ready:\n"
                             "    Traceback")
            self.assertIn("\n    LookupError: no config\n", err)
            self.assertIn("\nLookupError: no config\n", self.read("log"))
            self.assert_nothing_left()

    def test_the_class_with_workers(self):
        self.write("program.py", IDLE + self.PROGRAM +
                   "App('p', workers=2, **options).start()\n")
        launcher = self.popen([sys.executable, "program.py"])
        self.await_file("one")
        self.still_waits(launcher)
        self.touch("go")
        self.ends(launcher, 0)
        self.assertEqual(len(self.workers()), 2)
        os.kill(self.workers()[0][1], signal.SIGKILL)   # the next says it
        wait_until(lambda: len(self.workers()) == 2)    # to nobody's harm
        self.stop()

    def test_a_broken_hook_does_not_make_a_failure_a_success(self):
        """A worker that raises is started again, whatever its hook does."""
        self.assertEqual(self.python(
            "import sys, daemonize\n"
            "def hook(*error): raise ValueError('hook')\n"
            "sys.excepthook = hook\n"
            "def work():\n"
            "    daemonize.ready()\n"
            "    raise LookupError('caf\\udce9')\n"
            "class App(daemonize.Daemon): run = staticmethod(work)\n"
            "App('p', stdout='log', chdir=None, respawn='on-failure',\n"
            "    notify_await=60).start()\n"), (0, "", ""))
        self.await_log("exited with status 1; restart 2")
        self.stop()

    def test_late_with_a_traceback_of_its_workers(self):
        status, _, err = self.python(
            self.PATIENT % self.path("up") +
            "from daemonize import daemonize, supervise\n"
            "daemonize('p', stdout='log', chdir=None, notify_await=0.1)\n"
            "def work():\n"
            "    if os.path.exists('once'): open('up', 'w').close()\n"
            "    open('once', 'w').close()\n"
            "    raise LookupError('no config')\n"
            "supervise(work)\n")
        self.assertEqual(status, 1)
        self.assertIn("ready() was not called\n    Traceback", err)
        self.assertIn("    LookupError: no config\n", err)

    def test_workers_of_supervise_may_say_it(self):
        self.assertEqual(self.python(
            self.PROGRAM + "daemonize('p', **options)\n"
            "supervise(App('p').run, workers=1)\n"), (0, "", ""))
        self.stop()

    def test_in_the_foreground_it_is_for_an_init(self):
        for name in self.path("systemd"), "\0" + self.dir:
            with SystemD(name) as systemd:
                self.env["NOTIFY_SOCKET"] = name.replace("\0", "@")
                self.write("program.py", IDLE + self.PROGRAM +
                           "daemonize('p', foreground=True, **options)\n"
                           "ready()\n"
                           "print(os.environ['NOTIFY_SOCKET'], flush=True)\n"
                           "idle()\n")
                process = self.popen([sys.executable, "program.py"])
                self.assertEqual(systemd.hear(), (process.pid, "READY=1"))
                self.assertEqual(process.stdout.readline().strip(),
                                 self.env["NOTIFY_SOCKET"])
                process.terminate()
                process.wait()


class SystemD:
    """What systemd does for a service of Type=notify."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if LINUX:
            self.socket.setsockopt(socket.SOL_SOCKET, 16, 1)
        self.socket.bind(name)
        self.socket.settimeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def hear(self):
        """(pid of the sender, text)"""
        text, extras, _, _ = self.socket.recvmsg(4096, 256)
        return struct.unpack("i", extras[0][2][:4])[0], text.decode()


@unittest.skipUnless(LINUX, "systemd is Linux's")
class SystemdTest(NotifyTestCase):
    """In the foreground, under Type=notify and WatchdogSec="""

    def unit(self, *args):
        """As systemd starts it: WATCHDOG_PID is the pid of the service."""
        systemd = SystemD(self.path("systemd"))
        self.addCleanup(systemd.socket.close)
        self.env.update(NOTIFY_SOCKET=self.path("systemd"),
                        WATCHDOG_USEC="3000000")
        process = self.popen(
            ["sh", "-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh", sys.executable,
             SCRIPT, "-f", *args])
        return systemd, process

    def expect(self, name, pid):
        self.await_file(name)
        self.assertEqual(self.read(name).split(), [
            self.path("systemd"), "3000000", str(pid), str(pid)])

    def test_a_command(self):
        for options in (), ("-p", self.p), ("--notify-await",):
            systemd, process = self.unit(*options, *self.service(
                "seen env", "READY=1\nSTATUS=up", "WATCHDOG=1", "child X=1"))
            self.assertEqual(systemd.hear(),
                             (process.pid, "READY=1\nSTATUS=up"))
            self.assertEqual(systemd.hear(), (process.pid, "WATCHDOG=1"))
            self.assertNotEqual(systemd.hear()[0], process.pid)
            self.expect("env", process.pid)
            process.terminate()
            self.assertEqual(process.wait(), -signal.SIGTERM)
            os.remove(self.path("systemd"))
            os.remove(self.path("env"))

    def test_supervised_workers(self):
        systemd, process = self.unit("-p", self.p, "-w", "2", *self.service(
            "only 0 seen zero", "only 1 seen one", "READY=1", "WATCHDOG=1"))
        heard = sorted(systemd.hear() for _ in range(4))
        workers = dict(self.workers())
        self.assertEqual(heard, sorted(
            (pid, text) for pid in workers.values()
            for text in ("READY=1", "WATCHDOG=1")))
        self.expect("zero", workers[0])
        self.expect("one", workers[1])
        os.remove(self.path("zero"))
        os.kill(workers[0], signal.SIGKILL)     # and for the next one
        self.assertEqual(systemd.hear()[1], "READY=1")
        self.expect("zero", dict(self.workers())[0])
        process.terminate()
        self.assertEqual(process.wait(), 0)

    def test_a_proxy(self):
        systemd, process = self.unit("-o", "log", "--log-size", "1M",
                                     *self.service("seen env", "READY=1"))
        pid, text = systemd.hear()
        self.assertEqual(text, "READY=1")
        self.expect("env", pid)
        process.terminate()
        self.assertEqual(process.wait(), 128 + signal.SIGTERM)


class WaitingTest(NotifyTestCase):
    """What a person at a terminal sees of a long wait."""

    def on_terminal(self, *args, cli=DaemonTestCase.CLI):
        """A process with a terminal of its own: (pid, terminal)."""
        import pty
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(sys.executable, [*cli, *args], self.env)
        self.addCleanup(os.close, terminal)
        return pid, terminal

    def see(self, terminal, pattern, seen=b""):
        def look():
            nonlocal seen
            if select.select([terminal], [], [], 0)[0]:
                with contextlib.suppress(OSError):      # EIO: it has ended
                    seen += os.read(terminal, 4096)
            return re.search(pattern, seen)
        wait_until(look, what=pattern)
        return seen

    def await_line(self, pid, terminal, pattern, then):
        """After a second it is there, and then() ends what is awaited: it
        was written once, and nothing else.
        """
        line = rb"daemonize: waiting for " + pattern + rb"\r\n"
        seen = self.see(terminal, line)
        time.sleep(1.5)
        then()
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        with contextlib.suppress(OSError):      # EIO: it has ended
            seen += os.read(terminal, 4096)
        self.assertRegex(seen, rb"\A" + line + rb"\Z")

    def test_one_line_on_a_terminal_and_nothing_elsewhere(self):
        steps = self.service("deaf", "STATUS=x", "await go", "READY=1")
        script = self.launch(*steps)
        quiet = self.on_terminal("-qp", self.path("q"), "--notify-await",
                                 *steps)
        shown = self.on_terminal("-p", self.path("r"), "--notify-await",
                                 *steps)
        self.await_line(*shown, rb"\S+ to be ready",
                        lambda: self.touch("go"))
        self.assertEqual(os.waitpid(quiet[0], 0)[1], 0)
        with contextlib.suppress(OSError):
            self.assertEqual(os.read(quiet[1], 100), b"")
        self.ends(script, 0)
        daemon = self.pid()
        self.await_line(
            *self.on_terminal("-p", self.p, "--stop", "--retry",
                              "TERM/300/KILL/5"),
            rb"pid %d to end" % daemon,
            lambda: os.kill(daemon, signal.SIGKILL))

    def test_a_short_wait_is_silent(self):
        self.ok("-p", self.p, "sleep", "1000")
        pid, terminal = self.on_terminal("-p", self.p, "--stop")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        with contextlib.suppress(OSError):
            self.assertEqual(os.read(terminal, 4096), b"")

    def test_the_workers_of_a_killed_supervisor(self):
        self.ok("-p", self.p, "-r", "--wait", "0", "sh", "-c",
                "trap '' TERM; echo >up; while :; do sleep 1; done")
        wait_until(lambda: os.path.exists(self.path("up")))
        worker = self.workers()[0][1]
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: not self.is_running())
        self.await_line(
            *self.on_terminal("-p", self.p, "--stop", "-R", "TERM/1.2/KILL/9"),
            rb"pid %d to end" % worker, lambda: None)

    def test_verbose_shows_the_status_below_the_line(self):
        pid, terminal = self.on_terminal(
            "-vp", self.p, "--notify-await", *self.service(
                "await go", "STATUS=half\nREADY=1"))
        seen = self.see(terminal, b"waiting for")
        self.touch("go")
        seen = self.see(terminal, rb"started, pid \d+\r\n", seen)
        os.waitpid(pid, 0)
        self.assertRegex(seen, rb"\Adaemonize: waiting for [^\r\n]*\r\n"
                         rb"daemonize: status: half\r\n"
                         rb"daemonize: started, pid \d+\r\n\Z")

    def test_a_start_that_waits_for_the_pidfile(self):
        self.write("p", "")
        holder = self.hold_lock(self.p, 1 << 30, write=True)
        self.write("program.py", "import daemonize, sys\n"
                   "daemonize._CHANGE_TIMEOUT = 1000\n"
                   "sys.exit(daemonize.main(sys.argv[1:]))\n")
        self.await_line(
            *self.on_terminal("-p", self.p, "--wait", "0", "--", "sleep",
                              "1000", cli=[sys.executable, "program.py"]),
            rb"the start of sleep", lambda: os.kill(holder, signal.SIGKILL))

    def test_in_the_background_it_is_silent(self):
        """A job that writes to the terminal might be stopped."""
        self.write("job.sh", "set -m; stty tostop; \"$@\" &\n"
                   "wait $!; echo status=$?\n")
        import pty
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve("/bin/sh", [
                "sh", "job.sh", *self.CLI, "-p", self.p, "--notify-await",
                *self.service("await go", "READY=1")], self.env)
        self.addCleanup(os.close, terminal)
        began = time.monotonic()
        wait_until(lambda: os.path.exists(self.p) and self.read("p") and
                   time.monotonic() > began + 1.5)
        self.touch("go")
        seen = self.see(terminal, b"status=0")
        self.assertNotIn(b"waiting", seen)
        os.waitpid(pid, 0)


class SourceTest(DaemonTestCase):

    def test_the_import_brings_in_next_to_nothing(self):
        status, out, err = self.call([
            sys.executable, "-c",
            # time is in every bare interpreter but 3.7's
            "import sys, signal, fcntl, select, errno, struct, time\n"
            "import __future__\n"
            "sys.path.insert(0, %r)\n"
            "before = set(sys.modules)\n"
            "import daemonize\n"
            "print(sorted(set(sys.modules) - before))" % HERE])
        self.assertEqual((status, out, err), (0, "['daemonize']\n", ""))
        # -S: Debian's PyPy has a site that imports half the library
        status, out, err = self.call([
            sys.executable, "-S", "-c",
            "import sys\nsys.path.insert(0, %r)\n"
            "before = set(sys.modules)\nimport daemonize\n"
            "print(sorted({'signal', 'enum', 'functools', 'typing', 're'}\n"
            "             & (set(sys.modules) - before)))" % HERE])
        self.assertEqual((status, out, err), (0, "[]\n", ""))

    def test_the_import_has_no_side_effect(self):
        state = ("[os.listdir('/proc/self/fd'), [signal.getsignal(n) for n "
                 "in range(1, 32)], os.getcwd(), threading.active_count(), "
                 "sys.stdout, atexit._ncallbacks() if hasattr(atexit, "
                 "'_ncallbacks') else 0, dict(os.environ)]")
        status, out, err = self.python(
            "import atexit, os, signal, sys, threading\n"
            "before = %s\nimport daemonize\nassert before == %s\n"
            % (state, state))
        self.assertEqual((status, out, err), (0, "", ""))

    def test_every_public_name_is_in_the_docstring_and_documented(self):
        import daemonize
        for name in daemonize.__all__:
            self.assertRegex(daemonize.__doc__, r"\b%s\b" % name)
            self.assertTrue(getattr(daemonize, name).__doc__, name)
        public = {name for name, value in vars(daemonize).items()
                  if not name.startswith("_")
                  and getattr(value, "__module__", "") == "daemonize"}
        self.assertEqual(public, set(daemonize.__all__))

    def test_both_files_import_the_standard_library_alone(self):
        import ast
        known = set(getattr(sys, "stdlib_module_names", ()))
        if not known:
            self.skipTest("Python 3.10 knows its standard library")
        for path in (SCRIPT, __file__):
            with open(path) as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(
                    node, ast.Import) else [node.module] if isinstance(
                    node, ast.ImportFrom) else []
                for name in names:
                    self.assertIn(name.split(".")[0], known | {"daemonize"})


@unittest.skipUnless(os.path.exists(README), "copied without its README")
class ReadmeTest(DaemonTestCase):

    def setUp(self):
        super().setUp()
        with open(README, encoding="utf-8") as file:
            self.readme = file.read()

    def blocks(self, language):
        return [textwrap.dedent(block) for block in re.findall(
            r"(?ms)^ *```%s\n(.*?)^ *```$" % language, self.readme)]

    def test_it_shows_the_help_as_it_is(self):
        self.assertIn("```\n" + self.ok("--help") + "```", self.readme)

    def test_the_changelog_begins_with_this_version(self):
        import daemonize
        found = re.search(r"(?m)^## Changelog\n\n- \*\*(\S+)\*\*",
                          self.readme)
        self.assertEqual(found.group(1), daemonize.__version__)

    def test_the_python_blocks_run(self):
        self.assertTrue(self.blocks("python"))
        for block in self.blocks("python"):
            with self.subTest(block=block):
                block = block.replace("/run/", self.dir + "/").replace(
                    "/var/log/", self.dir + "/")
                status, out, err = self.python(
                    "import time\n"
                    "def serve_forever(): idle()\n"
                    "def open_database_and_listen(): pass\n" + block,
                    "start")
                self.assertEqual((status, err), (0, ""))
                for name in os.listdir(self.dir):
                    if name.endswith(".pid"):
                        self.ok("-p", name, "--stop")
                        break
                self.assert_nothing_left()

    def recipe(self, language, number=0):
        """With this machine's paths, and a user that it has."""
        here = {"/usr/bin/python3": sys.executable,
                "/usr/local/bin/python3": sys.executable,
                "/opt/daemonize.py": SCRIPT,
                "/usr/local/bin/app": self.path("app"),
                "/run/": self.dir + "/", "/var/run/": self.dir + "/",
                "/var/log/": self.dir + "/",
                "-u app ": "-u nobody " if OTHERS else "",
                '"-u", "nobody", ': '"-u", "nobody", ' if OTHERS else ""}
        block = re.sub("|".join(map(re.escape, here)),
                       lambda there: here[there.group()],
                       self.blocks(language)[number])
        self.script("app", "#!/bin/sh\necho up\nexec sleep 1000\n")
        return block

    def ends_well(self, process, workers=4):
        """It has begun with so many workers; and ends."""
        wait_until(lambda: b"\nsleep\0001000\0" * workers == b"".join(
            b"\n" + self.command_of(pid) for pid in marked(self.dir)
            if self.command_of(pid).startswith(b"sleep")))
        process.terminate()
        self.assertEqual(process.wait(), 0)
        self.assert_nothing_left()

    def test_systemd(self):
        unit = self.recipe("ini")
        self.write("app.service", unit)
        verify = ["systemd-analyze", "verify", "--man=no"]
        with self.subTest("systemd-analyze verify"):
            self.write("plain.service", "[Service]\nExecStart=/bin/true\n")
            # 262 makes /run/systemd if there is none, which a user may not
            if not shutil.which(verify[0]) or self.call(
                    [*verify, "./plain.service"])[0]:
                self.skipTest("systemd-analyze can verify nothing here")
            # no path of ours: systemd-analyze may not be able to see it
            self.write("app.service", self.blocks("ini")[0])
            seen = self.call([*verify, "./app.service"])
            self.assertNotIn("app.service", seen[1] + seen[2])
            self.assertEqual(seen[0], 0)
        os.mkdir(self.path("app.run"))      # RuntimeDirectory=
        command = re.search("(?m)^ExecStart=(.*)$", unit).group(1).replace(
            "app/app.pid", "app.run/app.pid").split()
        self.ends_well(self.popen(command))

    def test_inittab(self):
        """As init does it: "exec " and what comes after the third colon."""
        self.assertLessEqual(len(self.blocks("inittab")[0].split(":")[3]), 127)
        entry = self.recipe("inittab").rstrip("\n").split(":", 3)
        self.assertEqual(entry[:3], ["app", "2345", "respawn"])
        process = self.popen(["sh", "-c", "exec " + entry[3]])
        self.ends_well(process, 1)
        self.assertIn("up\n", self.read("app.log"))
        self.assertEqual(process.stderr.read(), "")     # it is in the log

    def test_runit(self):
        os.mkdir(self.path("service"))
        self.script("service/run", self.recipe("bash"))
        if shutil.which("runsv"):
            runsv = self.popen(["runsv", "service"])
            self.ends_well(runsv)
        else:
            self.ends_well(self.popen([self.path("service/run")]))

    def test_openrc(self):
        script = self.recipe("bash", 1)
        self.assertTrue(script.startswith("#!/sbin/openrc-run\n"))
        self.script("app.rc", (
            "ebegin() { echo \"$@\"; }\n"
            "eend() { return $1; }\n" + script + "\"$@\"\n"))
        for verb, status in (("status", 3), ("start", 0), ("status", 0),
                             ("start", 1), ("reload", 0), ("status", 0),
                             ("stop", 0), ("stop", 0), ("status", 3)):
            seen = self.call(["sh", "app.rc", verb])
            self.assertEqual(seen[0], status, seen)
        self.assert_nothing_left()

    def test_launchd(self):
        import plistlib
        plist = plistlib.loads(self.recipe("xml").encode())
        self.assertEqual(sorted(plist), [
            "KeepAlive", "Label", "ProgramArguments"])
        self.ends_well(self.popen(plist["ProgramArguments"]))
        self.assertIn("up\n", self.read("app.log"))

    def test_cron(self):
        """The lines as cron runs them: by sh, with a short PATH."""
        lines = self.recipe("crontab").splitlines()
        self.assertEqual([line.split("/")[0] for line in lines],
                         ["@reboot ", "* * * * * "])
        commands = [re.sub(r"\A(@reboot|[*] [*] [*] [*] [*]) ", "", line)
                    for line in lines]
        env = {"PATH": "/usr/bin:/bin", "HOME": self.dir, "SHELL": "/bin/sh",
               MARK: self.dir}
        pids = []
        for command in commands + commands[1:]:
            self.assertNotIn("%", command)      # cron's newline
            self.assertEqual(self.call(["sh", "-c", command], env=env),
                             (0, "", ""))
            pids.append(self.read("app.pid"))
        self.assertEqual(len(set(pids)), 1)
        os.kill(int(pids[0]), signal.SIGKILL)   # at the next minute
        wait_until(lambda: self.cli("-p", "app.pid", "--status")[0] == 1)
        self.assertEqual(self.call(["sh", "-c", commands[1]], env=env),
                         (0, "", ""))
        self.assertNotEqual(self.read("app.pid"), pids[0])
        self.ok("-p", "app.pid", "--stop")
        self.assert_nothing_left()

    def test_docker_and_kubernetes(self):
        lines = self.recipe("dockerfile").splitlines()
        entrypoint, arguments = (
            json.loads(line.split(" ", 1)[1]) for line in lines
            if line.startswith(("ENTRYPOINT", "CMD")))
        copied = dict(line.split()[:0:-1] for line in lines
                      if line.startswith("COPY"))
        self.assertEqual(copied, {"/opt/": "daemonize.py",
                                  "/usr/local/bin/": "app"})
        probe = json.loads(re.search(r"command: (.*)",
                                     self.recipe("yaml")).group(1))
        self.assertEqual(self.call(probe)[0], 3)
        process = self.popen(entrypoint + arguments)
        wait_until(lambda: self.call(probe)[0] == 0)
        self.ends_well(process)
        self.assertEqual(self.call(probe)[0], 3)

    def test_the_shell_blocks_run(self):
        """In order, in one shell; what a "# ..." line promises is checked."""
        self.assertTrue(self.blocks("sh"))
        shutil.copy(SCRIPT, self.dir)
        os.mkdir(self.path("bin"))
        os.symlink(sys.executable, self.path("bin/python3"))
        self.env["PATH"] = self.path("bin") + ":" + os.environ["PATH"]
        self.env["HOME"] = self.dir
        for block in self.blocks("sh"):
            # another run of these tests may be at the same README
            block = block.replace("8099", str(self.free_port()))
            block = block.replace("-o job.log -- ", "-o job.log --wait 60 -- ")
            with self.subTest(block=block):
                status, out, err = self.call(["sh", "-e", "-c", block])
                self.assertEqual((status, err), (0, ""), out)
                for line in re.findall(r"(?m)# prints: (.*)$", block):
                    self.assertRegex(out, line.replace("4711", r"\d+")
                                     .replace("0.\\d+", r"[\d.]+"))
        self.assert_nothing_left()


# ---- Side by side --------------------------------------------------------

class Retold(unittest.TextTestResult):
    """Of tests that other processes run: their tracebacks come as text."""

    def _exc_info_to_string(self, err, test):
        return err

    def retell(self, test, seen, seconds):
        self.startTest(test)
        for call, *text in seen:
            getattr(self, call)(test, *text)
        if hasattr(self, "addDuration"):        # Python 3.12's --durations
            self.addDuration(test, seconds)
        self.stopTest(test)


class SideBySide(unittest.TextTestRunner):
    """These tests wait, most of their time, and each has a directory and a
    mark of its own: so some processes take one after the other from a queue,
    in which the numbers of all are.

    A test must bear others beside it, and a busy machine.  There are no
    fixtures but the module's.  A single test runs in here.
    """

    COUNT = int(os.environ.get("TEST_PROCESSES")
                or min(16, 2 * (os.cpu_count() or 1) + 2))

    def run(self, suite):
        tests = list(self.all_of(suite))
        if min(len(tests), self.COUNT) < 2:
            return super().run(suite)
        self.resultclass = Retold
        setUpModule()
        try:
            return super().run(lambda result: self.spread(tests, result))
        finally:
            tearDownModule()

    def all_of(self, suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from self.all_of(test)
            else:
                yield test

    def spread(self, tests, result):
        self.stream.flush()
        queue, end = os.pipe()
        for number in range(len(tests)):
            os.write(end, number.to_bytes(4, "big"))
        os.close(end)
        workers = [self.begin(tests, result, queue)
                   for _ in range(min(len(tests), self.COUNT))]
        try:
            while workers:
                pipes = [worker[0] for worker in workers]
                for pipe in select.select(pipes, [], [])[0]:
                    worker = workers[pipes.index(pipe)]
                    if not self.hear(tests, result, *worker):
                        workers.remove(worker)
                        pipes.remove(pipe)
                if result.shouldStop:
                    os.read(queue, 1 << 16)
        finally:
            os.read(queue, 1 << 16)     # nobody begins another one
            os.close(queue)
            for _, pid, _ in workers:
                os.waitpid(pid, 0)

    def hear(self, tests, result, pipe, pid, begun):
        """What a worker has said; False at its end."""
        line = pipe.readline()
        if line:
            number, *seen = json.loads(line)
            begun[:] = [number]
            if seen:
                result.retell(tests[number], *seen)
            return True
        pipe.close()
        status = os.waitpid(pid, 0)[1]
        if status:
            result.retell(tests[begun[0]], [[
                "addError", "its process ended, wait status %d" % status]], 0)
        return False

    def begin(self, tests, result, queue):
        """(pipe, pid, [number of the last test]) of one that runs tests."""
        parent = os.getpid()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return open(reader, "rb", 0), pid, [0]
        status = 1
        try:
            os.close(reader)
            pipe = open(writer, "wb")
            os.register_at_fork(after_in_child=pipe.close)
            while os.getppid() == parent:
                number = os.read(queue, 4)
                if not number:
                    break
                number = int.from_bytes(number, "big")
                self.say(pipe, number)
                self.say(pipe, number, *self.outcome(tests[number], result))
            status = 0
        except Exception:
            sys.excepthook(*sys.exc_info())
        finally:        # an interrupt is the runner's to show
            os._exit(status)

    def say(self, pipe, *words):
        pipe.write(json.dumps(words).encode() + b"\n")
        pipe.flush()

    def outcome(self, test, result):
        """The calls of a result that tell it; and the seconds."""
        seen = unittest.TestResult()
        seen.buffer = result.buffer
        seen.tb_locals = result.tb_locals
        began = time.monotonic()
        try:
            test(seen)
        except KeyboardInterrupt:
            test.doCleanups()
            raise
        calls = []
        for call, cases in (("addFailure", seen.failures),
                            ("addError", seen.errors),
                            ("addSkip", seen.skipped),
                            ("addExpectedFailure", seen.expectedFailures)):
            calls += [[call, text if case is test else "%s\n%s" % (case, text)]
                      for case, text in cases]
        calls += [["addUnexpectedSuccess"]] * len(seen.unexpectedSuccesses)
        return calls or [["addSuccess"]], time.monotonic() - began


# ---- Speed, shown and not asserted ---------------------------------------

def median(times):
    return sorted(times)[len(times) // 2]


class Bench:
    """python3 test_daemonize.py bench [PART...] [--against FILE]

    A part is a method's name.  FILE is another version of daemonize.py: what
    is measured of this one is measured of that one in turn, so that a load
    hits both alike; the last column is the ratio.
    """

    PARTS = ("start", "instructions", "launchers", "library", "descriptors",
             "stop", "starters", "strangers", "restarts", "memory", "idle",
             "logs")
    PYTHON = [sys.executable]
    FILE = PYTHON + ["daemonize.py"]
    MODULE = PYTHON + ["-m", "daemonize"]
    BARE = "bare interpreter, -c pass"

    def __init__(self, words):
        against = None
        if "--against" in words[:-1]:
            at = words.index("--against")
            against = os.path.abspath(words[at + 1])
            words = words[:at] + words[at + 2:]
        self.parts = words or self.PARTS
        if not set(self.parts) <= set(self.PARTS):
            raise SystemExit("%s\n    parts: %s" % (
                self.__doc__.split("\n")[0], ", ".join(self.PARTS)))
        self.dir = tempfile.mkdtemp(prefix="bench-")
        os.chdir(self.dir)
        self.null = open(os.devnull, "r+")
        self.env = dict(os.environ)
        for name in "PYTHONPATH", "PYTHONDONTWRITEBYTECODE":
            self.env.pop(name, None)
        self.places = []        # a directory for each version, to run it in
        for name, source in ("this", SCRIPT), ("that", against):
            if source:
                os.mkdir(name)
                shutil.copy(source, name + "/daemonize.py")
                self.places.append(name)
                self.run(name, self.MODULE + ["--version"])     # its .pyc

    def main(self):
        try:
            for part in self.parts:
                getattr(self, part)()
        finally:
            os.chdir("/")
            shutil.rmtree(self.dir)
        return 0

    def popen(self, place, command, **options):
        return subprocess.Popen(command, cwd=place, **dict(dict(
            stdin=self.null, stdout=self.null, stderr=self.null,
            env=self.env), **options))

    def run(self, place, command):
        return self.popen(place, command).wait()

    def wall(self, place, command):
        began = time.perf_counter()
        self.run(place, command)
        return (time.perf_counter() - began) * 1000

    def output(self, place, command):
        with self.popen(place, command, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT) as process:
            return process.stdout.read().decode()

    def printed(self, place, command):
        """The number that a program prints."""
        return float(self.output(place, command))

    def table(self, title, commands, measure, rounds=1, unit="ms"):
        """Medians of what it returns, for each of {name: command}; and how
        often it is the first one's.
        """
        print(title + ":")
        rows = {}
        for _ in range(rounds):
            for name, command in commands.items():
                ours = re.search(r"-m daemonize|daemonize\.",
                                 " ".join(command))
                for place in self.places if ours else self.places[:1]:
                    rows.setdefault(name, {}).setdefault(place, []).append(
                        measure(place, command))
        base = None
        for name, places in rows.items():
            value = median(places["this"])
            line = "  %-44s %9.2f %s" % (name, value, unit)
            line += "" if base is None else "  %6.2f x" % (value / base)
            base = base or value
            that = median(places.get("that", [0]))
            line += "   %6.3f x that one's" % (value / that) if that else ""
            print(line, flush=True)

    # ---- Starting and stopping

    def cpu(self, place, command):
        """User's and system's, of all its processes: as a subreaper we are
        the parent of its daemons, too.
        """
        if "--stop" in command:
            self.run(place, self.MODULE + ["-p", "p", "--wait", "0",
                                           "sleep", "1000"])
        before = self.spent()
        self.adopt(1)
        self.run(place, command)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        self.adopt(0)
        return self.spent() - before

    def spent(self):
        return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) * 1000

    def adopt(self, yes):
        if LINUX and ctypes:        # PR_SET_CHILD_SUBREAPER
            ctypes.CDLL(None).prctl(36, yes, 0, 0, 0)

    def start(self):
        self.table("processor time of all processes", {
            self.BARE: self.PYTHON + ["-c", "pass"],
            "python daemonize.py --version": self.FILE + ["--version"],
            "python -m daemonize --version": self.MODULE + ["--version"],
            "python daemonize.py --wait 0 -- true": self.FILE + [
                "--wait", "0", "--", "true"],
            "python -m daemonize --wait 0 -- true": self.MODULE + [
                "--wait", "0", "--", "true"],
            "import daemonize; daemonize.daemonize()": self.PYTHON + [
                "-c", "import daemonize, os; daemonize.daemonize(); "
                "os._exit(0)"],
            "python daemonize.py --stop": self.FILE + ["-p", "p", "--stop"]},
            self.cpu, 21)

    def instructions(self):
        if shutil.which("valgrind"):
            self.table("instructions, by valgrind", {
                self.BARE: self.PYTHON + ["-c", "pass"],
                "python daemonize.py --version": self.FILE + ["--version"],
                "python -m daemonize --version": self.MODULE + ["--version"]},
                self.counted, unit="millions")

    def counted(self, place, command):
        return int(re.search(r"Collected : (\d+)", self.output(place, [
            "env", "PYTHONHASHSEED=0", "valgrind", "--tool=callgrind",
            "--callgrind-out-file=/dev/null", *command])).group(1)) / 1e6

    def launchers(self):
        commands = {
            self.BARE: self.PYTHON + ["-c", "pass"],
            "python daemonize.py --wait 0": self.FILE + [
                "--wait", "0", "true"],
            "python -m daemonize --wait 0": self.MODULE + [
                "--wait", "0", "true"],
            "nohup": ["nohup", "true"],
            "setsid --fork": ["setsid", "--fork", "true"],
            "daemonize(1)": ["daemonize", "/bin/true"],
            "start-stop-daemon": ["start-stop-daemon", "-S", "-b", "-x",
                                  "/bin/true", "--pidfile", "none"],
            "python-daemon": self.PYTHON + [
                "-c", "import daemon\nwith daemon.DaemonContext(): pass"]}
        self.table("launcher's return, the command being true(1)", {
            name: command for name, command in commands.items()
            if shutil.which(command[0]) and (
                name != "python-daemon"
                or not self.run("this", self.PYTHON + ["-c", "import daemon"])
            )}, self.wall, 41)

    LIBRARY = """
import os, sys, time, daemonize
def double_fork():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, b"x")
        os._exit(0)
    os.wait()
    os.read(reader, 1)
times = []
for _ in range(21):
    began = time.perf_counter()
    if os.fork() == 0:      # each in a child
        {"double_fork": double_fork, "daemonize": daemonize.daemonize}[
            sys.argv[1]]()
        os._exit(0)
    os.wait()
    times.append(time.perf_counter() - began)
print(sorted(times)[10] * 1000)
"""

    def library(self):
        self.table("daemonize() in a running process", {
            name: self.PYTHON + ["-c", self.LIBRARY, name]
            for name in ("double_fork", "daemonize")}, self.printed, 5)

    def descriptors(self):
        """Not even root may have so many everywhere."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.table("launcher's return under an RLIMIT_NOFILE of", {
            str(limit): [
                "sh", "-c", "ulimit -n %d || ulimit -n %d; exec \"$@\""
                % (limit, most), "sh", *self.FILE, "--wait", "0", "true"]
            for limit in (1024, 1048576)}, self.wall, 21)

    STOP = """
import daemonize, os, signal, sys, time
times = []
for _ in range(11):
    os.system("%s daemonize.py -p p --wait 0 -- %s ../dying.py" % (
        (sys.executable,) * 2))
    while not os.path.exists("up"): time.sleep(0.001)
    os.remove("up")
    daemonize.stop("p")
    times.append(time.time() - float(open("died").read()))
print(sorted(times)[5] * 1000)
"""

    def stop(self):
        with open("dying.py", "w") as file:
            file.write("import os, signal, time\n"
                       "def die(*args):\n"
                       "    with open('died', 'w') as f:\n"
                       "        f.write(str(time.time()))\n"
                       "    os._exit(0)\n"
                       "signal.signal(signal.SIGTERM, die)\n"
                       "open('up', 'w').close()\n"
                       "while True: time.sleep(1000)\n")
        self.table("--stop's return after the daemon's death", {
            "stop()": self.PYTHON + ["-c", self.STOP]}, self.printed, 3)

    def at_once(self, place, command):
        began = time.perf_counter()
        processes = [self.popen(place, command) for _ in range(200)]
        for process in processes:
            process.wait()
        seconds = time.perf_counter() - began
        self.run(place, self.MODULE + ["-p", "p", "--stop"])
        return seconds * 1000

    def starters(self):
        self.table("200 at once, on one pidfile", {
            "bare interpreters": self.PYTHON + ["-c", "pass"],
            "starters": self.FILE + ["-p", "p", "--wait", "0",
                                       "sleep", "1000"]}, self.at_once, 3)

    def strangers(self):
        """As another user of the machine, if we can be one."""
        for words in (["-r", "--wait", "0", "sleep", "1000"],
                      ["--status"], ["--stop"]):
            command = self.FILE + ["-p", "p", *words]
            self.table("a stranger's locks in the pidfile, %s" % words[0], {
                "none": command, "20000": ["env", "LOCKS=20000", *command]},
                self.despite_locks, 7)

    def despite_locks(self, place, command):
        with open(place + "/p", "w") as file:
            file.write("999999999\n")
        stranger = self.popen(place, [
            sys.executable, *FAST, "-c", IdentityTest.HOSTILE, "p",
            json.dumps([[2, 20000 * ("LOCKS=20000" in command), 2]]), "0"],
            stdout=subprocess.PIPE)
        with stranger.stdout:
            stranger.stdout.readline()
            if "-r" not in command:
                self.run(place, self.MODULE + ["-r", "-p", "p", "--wait", "0",
                                               "sleep", "1000"])
            try:
                return self.wall(place, command)
            finally:
                self.run(place, self.MODULE + ["-p", "p", "--stop"])
                stranger.kill()
                stranger.wait()

    # ---- Supervising

    LOOP = ("import os, sys\n"
            "while True:\n"
            "    pid = os.fork()\n"
            "    if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])\n"
            "    os.waitpid(pid, 0)\n")

    def supervisors(self, command):
        """{name: its command line in the foreground}, of what is there."""
        ours = [*self.FILE, "-f", "-r", "--respawn-delay", "0"]
        line = " ".join(command)
        for name in ("runsv", "s6-supervise"):
            os.makedirs("this/" + name, exist_ok=True)
            with open("this/%s/run" % name, "w") as file:
                file.write("#!/bin/sh\ncd %s/this\nexec %s\n" % (self.dir,
                                                               line))
            os.chmod("this/%s/run" % name, 0o755)
        with open("this/supervisord.conf", "w") as file:
            file.write("[supervisord]\nnodaemon=true\nlogfile=/dev/null\n"
                       "logfile_maxbytes=0\npidfile=%s/supervisord.pid\n"
                       "[program:w]\ncommand=%s\nautorestart=true\n"
                       "startsecs=0\n" % (self.dir, line))
        found = {
            "bare loop: fork, exec, waitpid": [
                sys.executable, "-c", self.LOOP, *command],
            "daemonize.py --respawn": [*ours, "--", *command],
            "daemonize.py --respawn --log-size": [
                *ours, "-o", "log", "--log-size", "1M", "--", *command],
            "runsv": ["runsv", "runsv"],
            "s6-supervise": ["s6-supervise", "s6-supervise"],
            "supervisord": ["supervisord", "-c", "supervisord.conf"],
            "supervise-daemon": [
                "supervise-daemon", "bench", "--start", "--respawn-max", "0",
                "--pidfile", self.dir + "/sd.pid", command[0], "--",
                *command[1:]],
            "libslack daemon": ["daemon", "-f", "-r", "--", *command]}
        return {name: line for name, line in found.items()
                if shutil.which(line[0])}

    def begin(self, place, command):
        return self.popen(place, command, env=dict(
            self.env, RC_SVCNAME="bench", **{MARK: self.dir}))

    def end(self, process):
        """All of them, and what they have left."""
        def are_gone():
            left = marked(self.dir)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return process.poll() is not None and not left
        process.terminate()
        wait_until(are_gone)

    def restarts(self):
        os.mkfifo("fifo")
        with open("worker.sh", "w") as file:
            file.write("echo $$ >%s/fifo\nexec sleep 1000\n" % self.dir)
        self.table("a worker's death to the next one's first line",
                   self.supervisors(["/bin/sh", self.dir + "/worker.sh"]),
                   self.restart, 5)

    def restart(self, place, command):
        times = []
        with open("fifo", "r+b", 0) as fifo:    # has a writer always: us
            process = self.begin(place, command)
            killed = None
            while len(times) < 20 and sum(times) < 1:
                if not select.select([fifo], [], [], 60)[0]:
                    times.append(60)            # did not restart it
                    break
                pid = int(fifo.read(99))
                if killed:
                    times.append(time.perf_counter() - killed)
                self.pause(0.01)
                killed = time.perf_counter()
                os.kill(pid, signal.SIGKILL)
            self.end(process)
        return median(times) * 1000

    def pss(self, pid):
        with open("/proc/%d/smaps_rollup" % pid) as file:
            return int(re.search(r"\nPss:\s+(\d+)", file.read()).group(1))

    def watched(self, place, command):
        """Begins it; the Popen, when its workers run."""
        workers = int(command[command.index("-w") + 1]
                      ) if "-w" in command else "sleep" in command
        process = self.begin(place, command)
        wait_until(lambda: sum(b"sleep" in DaemonTestCase.command_of(None, pid)
                               [:6] for pid in marked(self.dir)) >= workers)
        self.pause(0.5)
        return process

    def pause(self, seconds):
        select.select([], [], [], seconds)

    def resident(self, place, command):
        process = self.watched(place, command)
        value = self.pss(process.pid)
        self.end(process)
        return value

    def memory(self):
        commands = {"bare interpreter that waits for a signal": self.PYTHON + [
            "-c", "import signal; signal.pause()"]}
        commands.update(self.supervisors(["sleep", "1000"]))
        commands.pop("supervise-daemon", None)      # is not our child
        commands["daemonize.py --workers 50"] = [
            *self.FILE, "-f", "-w", "50", "sleep", "1000"]
        self.table("memory of the supervisor (PSS)", commands, self.resident,
                   3, "kB")

    def switches(self, place, command):
        process = self.watched(place, command)
        before = doings(process.pid)[0]
        self.pause(1)
        value = doings(process.pid)[0] - before
        self.end(process)
        return value

    def calls(self, place, command):
        process = self.watched(place, command)
        self.run(place, ["timeout", "1", "strace", "-f", "-o", "calls", "-p",
                         str(process.pid)])
        with open(place + "/calls") as file:    # one is cut off at each end
            value = len(file.readlines()) - 1
        self.end(process)
        return value

    def idle(self):
        commands = {"with 20 workers": [*self.FILE, "-f", "-w", "20",
                                        "sleep", "1000"]}
        self.table("context switches in an idle second", commands,
                   self.switches, 1, "")
        if shutil.which("strace"):
            self.table("system calls in an idle second", commands, self.calls,
                       1, "")

    def logs(self):
        """Lines of 50 bytes in blocks of 64 KB, as fast as they go."""
        line = ("yes %s | dd bs=64k iflag=fullblock count=16000 status=none"
                % ("x" * 49))
        ours = "%s daemonize.py -f -o out/log -e out/log %%s -- sh -c '%s'" % (
            sys.executable, line)
        rows = {"cat >>": line + " | cat >>out/log",
                "--log-reopen": ours % "-H",
                "--log-size 100M --log-keep 20": ours % (
                    "--log-size 100M --log-keep 20"),
                "--log-size 100M (5 kept, the others removed)": ours % (
                    "--log-size 100M"),
                "svlogd": line + " | svlogd out",
                "multilog": line + " | multilog s16777215 out"}
        self.table("writing a log of 1 GB", {
            name: ["sh", "-c", command] for name, command in rows.items()
            if " " in name or "-" in name or shutil.which(name)},
            self.logged, 3)

    def logged(self, place, command):
        os.mkdir(place + "/out")
        try:
            return self.wall(place, command)
        finally:
            shutil.rmtree(place + "/out")


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    if sys.argv[1:2] == ["bench"]:
        raise SystemExit(Bench(sys.argv[2:]).main())
    unittest.main(testRunner=SideBySide)
