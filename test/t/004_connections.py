"""Connections: kept and dropped when they should be, as the right user, secretly."""
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import psycopg
from psycopg import sql

from servers.harness import *
from servers.secantus import Secantus, make_certificates

ROWS = [{"_id": number, "n": number} for number in range(30)]
QUERY = "SELECT sum(n), count(*) FROM t"
WHOLE = [(sum(range(30)), 30)]
COLUMNS = "_id int, n int"
WHERE = {"database": "d", "collection": "c"}
FOLDER = os.environ["SERVERS_FOLDER"]
SECRETS = ["pa/ss@wo:rd%41", "with blanks in it", "pässwörd-ключ",
           "%", "a?b#c[d]e&f=g", "'quote\"d\\", "p" * 200]


LOG = os.path.join(FOLDER, "postgres", "log")
LOG_BEGAN_AT = os.path.getsize(LOG)


def server_log():
    """Return PostgreSQL's log since we began."""
    with open(LOG, encoding="utf-8", errors="replace") as log:
        log.seek(LOG_BEGAN_AT)
        return log.read()


def error_of(run):
    """Return everything that the error of run() says."""
    try:
        run()
    except psycopg.Error as error:
        parts = error.diag
        return "\n".join(str(part) for part in (
            parts.sqlstate, parts.message_primary, parts.message_detail,
            parts.message_hint, parts.context))
    return "no error"


def keeping(db):
    """A connection is kept, and dropped when its definition changes."""
    with ScriptedServer() as server, ScriptedServer() as other:
        for one in (server, other):
            one.on("aggregate", Batches(ROWS, size=10))
        db.execute("CREATE SERVER kept FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
                   f"(host '127.0.0.1', port '{server.port}', "
                   "enable_aggregate_pushdown 'false')")
        db.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER kept")
        db.foreign_table("t", "kept", COLUMNS, **WHERE)
        db.foreign_table("u", "kept", COLUMNS, **WHERE)

        for _ in range(20):
            db.rows(QUERY)
        db.rows("SELECT * FROM t JOIN u USING (n)")
        is_(server.opened, 1, "one connection serves a session's statements")
        with contextlib.suppress(psycopg.Error):
            db.rows("SELECT 1 / (n - 3) FROM t")
        db.rows(QUERY)
        is_(server.opened, 1, "an error of the query's own does not cost it")
        with db.connect() as second:
            is_(second.execute(QUERY).fetchall(), WHOLE, "another session")
            is_(server.opened, 2, "has a connection of its own")
        ok(server.wait_for(lambda: server.connections() == 1),
           "that ends with the session")

        for what, change in (
                ("ALTER SERVER", "ALTER SERVER kept OPTIONS (ADD connect_timeout "
                 "'5000')"),
                ("ALTER USER MAPPING", "ALTER USER MAPPING FOR CURRENT_USER SERVER"
                 " kept OPTIONS (ADD authentication_database 'admin')")):
            opened = server.opened
            db.execute(change)
            is_(db.rows(QUERY), WHOLE, f"after {what} statements work")
            is_(server.opened, opened + 1, "over a new connection")
            ok(server.wait_for(lambda: server.connections() == 1),
               "the old one is closed")

        # another session moves the server while ours has a prepared statement
        db.execute("PREPARE p AS " + QUERY)
        db.rows("EXECUTE p")
        before = len(other.commands("aggregate"))
        with db.connect() as second:
            second.execute(f"ALTER SERVER kept OPTIONS (SET port '{other.port}')")
        is_(db.rows("EXECUTE p"), WHOLE, "a prepared statement survives a change")
        is_(len(other.commands("aggregate")), before + 1,
            "and goes to the new place")
        ok(server.wait_for(lambda: server.connections() == 0),
           "no connection to the old place is left")

        # a scan that runs keeps what it has
        with db.main.transaction():
            db.execute("DECLARE c CURSOR FOR SELECT n FROM t")
            db.rows("FETCH 5 FROM c")
            db.execute("ALTER SERVER kept OPTIONS (SET connect_timeout '6000')")
            is_(len(db.rows("FETCH ALL FROM c")), 25,
                "a scan goes on while its server is altered")
        is_(db.rows(QUERY), WHOLE, "and a later one works")

        with db.main.transaction():
            db.execute("DECLARE c CURSOR FOR SELECT n FROM t")
            db.rows("FETCH 5 FROM c")
            throws(lambda: savepoint(db, "DROP SERVER kept CASCADE"), "55006",
                   "a server is not dropped under a running scan")
        db.execute("DROP SERVER kept CASCADE")
        ok(other.wait_for(lambda: other.connections() == 0),
           "DROP SERVER closes the connection",
           f"{other.connections()} are open")


def savepoint(db, statement):
    """Run a statement whose failure shall not end the transaction."""
    with db.main.transaction():
        db.execute(statement)


def lost_connections(db):
    """A server that was restarted is noticed between two statements."""
    server = ScriptedServer()
    with server:
        server.on("aggregate", Batches(ROWS, size=10))
        db.mongo_server("restarted", server.uri, **ROWS_ONLY)
        db.foreign_table("t", "restarted", COLUMNS, **WHERE)
        db.rows(QUERY)
    time.sleep(0.2)             # its thread lets go of the port a little later
    with ScriptedServer(server.port) as server:
        server.on("aggregate", Batches(ROWS, size=10))
        is_(db.rows(QUERY), WHOLE, "a server that was restarted is found again")

        with Proxy(server.port) as proxy:
            db.execute("ALTER SERVER restarted OPTIONS (SET uri "
                       f"'mongodb://127.0.0.1:{proxy.port}/', "
                       "ADD connect_timeout '1000')")
            for action in (proxy.drop, proxy.reset):
                db.rows(QUERY)
                action()
                is_(db.rows(QUERY), WHOLE,
                    f"{action.__name__} between two statements is not seen")
            for action in (proxy.drop, proxy.reset):
                for size in (1, 100, 700):
                    db.rows(QUERY)
                    proxy.after(size, action)
                    throws(lambda: db.rows(QUERY), "08006",
                           f"{action.__name__} after {size} bytes of answers")
                    is_(db.rows(QUERY), WHOLE, "the next statement works")

        # a connection that rests, and that a firewall forgets meanwhile
        db.execute("ALTER SERVER restarted OPTIONS (SET uri "
                   f"'{server.uri}')")
        db.rows(QUERY)
        time.sleep(5.2)
        server.on("ping", Silence(), CONTINUE)
        began = time.monotonic()
        opened = server.opened
        is_(db.rows(QUERY), WHOLE, "a connection that died at rest is replaced")
        took = time.monotonic() - began
        ok(took < 2, "within its time-out", f"{took:.1f} s")
        ok(server.opened > opened, "by a new one")
        db.execute("DROP SERVER restarted CASCADE")


def users(db):
    """Views and SECURITY DEFINER functions use their owner's mapping."""
    alice, bob = f"{db.name}_alice", f"{db.name}_bob"
    server_users = {"alice": ("alice's/word", ["root"]),
                    "bob": ("bob's", ["root"])}
    db.execute(f"CREATE ROLE {alice}; CREATE ROLE {bob}; "
               f"GRANT CREATE, USAGE ON SCHEMA public TO {alice}, {bob}")
    try:
        with secantus(users=server_users) as server:
            client = mongo_client(server.uri.replace(
                "//", "//alice:" + urllib.parse.quote("alice's/word", safe="") +
                "@"))
            client.d.c.insert_many(ROWS)
            db.mongo_server("auth", server.uri)
            for role, name, password in ((alice, "alice", "alice's/word"),
                                         (bob, "bob", "not bob's")):
                db.execute(sql.SQL(
                    "CREATE USER MAPPING FOR {} SERVER auth OPTIONS "
                    "(username {}, password {})").format(
                        sql.Identifier(role), name, password))
            db.foreign_table("t", "auth", COLUMNS, **WHERE)
            db.execute(f"GRANT SELECT ON t TO {alice}, {bob}; "
                       f"GRANT USAGE ON FOREIGN SERVER auth TO {alice}; "
                       f"SET ROLE {alice}; CREATE VIEW v AS SELECT * FROM t; "
                       "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql "
                       "SECURITY DEFINER SET search_path = public, pg_temp "
                       "AS 'SELECT sum(n) FROM t'; "
                       "CREATE FUNCTION g() RETURNS bigint LANGUAGE sql "
                       "AS 'SELECT sum(n) FROM t'; "
                       f"GRANT SELECT ON v TO {bob}; SET ROLE {bob}")
            whole = WHOLE[0][0]
            throws(lambda: db.value("SELECT sum(n) FROM t"), "28P01",
                   "bob's own password is wrong", message="bob")
            is_(db.value("SELECT sum(n) FROM v"), whole,
                "alice's view reads as alice")
            is_(db.value("SELECT f()"), whole,
                "alice's SECURITY DEFINER function reads as alice")
            throws(lambda: db.value("SELECT g()"), "28P01",
                   "her other function reads as bob")
            throws(lambda: db.rows("SELECT * FROM v JOIN t USING (n)"), "28P01",
                   "a join of both reads each as who it is")
            db.execute("RESET ROLE")
            is_(db.value("SELECT sum(n) FROM v"), whole,
                "and so do others who have no mapping at all")
            throws(lambda: db.value("SELECT sum(n) FROM t"), "42501",
                   "our own mapping has no user", detail="authentication",
                   hint="username")

            # a view with its own checks
            db.execute(f"SET ROLE {alice}; CREATE VIEW checked WITH "
                       "(security_invoker = true) AS SELECT * FROM t; "
                       f"GRANT SELECT ON checked TO {bob}; SET ROLE {bob}")
            throws(lambda: db.value("SELECT sum(n) FROM checked"), "28P01",
                   "a security_invoker view reads as bob")
            db.execute("RESET ROLE; DROP USER MAPPING FOR CURRENT_USER SERVER auth")
            throws(lambda: db.value("SELECT sum(n) FROM t"), "42704",
                   "without a mapping there is a hint", hint="USER MAPPING")
            db.execute("CREATE USER MAPPING FOR PUBLIC SERVER auth OPTIONS "
                       "(username 'alice', password 'alice''s/word')")
            is_(db.value("SELECT sum(n) FROM t"), whole,
                "that of PUBLIC is for everyone else")
    finally:
        db.execute("RESET ROLE; DROP SERVER auth CASCADE; "
                   f"DROP OWNED BY {alice}, {bob} CASCADE; "
                   f"DROP ROLE {alice}, {bob}")


def passwords(db):
    """Any character can be in a name and in a password."""
    names = [f"user{number}" for number in range(len(SECRETS))] + ["u@s/e:r %é"]
    secrets = [*SECRETS, "odd/name"]
    with secantus(users={name: (secret, ["root"])
                         for name, secret in zip(names, secrets)}) as server:
        db.mongo_server("auth", server.uri)
        db.foreign_table("t", "auth", COLUMNS, **WHERE)

        def mapping(**options):
            db.execute("DROP USER MAPPING FOR CURRENT_USER SERVER auth")
            db.execute(sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER auth"
                               " OPTIONS ({})").format(sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in options.items())))

        for name, secret in zip(names, secrets):
            mapping(username=name, password=secret)
            is_(db.value("SELECT count(*) FROM t"), 0,
                f"{name}, {secret[:20]}: by options")
            quoted = [urllib.parse.quote(part, safe="") for part in (name, secret)]
            mapping(uri=server.uri.replace("//", "//" + ":".join(quoted) + "@"))
            is_(db.value("SELECT count(*) FROM t"), 0,
                f"{name}, {secret[:20]}: in a uri")
            mapping(username=name, password=secret + "x")
            text = error_of(lambda: db.value("SELECT count(*) FROM t"))
            like(text, "^28P01", f"{name}, {secret[:20]}: a wrong one is refused")
            ok(len(secret) < 3 or secret not in text, "and not shown", text)
        for uri in ("mongodb://user0:x@127.0.0.1:1/", "mongodb://user0:x@localhost/",
                    server.uri.replace("//", "//user0:x@").rstrip("/") + ",127.0.0.1:1/"):
            mapping(uri=uri)
            throws(lambda: db.value("SELECT count(*) FROM t"), "HV024",
                   f"{uri} does not lead away from the server's hosts", hint="one place")
        mapping(username="user0", password=SECRETS[0],
                authentication_mechanism="SCRAM-SHA-256")
        is_(db.value("SELECT count(*) FROM t"), 0, "a mechanism by name")
        mapping(username="user0", password=SECRETS[0],
                authentication_database="elsewhere")
        throws(lambda: db.value("SELECT count(*) FROM t"), "28P01",
               "a user of another database is refused")

        # no secret where it could be read
        mapping(username="user0", password=SECRETS[0])
        plan = db.explain("SELECT * FROM t", "VERBOSE, ANALYZE")
        ok(SECRETS[0] not in plan, "EXPLAIN shows no password", plan)
        server_part = db.value("SELECT srvoptions::text FROM pg_foreign_server "
                               "WHERE srvname = 'auth'")
        ok(SECRETS[0] not in server_part, "nor do a server's options")
        log = server_log()
        ok(all(secret not in log for secret in SECRETS if len(secret) > 3),
           "no password stands in PostgreSQL's log")
    with server_down(db, server) as text:
        ok(SECRETS[0] not in text, "nor in an error when the server is gone", text)
    db.execute("DROP SERVER auth CASCADE")


@contextlib.contextmanager
def server_down(db, server):
    """What is said when a server has gone."""
    yield error_of(lambda: db.value("SELECT count(*) FROM t"))


def bad_uris(db):
    """What is wrong with a uri is said when it is set, and without its secrets."""
    def create(uri):
        db.execute(sql.SQL("CREATE SERVER bad FOREIGN DATA WRAPPER pynomaly_mongo "
                           "OPTIONS (uri {})").format(sql.Literal(uri)))

    for uri in ("localhost", "http://localhost/", "mongodb://", "mongodb://h:0/",
                "mongodb://h:99999/", "mongodb://h/?replicaSet=",
                "mongodb://h,/", "mongodb://a b/", "mongodb+srv://a.example.org:27017/",
                "mongodb://h/?authMechanism=NONE",
                "mongodb://us%er@h/"):
        text = error_of(lambda: create(uri))
        like(text, "^(HV024|HV00N|42601|22023)", f"{uri!r} is refused at once")
    db.execute("CREATE SERVER good FOREIGN DATA WRAPPER pynomaly_mongo "
               "OPTIONS (uri 'mongodb://localhost/')")
    for uri in ("mongodb://me:Top/Secret@h/", "mongodb://me:Top@Secret@h/",
                "mongodb://me:Top:Secret@h/", "mongodb://me:TopSecret%@h/",
                "mongodb://me:TopSecret@h/?nonsense=TopSecret",
                "mongodb://me:TopSecret@h:x/", "mongodb:/me:TopSecret@h/"):
        text = error_of(lambda: db.execute(sql.SQL(
            "CREATE USER MAPPING FOR CURRENT_USER SERVER good "
            "OPTIONS (uri {})").format(sql.Literal(uri))))
        ok("Secret" not in text, f"{uri}: its password is not shown", text)
        db.execute("DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER good")
    throws(lambda: create("mongodb://me:word@h/"), "HV024",
           "a password is refused where everybody can read it", hint="user mapping")
    db.execute("DROP SERVER good")

    # a server that names no host is on this one, whatever a user says
    db.execute("CREATE SERVER bare FOREIGN DATA WRAPPER pynomaly_mongo")
    db.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER bare "
               "OPTIONS (uri 'mongodb://127.0.0.2:9/')")
    db.foreign_table("elsewhere", "bare", "_id int", database="d", collection="c")
    throws(lambda: db.rows("SELECT * FROM elsewhere"), "HV024",
           "a user mapping's uri cannot lead a bare server elsewhere",
           message="contradict")
    db.execute("DROP SERVER bare CASCADE")


def strangers(db):
    """What is no MongoDB server, or not there, is a clear error, and soon."""
    class Http(threading.Thread):
        """Answers whatever comes as a web server does."""

        def __init__(self, answer):
            super().__init__(daemon=True)
            self.answer = answer
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.start()

        def run(self):
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = self.listener.accept()
                    with peer:
                        peer.recv(100)
                        peer.sendall(self.answer)

    http = Http(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    nothing = Http(b"")
    garbage = Http(bytes(range(256)) * 20)
    negative = Http(b"\xff\xff\xff\xff" + b"\0" * 100)
    huge = Http(b"\xff\xff\xff\x7f" + b"\0" * 100)
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    redis = urllib.parse.urlparse(os.environ["REDIS_URL"]).port
    places = {"a web server": http.port, "who hangs up": nothing.port,
              "garbage": garbage.port, "a negative length": negative.port,
              "a huge length": huge.port, "Redis": redis,
              "PostgreSQL": int(os.environ["PGPORT"]), "a closed port": closed}
    db.mongo_server("stranger", "mongodb://127.0.0.1:1/", connect_timeout=2000,
                    **ROWS_ONLY)
    db.foreign_table("t", "stranger", COLUMNS, **WHERE)

    def fails(uri, name, sqlstate="08001", seconds=3, **patterns):
        db.execute(sql.SQL("ALTER SERVER stranger OPTIONS (SET uri {})").format(
            sql.Literal(uri)))
        began = time.monotonic()
        throws(lambda: db.rows(QUERY), sqlstate, f"{name} is an error", **patterns)
        took = time.monotonic() - began
        ok(took < seconds, "and soon", f"{took:.1f} s")

    for name, port in places.items():
        fails(f"mongodb://127.0.0.1:{port}/", name,
              message="could not connect to MongoDB server", hint=".")
    fails("mongodb://no-such-host.invalid/", "a name that does not resolve",
          seconds=30, message="no-such-host.invalid")
    fails("mongodb://127.0.0.1:1,127.0.0.1:2/", "two closed ports")
    fails("mongodb:///nowhere%2Fsocket.sock".replace("///", "//%2F"),
          "no socket")
    for hello, name in (
            ({"maxWireVersion": 2, "minWireVersion": 0}, "one that is too old"),
            ({"minWireVersion": 999, "maxWireVersion": 1000}, "one that is too new"),
            ({"ok": 0.0, "errmsg": "go away", "code": 1}, "one that says no"),
            ({"setName": "rs1", "hosts": ["127.0.0.1:1"], "me": "127.0.0.1:1"},
             "another replica set")):
        with ScriptedServer(hello=hello) as server:
            server.on("aggregate", Batches(ROWS))
            options = "?replicaSet=rs0" if "setName" in hello else ""
            fails(server.uri + options, name)
    for answer, name in ((Half(), "half a handshake"), (Silence(), "no handshake")):
        with ScriptedServer() as server:
            server.on("hello", answer)
            fails(server.uri, name)
    with ScriptedServer() as server:
        server.on("aggregate", Batches(ROWS))
        fails(server.uri + "?tls=true", "TLS where there is none")
        db.execute(f"ALTER SERVER stranger OPTIONS (SET uri '{server.uri}')")
        is_(db.rows(QUERY), WHOLE, "and then a MongoDB server works")
    db.execute("DROP SERVER stranger CASCADE")


def tls(db):
    """TLS with an authority's file, a wrong one, and client certificates."""
    elsewhere = os.path.join(FOLDER, f"ca_{db.name}")
    os.mkdir(elsewhere)
    os.chmod(elsewhere, 0o755)
    make_certificates(elsewhere)
    wrong_ca = os.path.join(elsewhere, "ca.crt")
    for required in (False, True):
        folder = os.path.join(FOLDER, f"tls_{required}_{db.name}")
        server = Secantus(folder, os.environ["SERVERS_PYTHON"], tls=True)
        server.options += ["--tls-require-client-cert"] * required
        server.start()
        try:
            tls_options(db, server, wrong_ca, required)
        finally:
            server.stop()


def tls_options(db, server, wrong_ca, required):
    """Test one server that speaks TLS."""
    who = "with a certificate" if required else "without one"
    pem = {"tls_certificate_key_file": server.file("client.pem")} if required else {}

    def works(name, mapping=None, **options):
        with tls_server(db, server, mapping, **options):
            is_(db.value("SELECT count(*) FROM t"), 0, f"{who}: {name}")

    def fails(name, mapping=None, sqlstate="08001", **options):
        with tls_server(db, server, mapping, **options):
            throws(lambda: db.rows(QUERY), sqlstate, f"{who}: {name}")

    ca = server.file("ca.crt")
    works("TLS", tls="true", tls_ca_file=ca, **pem)
    works("mongo_fdw's names", ssl="true", ca_file=ca,
          **{"pem_file": path for path in pem.values()})
    works("a name of the certificate", host="localhost", tls="true",
          tls_ca_file=ca, **pem)
    folder, lists = authority_folder(server)
    for option in ("tls_ca_directory", "ca_dir"):
        works(option, **{option: folder}, tls="true", **pem)
    works("a list of revoked certificates without this one", tls="true",
          tls_ca_file=ca, tls_crl_file=lists["none"], **pem)
    for option in ("tls_crl_file", "crl_file"):
        fails(f"{option} with this one", tls="true", tls_ca_file=ca,
              **{option: lists["server"]}, **pem)
    works("a wrong authority that is not looked at", tls="true",
          tls_ca_file=wrong_ca, tls_allow_invalid_certificates="true", **pem)
    fails("a wrong authority", tls="true", tls_ca_file=wrong_ca, **pem)
    fails("no authority", tls="true", **pem)
    fails("no TLS")
    if required:
        fails("no certificate", tls="true", tls_ca_file=ca)
        works("a certificate in the mapping", mapping=pem, tls="true",
              tls_ca_file=ca)
        locked = server.file("locked.pem")
        subprocess.run(["openssl", "rsa", "-aes256", "-passout", "pass:key/w@rd",
                        "-in", server.file("client.key"), "-out", locked],
                       check=True, capture_output=True)
        with (open(locked, "ab") as file,
              open(server.file("client.crt"), "rb") as certificate):
            file.write(certificate.read())
        os.chmod(locked, 0o644)
        for word, run in (("key/w@rd", works), ("not the key's", fails)):
            run("a key with a password: " + word,
                mapping={"tls_certificate_key_file": locked,
                         "tls_certificate_key_password": word},
                tls="true", tls_ca_file=ca)
        ok("key/w@rd" not in server_log(), "which stands in no log")


def authority_folder(server):
    """Make a folder with the authority's certificate, and its revocation lists.

    Return the folder, and the lists' files: without and with the server's.
    """
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True,
                       capture_output=True)

    folder = server.file("authority")
    os.mkdir(folder)
    shutil.copy(server.file("ca.crt"), folder)
    openssl("rehash", folder)
    for name, content in (("index", ""), ("number", "01\n"), (
            "config", "[ca]\ndefault_ca = here\n[here]\ndatabase = index\n"
            "crlnumber = number\ndefault_md = sha256\ndefault_crl_days = 30\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(content)
    lists = {name: os.path.join(folder, f"{name}.crl") for name in ("none", "server")}
    authority = ["-config", "config", "-keyfile", server.file("ca.key"),
                 "-cert", server.file("ca.crt")]
    openssl("ca", *authority, "-gencrl", "-out", lists["none"])
    openssl("ca", *authority, "-revoke", server.file("server.crt"))
    openssl("ca", *authority, "-gencrl", "-out", lists["server"])
    for name in [folder, *lists.values()]:
        os.chmod(name, 0o755)
    return folder, lists


@contextlib.contextmanager
def tls_server(db, server, mapping, host="127.0.0.1", **options):
    """A foreign server with options, and a table of it."""
    db.execute(sql.SQL(
        "CREATE SERVER tls FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS ({})"
    ).format(option_texts({"host": host, "port": server.port,
                           "connect_timeout": 3000, **options})))
    db.execute(sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER tls {}").format(
        sql.SQL("OPTIONS ({})").format(option_texts(mapping))
        if mapping else sql.SQL("")))
    db.foreign_table("t", "tls", COLUMNS, **WHERE)
    yield
    db.execute("DROP SERVER tls CASCADE")


def option_texts(options):
    """Return the inside of an OPTIONS clause."""
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(str(value)))
        for name, value in options.items())


def files(db):
    """Only those who may read the server's files may name some."""
    role = f"{db.name}_plain"
    readable = os.path.join(FOLDER, f"readable_{db.name}")
    with open(readable, "w", encoding="ascii") as file:
        file.write("x")
    os.chmod(readable, 0o644)
    db.execute(f"CREATE ROLE {role}; "
               f"GRANT USAGE ON FOREIGN DATA WRAPPER pynomaly_mongo TO {role}")
    try:
        create = ("CREATE SERVER filed FOREIGN DATA WRAPPER pynomaly_mongo "
                  "OPTIONS (tls_ca_file '{}')")
        in_uri = ("CREATE SERVER filed FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
                  "(uri 'mongodb://h/?tls=true&tlsCAFile={}')")
        db.execute(f"SET ROLE {role}")
        for statement in (create, in_uri):
            throws(lambda: db.execute(statement.format(readable)), "42501",
                   "a file is not for everybody", hint="pg_read_server_files")
        throws(lambda: db.execute(create.format("/no/such/file")), "42501",
               "who may not see a file is not told whether it is there")
        db.execute("RESET ROLE; GRANT pg_read_server_files TO "
                   f"{role}; SET ROLE {role}")
        throws(lambda: db.execute(create.format("/no/such/file")), "58P01",
               "a file that is not there", hint="readable")
        throws(lambda: db.execute(create.format("relative")), "HV024",
               "a path that is not absolute", hint="slash")
        throws(lambda: db.execute(create.format(
            os.path.join(FOLDER, "postgres", "data", "pg_hba.conf", "x"))),
               "42809", "a path through a file")
        db.execute(create.format(readable))
        ok(True, "a member of pg_read_server_files may name one")
    finally:
        db.execute("RESET ROLE; DROP SERVER IF EXISTS filed CASCADE; "
                   f"DROP OWNED BY {role}; DROP ROLE {role}")


ALLOCATOR = """
#include "postgres.h"
#include "fmgr.h"
#include <bson/bson.h>

PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);

static void *take(size_t size) { return palloc(size); }
static void *take_zeroed(size_t n, size_t size) { return palloc0(n * size); }
static void *change(void *old, size_t size)
{
	return old == NULL ? palloc(size) : repalloc(old, size);
}
static void give_back(void *old) { pfree(old); }

void
_PG_init(void)
{
	static const bson_mem_vtable_t table = {
		.malloc = take, .calloc = take_zeroed, .realloc = change,
		.free = give_back
	};

	bson_mem_set_vtable(&table);
}
"""


def build_allocator(name):
    """Build a module that puts palloc under libbson; return its path."""
    source = os.path.join(FOLDER, f"allocator_{name}.c")
    with open(source, "w", encoding="ascii") as file:
        file.write(ALLOCATOR)
    headers = subprocess.run(
        [os.environ["PG_CONFIG"], "--includedir-server"], check=True, text=True,
        stdout=subprocess.PIPE).stdout.strip()
    package = next(name for name in ("bson2", "libbson-1.0") if subprocess.run(
        ["pkg-config", "--exists", name], check=False).returncode == 0)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", package],
                           check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    module = source.removesuffix(".c") + ".so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", module, source,
                    f"-I{headers}", *flags], check=True)
    os.chmod(module, 0o755)
    return module


def replaced_allocator(db):
    """An extension that puts palloc under libbson is found out, not crashed by."""
    module = build_allocator(db.name)
    with ScriptedServer() as server:
        server.on("aggregate", Batches(ROWS, size=10))
        db.mongo_server("scripted", server.uri, **ROWS_ONLY)
        db.foreign_table("t", "scripted", COLUMNS, **WHERE)
        # before the first use, and while there is a connection already
        for used_before in (False, True):
            session = db.connect()
            when = "after a first use" if used_before else "before it is used"
            if used_before:
                session.execute(QUERY).fetchall()
            session.execute(f"LOAD '{module}'")
            for _ in range(2):
                throws(lambda: session.execute(QUERY), "0A000",
                       f"a replaced allocator is refused {when}",
                       message="allocator", hint=".")
            db.execute("ALTER SERVER scripted OPTIONS (%s connect_timeout '5000')"
                       % ("SET" if used_before else "ADD"))
            is_(session.execute("SELECT 1").fetchall(), [(1,)],
                f"the session lives on, {when}")
            throws(lambda: session.execute(
                "CREATE SERVER x FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
                "(uri 'mongodb://h/')"), "0A000",
                   f"nor is a uri parsed with it, {when}")
            session.close()
            time.sleep(0.3)
            is_(db.rows(QUERY), WHOLE, f"other sessions are not touched, {when}")
        ok(server.wait_for(lambda: server.connections() == 1),
           "no connection is left", f"{server.connections()} are")
    ok("was terminated by signal" not in server_log(), "no process has crashed")


with database() as db:
    for part in (keeping, lost_connections, users, passwords, bad_uris, strangers,
                 tls, files, replaced_allocator):
        note(part.__doc__)
        part(db)
done()
