"""A PgBouncer of its own, in front of the test run's PostgreSQL."""
import os

from servers.processes import Process, make_folder, start_on_free_port

# Every client shares one connection to the server: what one leaves behind,
# the next one finds.
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
min_pool_size = 0
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
{more}
"""


class PgBouncer:
    """Transaction pooling, from start() to stop()."""

    def __init__(self, folder, more=""):
        self.folder = make_folder(folder)
        self.more = more
        self.process = self.port = None

    def start(self):
        """Start it on a free port."""
        self.process, self.port = start_on_free_port(self.start_process)

    def start_process(self, port):
        """Start it; its configuration has the server's password."""
        path = os.path.join(self.folder, "pgbouncer.ini")
        with open(path, "w", encoding="utf-8",
                  opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            password = os.environ.get("PGPASSWORD")
            file.write(CONFIGURATION.format(
                host=os.environ.get("PGHOST", "127.0.0.1"),
                port=os.environ.get("PGPORT", "5432"),
                user=os.environ.get("PGUSER", "postgres"),
                password=f" password='{password}'" if password else "",
                listen_port=port, more=self.more))
        owner = os.stat(self.folder)
        os.chown(path, owner.st_uid, owner.st_gid)
        return Process(["/usr/sbin/pgbouncer", path], self.folder)

    def stop(self):
        """Stop it."""
        if self.process:
            self.process.stop()
