"""SecantusDB, a server that speaks MongoDB's protocol."""
import os
import subprocess

import pymongo

from servers.processes import Process, make_folder, start_on_free_port


class Secantus:
    """An instance of its own, from start() to stop().

    It is a replica set of one node unless standalone is set.  With users
    ({name: (password, roles)}, kept in the database admin) it demands
    authentication; with tls it presents, and accepts, certificates of an
    authority of its own (make_certificates).
    """

    def __init__(self, folder, python, standalone=False, fail_points=False,
                 users=None, tls=False, lasting=False):
        self.folder = make_folder(folder)
        self.python = python
        self.users = users
        self.tls = tls
        self.lasting = lasting
        self.options = (["--standalone"] * standalone +
                        ["--enable-test-commands"] * fail_points)
        self.process = self.port = None

    def start(self):
        """Start the server on a free port."""
        if self.users:
            self.start_process(self.options)
            self.create_users()
            self.stop()
            self.options.append("--auth")
        if self.tls:
            make_certificates(self.folder)
            self.options += ["--tls-cert-file", self.file("server.crt"),
                             "--tls-key-file", self.file("server.key"),
                             "--tls-ca-file", self.file("ca.crt")]
        self.start_process(self.options)

    def start_process(self, options):
        """Start the server with these options."""
        self.process, self.port = start_on_free_port(
            lambda port: Process(
                [self.python, "-c", "from secantus.cli import main; main()",
                 "--host", "127.0.0.1", "--port", str(port),
                 "--storage-path", self.file("storage"),
                 "--cache-size", "256M", "--log-level", "WARNING", *options],
                self.folder, lasting=self.lasting))

    def create_users(self):
        """Create the users on a server that does not ask yet who is there."""
        with pymongo.MongoClient("127.0.0.1", self.port) as client:
            for name, (password, roles) in self.users.items():
                client.admin.command("createUser", name, pwd=password,
                                     roles=roles)

    def file(self, name):
        """Return the path of a file in the instance's folder."""
        return os.path.join(self.folder, name)

    @property
    def uri(self):
        """Where a driver finds this server; credentials are not in it."""
        options = (f"?tls=true&tlsCAFile={self.file('ca.crt')}"
                   if self.tls else "")
        return f"mongodb://127.0.0.1:{self.port}/{options}"

    def stop(self):
        """Stop the server."""
        if self.process:
            self.process.stop()


def make_certificates(folder):
    """Make an authority, a server's and a client's certificate in a folder.

    ca.crt, server.crt, server.key, and client.pem, which has key and
    certificate together as drivers want them.
    """
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True,
                       capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt",
            "-days", "30", "-subj", "/CN=test authority")
    for name, subject in (("server", "/CN=localhost"),
                          ("client", "/O=test/CN=client")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", subject)
        with open(os.path.join(folder, "san"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt",
                "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "san", "-out", f"{name}.crt")
    with open(os.path.join(folder, "client.pem"), "wb") as pem:
        for name in ("client.key", "client.crt"):
            with open(os.path.join(folder, name), "rb") as part:
                pem.write(part.read())
    owner = os.stat(folder)
    for name in os.listdir(folder):
        os.chown(os.path.join(folder, name), owner.st_uid, owner.st_gid)
