"""Processes that are started here, stopped by their id and never left behind.

Whoever starts a process stops it; should he be killed before he can, the kernel
stops it (setpriv --pdeathsig), unless it is meant to last.
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

ROOTS_STAND_IN = "postgres"         # PostgreSQL refuses to run as root
TRIES = 5                           # ports to try


class StartFailed(Exception):
    """A server did not come up; the message has the end of its log."""


def servers_user():
    """Return the user that servers run as, None for the present one."""
    return ROOTS_STAND_IN if os.geteuid() == 0 else None


def make_folder(*parts):
    """Make a folder that belongs to the servers' user; return its path."""
    path = os.path.join(*parts)
    os.makedirs(path, exist_ok=True)
    if servers_user():
        shutil.chown(path, servers_user(), servers_user())
    return path


def as_servers_user(arguments, death_signal=None):
    """Return the command that runs arguments as the servers' user."""
    prefix = ["setpriv"]
    if servers_user():
        prefix += [f"--reuid={servers_user()}", f"--regid={servers_user()}",
                   "--init-groups"]
    if death_signal:
        prefix += ["--pdeathsig", signal.Signals(death_signal).name[3:]]
    return [*prefix, "--", *arguments] if len(prefix) > 1 else arguments


def run_as_servers_user(arguments, **options):
    """Run a program to its end; its output is shown only where it fails."""
    done = subprocess.run(as_servers_user(arguments), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise StartFailed(f"{arguments[0]} failed:\n{done.stdout}")


class Process:
    """A server that runs in a folder of its own, its log beside it."""

    def __init__(self, arguments, folder, stop_signal=signal.SIGTERM,
                 lasting=False, environment=None):
        self.stop_signal = stop_signal
        self.log = os.path.join(folder, "log")
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                as_servers_user(arguments, None if lasting else stop_signal),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                start_new_session=True,
                env={**os.environ, "HOME": folder, "TMPDIR": folder,
                     **(environment or {})})
        self.pid = self.child.pid

    def alive(self):
        """Does it still run?"""
        return self.child.poll() is None

    def stop(self, seconds=20):
        """Ask it to stop, and insist after some seconds."""
        stop_group(self.pid, self.stop_signal, seconds, self.alive)

    def log_end(self, lines=20):
        """Return the last lines of the log."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])


def started_at(pid):
    """Return when a process started, in the kernel's ticks; None if it is gone.

    Together with its id this names a process for ever.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def stop_group(pid, stop_signal, seconds, alive):
    """Stop a process that leads a group; what remains of the group is killed."""
    if alive():
        os.kill(pid, stop_signal)
    end = time.monotonic() + seconds
    while alive() and time.monotonic() < end:
        time.sleep(0.02)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass                        # nothing remained
    while alive():
        time.sleep(0.02)


def start_on_free_port(start, seconds=60):
    """Return the process that start(port) makes, and the port it listens on.

    Another process may take the port between our look and the server's: then
    the server ends at once, and the next port is tried.
    """
    for attempt in range(TRIES):
        port = free_port()
        process = start(port)
        end = time.monotonic() + seconds
        try:
            while process.alive() and time.monotonic() < end:
                if listens(process.pid, port):
                    return process, port
                time.sleep(0.02)
        except BaseException:
            process.stop()          # nobody else knows of it yet
            raise
        process.stop()
        log_end = process.log_end()
        if "in use" not in log_end or attempt == TRIES - 1:
            raise StartFailed(f"a server did not start:\n{log_end}")
    raise AssertionError("not reached")


def free_port():
    """Return a port of 127.0.0.1 that nobody listens on now.

    Below the range that the kernel gives to clients, so that none of them
    takes it before our server does.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def listens(pid, port):
    """Does this process, and no other, listen on a port of 127.0.0.1?"""
    address = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    sockets = {f"socket:[{row[9]}]" for row in rows
               if row[1] == address and row[3] == "0A"}
    if not sockets:
        return False
    return any(file in sockets for file in open_files(pid))


def open_files(pid):
    """Return what the descriptors of a process point to."""
    files = []
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            files.append(os.readlink(entry.path))
    except OSError:
        pass                        # the process or a descriptor has gone
    return files
