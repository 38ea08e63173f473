"""An Append over several servers waits for them side by side."""
import contextlib
import time

from servers.harness import *

PARTS = 3
ROWS = 30                       # of each part
ALL = [(part, number) for part in range(PARTS) for number in range(ROWS)]
SUM = sum(number for _, number in ALL)
TRIES = 3                       # a busy machine may spoil a measurement


def rows_of(part):
    """Return the documents of one part."""
    return [{"_id": number, "part": part, "n": number} for number in range(ROWS)]


def reset(servers, size=None, delay=0.0):
    """Let each server give its part, in batches of a size, after a delay each."""
    for part, server in enumerate(servers):
        server.script.clear()
        server.cursors.clear()
        server.on("aggregate", Delay(delay, Batches(rows_of(part), size=size)))
        server.on("getMore", Delay(delay))


def set_up(db, servers):
    """Make the partitioned table p, each part of it on a server of its own."""
    db.execute("CREATE TABLE p (_id int, part int, n int) PARTITION BY LIST (part)")
    for part, server in enumerate(servers):
        db.mongo_server(f"s{part}", server.uri)
        db.execute(f"CREATE FOREIGN TABLE p{part} PARTITION OF p FOR VALUES IN ({part}) "
                   f"SERVER s{part} OPTIONS (database 'd', collection 'c{part}')")
    db.foreign_table("other", "s0", "_id int, n int", database="d", collection="other")
    # the servers give whole documents, whatever they are asked for
    db.execute("SET pynomaly_store.enable_pushdown = off")


def seconds(run):
    """Return how long something takes."""
    began = time.monotonic()
    run()
    return time.monotonic() - began


def fastest(run):
    """Return how long something takes, undisturbed."""
    return min(seconds(run) for _ in range(TRIES))


def plans(db):
    """What is run so, and what switches it off."""
    query = "SELECT * FROM p"
    is_(db.explain(query).count("Async Foreign Scan"), PARTS,
        "all parts of an Append are asynchronous")
    db.execute("ALTER FOREIGN TABLE p1 OPTIONS (ADD async_capable 'false')")
    is_(db.explain(query).count("Async Foreign Scan"), PARTS - 1,
        "but for a table that is not said to be capable of it")
    db.execute("ALTER SERVER s1 OPTIONS (ADD async_capable 'false')")
    db.execute("ALTER FOREIGN TABLE p1 OPTIONS (SET async_capable 'true')")
    is_(db.explain(query).count("Async Foreign Scan"), PARTS,
        "a table's option wins over its server's")
    db.execute("ALTER FOREIGN TABLE p1 OPTIONS (DROP async_capable)")
    is_(db.explain(query).count("Async Foreign Scan"), PARTS - 1,
        "which holds where the table has none")
    db.execute("ALTER SERVER s1 OPTIONS (DROP async_capable)")


def side_by_side(db, servers):
    """The servers' delays overlap."""
    reset(servers, delay=0.5)
    db.rows("SELECT * FROM p")          # connects
    took = fastest(lambda: is_(sorted(db.rows("SELECT part, n FROM p")), ALL,
                               "all rows of three servers"))
    ok(0.5 <= took < 0.9, "three servers of 500 ms take about 500 ms", f"{took} s")
    db.execute("SET enable_async_append = off")
    took = seconds(lambda: db.rows("SELECT part, n FROM p"))
    ok(took >= 1.5, "one after the other they would take 1500 ms", f"{took} s")
    db.execute("RESET enable_async_append")

    # each server: 0.1 s for each of three batches
    reset(servers, size=10, delay=0.1)
    took = fastest(lambda: is_(sorted(db.rows("SELECT part, n FROM p")), ALL,
                               "all rows of three batches each"))
    ok(0.3 <= took < 0.6, "the delays of later batches overlap too", f"{took} s")
    is_(db.rows("SELECT count(*), sum(n) FROM p WHERE n % 7 = 3 OR part = 9"),
        [(12, 3 * (3 + 10 + 17 + 24))], "with a condition that is checked here")
    is_(db.value("SELECT count(*) FROM p WHERE n + _id = -1"), 0,
        "where no row of any batch passes")

    scans = db.plan("SELECT * FROM p", "ANALYZE")["Plans"]
    is_([(scan["Async Capable"], scan["Actual Rows"], scan["MongoDB Queries"],
          scan["MongoDB Batches"]) for scan in scans], [(True, ROWS, 1, 3)] * PARTS,
        "EXPLAIN counts rows and batches of each")
    ok(all(250 < scan["MongoDB Wait Time"] < 800 for scan in scans),
       "and how long each was waited for",
       [scan["MongoDB Wait Time"] for scan in scans])

    # what is not foreign is read while the servers think
    reset(servers, delay=0.4)
    took = fastest(lambda: is_(db.value(
        "SELECT count(*) FROM (SELECT n FROM p UNION ALL SELECT 1 FROM pg_sleep(0.4)) x"),
        PARTS * ROWS + 1, "with a part that is no foreign table"))
    ok(took < 0.7, "that one is read meanwhile", f"{took} s")


def one_connection(db, servers):
    """Scans that share a connection, and others that use it in between."""
    reset(servers, size=4)
    servers[0].on("aggregate", lambda command: Batches(
        rows_of(int(command["aggregate"][1:]) if command["aggregate"] != "other" else 7),
        size=4))
    db.execute("CREATE TABLE q (_id int, part int, n int) PARTITION BY LIST (part)")
    for part in range(PARTS):
        db.execute(f"CREATE FOREIGN TABLE q{part} PARTITION OF q FOR VALUES IN ({part}) "
                   f"SERVER s0 OPTIONS (database 'd', collection 'c{part}')")
    is_(db.explain("SELECT * FROM q").count("Async Foreign Scan"), PARTS,
        "parts of one server are asynchronous too")
    is_(sorted(db.rows("SELECT part, n FROM q")), ALL, "and all their rows come")
    is_(sorted(db.rows("SELECT a.part, a.n FROM q a JOIN q b USING (part, n)")), ALL,
        "also of a join of two Appends")
    is_(sorted(db.rows("(SELECT part, n FROM q OFFSET 0) UNION ALL "
                       "(SELECT part, n FROM q OFFSET 0)")), sorted(ALL + ALL),
        "and of an Append below another")
    is_(sorted(db.rows("SELECT part, n FROM p UNION ALL SELECT part, n FROM q")),
        sorted(ALL + ALL), "beside parts of other servers")
    is_(db.rows("SELECT sum(n), sum((SELECT count(*) FROM other o WHERE o.n <= p.n "
                "OR o.n = -p.part)) FROM p"),
        [(SUM, PARTS * sum(range(1, ROWS + 1)))],
        "a subquery reads from the server that is still to answer")
    db.execute("CREATE TABLE wanted AS SELECT n FROM generate_series(0, 4) n; "
               "SET enable_hashjoin = off; SET enable_mergejoin = off; "
               "SET enable_material = off; SET enable_memoize = off")
    is_(sorted(db.rows("SELECT w.n, x.part FROM wanted w CROSS JOIN LATERAL "
                       "(SELECT part FROM p WHERE p.n = w.n OFFSET 0) x")),
        sorted((n, part) for n in range(5) for part in range(PARTS)),
        "an Append is scanned again, with other parameters")
    is_(len(db.rows("SELECT w.n, x.part FROM wanted w CROSS JOIN LATERAL "
                    "(SELECT part FROM p WHERE p.n >= w.n LIMIT 1) x")), 5,
        "and again before it has ended")
    db.execute("RESET ALL; SET pynomaly_store.enable_pushdown = off")

    db.execute("BEGIN")
    db.execute("DECLARE c CURSOR FOR SELECT part, n FROM p")
    first = db.rows("FETCH 2 FROM c")
    is_(db.value("SELECT count(*) FROM other"), ROWS,
        "another statement reads from the server meanwhile")
    is_(sorted(db.rows("SELECT part, n FROM p")), ALL, "or from all of them")
    db.execute("SAVEPOINT s")
    db.execute("DECLARE lost CURSOR FOR SELECT part, n FROM p")
    db.rows("FETCH 1 FROM lost")
    throws(lambda: db.rows("SELECT 1 / (n - 3) FROM p"), "22012", "or fails")
    db.execute("ROLLBACK TO s")
    is_(sorted(first + db.rows("FETCH ALL FROM c")), ALL, "the cursor goes on after that")
    db.execute("COMMIT")
    is_(sorted(db.rows("SELECT part, n FROM q")), ALL, "and all is well")


def failures(db, servers):
    """Errors are raised, and leave nothing behind."""
    reset(servers, size=10, delay=0.05)
    error = Error(11600, "InterruptedAtShutdown", "going down")
    servers[1].on("aggregate", Error(2, "BadValue", "no such thing"))
    throws(lambda: db.rows("SELECT * FROM p"), "22023", "an error of one server",
           detail="no such thing")
    reset(servers, size=10, delay=0.05)
    is_(sorted(db.rows("SELECT part, n FROM p")), ALL, "the next statement is well")
    servers[2].on("getMore", Delay(0.05), error)
    throws(lambda: db.rows("SELECT * FROM p"), "57P01", "an error of a later batch",
           detail="going down")
    for answer in (Close(), Half(then=Close()), Reset()):
        reset(servers, size=10, delay=0.05)
        servers[0].on("getMore", answer)
        throws(lambda: db.rows("SELECT * FROM p"), "08006",
               f"a connection that is lost: {type(answer).__name__}")
    reset(servers, size=10)
    servers[0].on("getMore", Raw(b"\x26\0\0\0" + b"x" * 34))
    throws(lambda: db.rows("SELECT * FROM p"), "08P01", "an answer that is none")
    servers[0].on("getMore", Reply())
    throws(lambda: db.rows("SELECT * FROM p"), "08P01", "an answer without a batch")
    reset(servers, size=10)
    is_(sorted(db.rows("SELECT part, n FROM p")), ALL, "the next statement is well")


def endings(db, servers):
    """What ends before the answers have come."""
    # those that are late are not waited for
    reset(servers, size=10)
    servers[1].on("aggregate", Delay(3, Batches(rows_of(1))))
    servers[2].on("getMore", Delay(3))
    took = fastest(lambda: is_(len(db.rows("SELECT n FROM p LIMIT 5")), 5,
                               "a LIMIT that one server can serve"))
    ok(took < 0.5, "does not wait for the others", f"{took} s")
    is_(servers[0].connections(), 1, "a connection that is at rest is kept")
    took = seconds(lambda: is_(len(db.rows("SELECT n FROM p0")), ROWS, "and works"))
    ok(took < 0.5, "at once", f"{took} s")

    # an answer that has come, but was not read: its cursor is closed
    reset(servers, size=10, delay=0.02)
    killed = len(servers[2].commands("killCursors"))
    with transaction(db):
        is_(len(db.rows("SELECT n, pg_sleep(0.1) FROM p LIMIT 1")), 1, "a LIMIT of one")
    ok(servers[2].wait_for(lambda: len(servers[2].commands("killCursors")) > killed),
       "the cursors of the others are closed")
    is_([len(server.cursors) for server in servers], [0] * PARTS, "none stays open")

    # a cancel
    reset(servers, size=10)
    servers[1].on("getMore", Silence())
    sessions = len(servers[1].commands("killSessions"))
    times = []
    for _ in range(TRIES):
        query = Background(db.main, "SELECT count(*) FROM p")
        servers[1].wait_for(lambda: servers[1].commands("getMore"))
        time.sleep(0.1)
        took, state = query.cancel()
        is_(state, "57014", "a cancel while an answer is awaited")
        times.append(took)
    ok(min(times) < 0.2, "is obeyed within 200 ms", times)
    ok(servers[1].wait_for(lambda: len(servers[1].commands("killSessions")) > sessions),
       "what was under way is killed")
    reset(servers, size=10)
    is_(sorted(db.rows("SELECT part, n FROM p")), ALL, "the next statement is well")
    ok(all(server.wait_for(lambda: server.connections() == 1) for server in servers),
       "one connection to each server is left",
       [server.connections() for server in servers])


@contextlib.contextmanager
def transaction(db):
    """A transaction block."""
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")


def compressed(db):
    """Both halves of a command can be compressed."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(hello={"compression": ["zlib"]}))
                   for _ in range(2)]
        db.execute("CREATE TABLE z (_id int, part int, n int) PARTITION BY LIST (part)")
        for part, server in enumerate(servers):
            server.on("aggregate", Compressed(Batches(rows_of(part), size=7)))
            server.on("getMore", Compressed())
            db.mongo_server(f"z{part}", server.uri + "?compressors=zlib")
            db.execute(f"CREATE FOREIGN TABLE z{part} PARTITION OF z FOR VALUES IN "
                       f"({part}) SERVER z{part} OPTIONS (database 'd', collection 'c')")
        is_(db.explain("SELECT * FROM z").count("Async"), 2, "two compressing servers")
        is_(sorted(db.rows("SELECT part, n FROM z")), ALL[:2 * ROWS], "all rows come")
        db.execute("DROP TABLE z; DROP SERVER z0 CASCADE; DROP SERVER z1 CASCADE")


def encrypted(db):
    """TLS keeps nothing back that the socket has announced."""
    with secantus(tls=True) as server:
        uri = f"mongodb://127.0.0.1:{server.port}/?tls=true&tlsInsecure=true"
        db.execute("CREATE TABLE e (_id int, part int, n int) PARTITION BY LIST (part)")
        with mongo_client(uri) as client:
            for part in range(2):
                client.d[f"c{part}"].insert_many(
                    {"_id": number, "part": part, "n": number} for number in range(3000))
        for part in range(2):
            db.mongo_server(f"e{part}", uri)
            db.execute(f"CREATE FOREIGN TABLE e{part} PARTITION OF e FOR VALUES IN "
                       f"({part}) SERVER e{part} OPTIONS (database 'd', "
                       f"collection 'c{part}', fetch_size '400')")
        is_(db.explain("SELECT * FROM e").count("Async"), 2, "two servers with TLS")
        is_(db.rows("SELECT count(*), sum(n) FROM e"), [(6000, 3000 * 2999)],
            "all rows come")
        db.execute("DROP TABLE e; DROP SERVER e0 CASCADE; DROP SERVER e1 CASCADE")


with database() as db, contextlib.ExitStack() as stack:
    servers = [stack.enter_context(ScriptedServer()) for _ in range(PARTS)]
    set_up(db, servers)
    plans(db)
    side_by_side(db, servers)
    one_connection(db, servers)
    failures(db, servers)
    endings(db, servers)
    compressed(db)
    encrypted(db)

done()
