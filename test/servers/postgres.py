"""A PostgreSQL cluster of its own, in a private copy of the program files."""
import os
import secrets
import signal
import subprocess
import time

from servers.processes import (Process, StartFailed, make_folder,
                               run_as_servers_user, start_on_free_port)

SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",                 # a test's cluster need not survive a crash
    "max_connections": "100",
    "shared_buffers": "128MB",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_min_messages": "warning",
}


def private_tree(folder, pg_config="pg_config"):
    """Copy the server's program files into folder; return the copy's pg_config.

    PostgreSQL finds its files relative to its programs, so the copy is a whole
    installation: what is installed there disturbs nobody.  Headers are linked.
    """
    def configured(what):
        return subprocess.run([pg_config, what], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    programs = configured("--bindir")
    for original in (os.path.dirname(programs), configured("--sharedir")):
        copy = folder + original
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", original, copy],
                       check=True)
    headers = configured("--pkgincludedir")
    os.makedirs(os.path.dirname(folder + headers), exist_ok=True)
    os.symlink(headers, folder + headers)
    return os.path.join(folder + programs, "pg_config")


class Postgres:
    """A cluster and its server, from start() to stop()."""

    def __init__(self, folder, pg_config, lasting=False):
        self.programs = os.path.dirname(pg_config)
        self.folder = make_folder(folder)
        self.data = os.path.join(folder, "data")
        self.password = secrets.token_hex(8)
        self.lasting = lasting
        self.process = self.port = None

    def start(self):
        """Make the cluster and start its server."""
        self.make_cluster()
        self.process, self.port = start_on_free_port(self.start_process)
        self.wait_until_ready()

    def make_cluster(self):
        """Make the cluster, its superuser's password being ours."""
        password_file = os.path.join(self.folder, "password")
        with open(password_file, "w", encoding="ascii",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(self.password)
        owner = os.stat(self.folder)
        os.chown(password_file, owner.st_uid, owner.st_gid)
        run_as_servers_user(
            [os.path.join(self.programs, "initdb"), "-D", self.data,
             "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", password_file,
             "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            cwd=self.folder)
        os.remove(password_file)

    def start_process(self, port):
        """Start the server; an interrupt is PostgreSQL's fast shutdown."""
        settings = {**SETTINGS, "port": port,
                    "unix_socket_directories": self.folder}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        return Process([os.path.join(self.programs, "postgres"),
                        "-D", self.data, *options], self.folder,
                       stop_signal=signal.SIGINT, lasting=self.lasting)

    def wait_until_ready(self, seconds=30):
        """Return when the server takes connections."""
        end = time.monotonic() + seconds
        command = [os.path.join(self.programs, "pg_isready"), "-q",
                   "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(command, check=False).returncode != 0:
            if time.monotonic() > end or not self.process.alive():
                raise StartFailed("PostgreSQL is not ready:\n" +
                                  self.process.log_end())
            time.sleep(0.05)

    def environment(self):
        """Return what libpq needs to connect."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port),
                "PGUSER": SUPERUSER, "PGPASSWORD": self.password,
                "PGDATABASE": "postgres"}

    def stop(self):
        """Stop the server."""
        if self.process:
            self.process.stop()
