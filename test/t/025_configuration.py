"""The environment's detection, and secrets, in servers with variables of their own."""
import contextlib
import os
import shutil
import tempfile

import psycopg

from servers.harness import *
from servers.postgres import Postgres
from servers.processes import start_on_free_port

VARIABLES = ("PYNOMALY_ENV", "PYNOMALY_DB_PROFILE", "PYNOMALY_TEST_SECRET")


@contextlib.contextmanager
def server(cluster, **variables):
    """Run a cluster's server with variables in its environment."""
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(variables)
    cluster.process, cluster.port = start_on_free_port(cluster.start_process)
    cluster.wait_until_ready()
    connection = psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres",
                                 password=cluster.password, dbname="postgres",
                                 autocommit=True)
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pynomaly_store")
        yield connection
    finally:
        connection.close()
        cluster.stop()


def described(connection):
    """Return what describe_environment says."""
    return connection.execute("SELECT * FROM pynomaly.describe_environment()").fetchone()


def detection(cluster):
    """The first variable that is set counts; what is not understood is said."""
    with server(cluster) as connection:
        is_(described(connection), ("production", "default", None),
            "without a variable it is production")
    with server(cluster, PYNOMALY_ENV="Testing", PYNOMALY_DB_PROFILE="development") as connection:
        is_(described(connection), ("testing", "PYNOMALY_ENV", None),
            "PYNOMALY_ENV comes first, in any case")
        is_(connection.execute("SELECT pynomaly.get_setting('pool.size')").fetchone()[0], 1,
            "settings follow the environment")
        connection.execute("SET pynomaly_store.environment = 'development'")
        is_(described(connection)[:2], ("development", "pynomaly_store.environment"),
            "the setting comes before the variables")
    with server(cluster, PYNOMALY_ENV="", PYNOMALY_DB_PROFILE="development") as connection:
        is_(described(connection), ("development", "PYNOMALY_DB_PROFILE", None),
            "an empty variable is as none")
    with server(cluster, PYNOMALY_ENV="staging", PYNOMALY_DB_PROFILE="development") as connection:
        environment, source, remark = described(connection)
        is_((environment, source), ("production", "default"),
            "another name is production, the most careful")
        like(remark, "PYNOMALY_ENV", "and a note says so")


def secret_files(cluster, folder):
    """References are followed into the directory, and no further."""
    directory = os.path.join(folder, "secrets")
    os.makedirs(os.path.join(directory, "mongo"))
    for path, content in (("secrets/mongo/uri", "mongodb://hunter2\n"),
                          ("secrets/bytes", b"\xff\xfe"), ("secrets/nothing", ""),
                          ("secrets/nul", "a\0b"), ("secrets/large", "x" * 70000),
                          ("outside", "not yours")):
        with open(os.path.join(folder, path), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
    os.symlink("mongo", os.path.join(directory, "link"))
    os.symlink("../outside", os.path.join(directory, "escape"))
    os.mkfifo(os.path.join(directory, "pipe"))
    owner = os.stat(cluster.folder)
    for parent, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(parent, name), owner.st_uid, owner.st_gid,
                     follow_symlinks=False)

    with server(cluster, PYNOMALY_TEST_SECRET="hunter3") as connection:
        def secret(reference):
            return connection.execute("SELECT pynomaly.resolve_secret(%s)",
                                      [reference]).fetchone()[0]

        is_(secret("env:PYNOMALY_TEST_SECRET"), "hunter3", "a variable")
        connection.execute(f"SET pynomaly_store.secrets_directory = '{directory}'")
        is_(secret("file:mongo/uri"), "mongodb://hunter2",
            "a file, without the newline at its end")
        is_(secret("file:link/uri"), "mongodb://hunter2", "by a link that stays inside")
        is_(secret("file:nothing"), "", "an empty file")
        for name in ("escape", "../outside", "mongo/../../outside"):
            throws(lambda: secret(f"file:{name}"), "42501", f"{name} leads outside",
                   message="outside of the directory")
        throws(lambda: secret("file:absent"), "58P01", "an absent file")
        throws(lambda: secret("file:mongo"), "42809", "a directory")
        throws(lambda: secret("file:pipe"), "42809", "a pipe is not waited for")
        throws(lambda: secret("file:large"), "42809", "a file that is too large")
        throws(lambda: secret("file:bytes"), "22021", "bytes that are no text")
        throws(lambda: secret("file:nul"), "22021", "a NUL")
        connection.execute("SELECT pynomaly.set_setting('redis.url', '\"file:mongo/uri\"', 'default')")
        is_(connection.execute("SELECT pynomaly.get_secret('redis.url')").fetchone()[0],
            "mongodb://hunter2", "a setting that refers to a file")
        connection.execute("SET ROLE pynomaly_app")
        throws(lambda: secret("env:PYNOMALY_TEST_SECRET"), "42501", "not for the application")


folder = tempfile.mkdtemp(dir=os.environ["SERVERS_FOLDER"])
os.chmod(folder, 0o755)
cluster = Postgres(os.path.join(folder, "cluster"), os.environ["PG_CONFIG"])
cluster.make_cluster()
try:
    detection(cluster)
    secret_files(cluster, os.path.join(folder, "files"))
finally:
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)
done()
