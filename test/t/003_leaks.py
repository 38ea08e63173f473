"""Scans leave memory, sockets and server cursors as they were, however they end."""
import datetime
import time

import bson
import psycopg

from servers.harness import *

SCANS = 1000
WARM_UP = 100
CONTEXTS_MAY_GROW = 40          # kB, of all memory contexts together
PROCESS_MAY_GROW = 200          # kB, of the process's own memory
FLAT = 4096                     # kB, over a statement with 1,000,000 documents

ROWS = [{"_id": number, "n": number, "s": "some text"} for number in range(30)]
MISFITS = ROWS[:15] + [{"_id": 15, "n": "fifteen"}] + ROWS[16:]


def context_memory(db):
    """How much all memory contexts of the backend have, in kB."""
    return db.value("SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
                    ) // 1024


def statement(db, query, expected):
    """Run a query that ends in an error with that SQLSTATE, None for no error."""
    try:
        db.rows(query)
        state = None
    except psycopg.Error as error:
        state = error.sqlstate
    if state != expected:
        raise AssertionError(f"{query}: SQLSTATE {state}, expected {expected}")


def leaves_nothing(db, server, name, query, expected=None, times=SCANS, connections=1,
                   **script):
    """Test that a query, run often, leaves everything as it was."""
    def prepare():
        server.script.clear()
        server.on("aggregate", Batches(ROWS, size=10))
        server.on("killSessions", lambda _: server.cursors.clear() or Reply())
        for command, answer in script.items():
            server.on(command, answer)

    def run(count):
        for _ in range(count):
            statement(db, query, expected)
        server.seen.clear()

    def state():
        return (context_memory(db), anonymous_memory(db.backend()),
                open_sockets(db.backend()))

    prepare()
    db.execute("SET statement_timeout = %s" % ("5" if expected == "57014" else "0"))
    run(WARM_UP)
    db.execute("SET statement_timeout = 0")
    before = state()
    db.execute("SET statement_timeout = %s" % ("5" if expected == "57014" else "0"))
    run(times)
    db.execute("SET statement_timeout = 0")
    after = state()
    grown = [new - old for new, old in zip(after, before)]
    ok(grown[0] <= CONTEXTS_MAY_GROW and grown[1] <= PROCESS_MAY_GROW and
       grown[2] <= 0, f"{times} times {name}: memory and sockets as before",
       f"memory contexts, process memory (kB), sockets: {before}, then {after}")
    ok(server.wait_for(lambda: not server.cursors and
                       server.connections() <= connections),
       f"{times} times {name}: no cursor is left on the server",
       f"{len(server.cursors)} cursors, {server.connections()} connections")


def flat(db, query, expected, name):
    """Test that a statement's memory does not grow while it runs."""
    db.rows(query.replace("big", "small"))
    sampler = Sampler(db.backend())
    sampler.start()
    began = time.monotonic()
    rows = db.rows(query)
    first, last = sampler.stop()
    note(f"{name}: {time.monotonic() - began:.1f} s, {first} kB, then {last} kB")
    is_(rows, expected, f"{name}: every one is read")
    ok(last - first <= FLAT, f"{name}: memory is flat",
       f"{first} kB at first, {last} kB in the end")


with database() as db, ScriptedServer() as server:
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    db.foreign_table("t", "scripted", "_id int, n int, s text",
                     database="d", collection="c")
    db.mongo_server("nowhere", "mongodb://127.0.0.1:1/")
    db.foreign_table("nobody", "nowhere", "n int")
    db.execute("CREATE TABLE keys AS SELECT generate_series(1, 1000) AS k; "
               "ANALYZE keys")
    run = "SELECT sum(n) FROM t"

    leaves_nothing(db, server, "a whole scan", run)
    leaves_nothing(db, server, "LIMIT", "SELECT n, s FROM t LIMIT 5")
    leaves_nothing(db, server, "an error of the first batch", run, "HV000",
                   aggregate=Error(8000, "Odd"))
    leaves_nothing(db, server, "an error of a later batch", run, "HV000",
                   getMore=Error(8000, "Odd"))
    leaves_nothing(db, server, "a closed connection", run, "08006",
                   getMore=Close())
    leaves_nothing(db, server, "half a message", run, "08006",
                   getMore=Half(then=Close()))
    leaves_nothing(db, server, "a cancel in the first batch", run, "57014",
                   times=500, aggregate=Silence())
    leaves_nothing(db, server, "a cancel in a later batch", run, "57014",
                   times=500, getMore=Silence())
    leaves_nothing(db, server, "a misfit in a later batch", run, "22000",
                   aggregate=Batches(MISFITS, size=10))
    leaves_nothing(db, server, "an error of the query's own",
                   "SELECT sum(1 / (n - 15)) FROM t", "22012")
    leaves_nothing(db, server, "a refused connection",
                   "SELECT sum(n) FROM nobody", "08001")
    leaves_nothing(db, server, "an error that is caught", """
        DO $$
        BEGIN
            PERFORM sum(1 / (n - 15)) FROM t;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END $$""")
    leaves_nothing(db, server, "a cursor that is left open", """
        DO $$
        DECLARE c CURSOR FOR SELECT n FROM t; r record;
        BEGIN
            OPEN c;
            FETCH c INTO r;
        END $$""")
    leaves_nothing(db, server, "a statement with 1000 scans", """
        SELECT count(*) FROM keys CROSS JOIN LATERAL
        (SELECT n FROM t WHERE n > k LIMIT 3) x""", times=3)

    # two connections that are waited for side by side
    db.mongo_server("again", server.uri, **ROWS_ONLY)
    db.foreign_table("u", "again", "_id int, n int, s text",
                     database="d", collection="c")
    both = "(SELECT n FROM t UNION ALL SELECT n FROM u) x"
    is_(db.explain(f"SELECT n FROM {both}").count("Async"), 2, "two scans at a time")

    def leaves_nothing_of_both(name, query, expected=None, **script):
        leaves_nothing(db, server, name, query, expected, 300, 2, **script)

    leaves_nothing_of_both("both at once", f"SELECT sum(n) FROM {both}")
    leaves_nothing_of_both("a LIMIT of both", f"SELECT n FROM {both} LIMIT 15")
    leaves_nothing_of_both("an error of one of both", f"SELECT sum(n) FROM {both}",
                           "HV000", getMore=Error(8000, "Odd"))
    leaves_nothing_of_both("a cancel while both are awaited",
                           f"SELECT sum(n) FROM {both}", "57014", getMore=Silence())
    leaves_nothing_of_both("an error that is caught while one is awaited", f"""
        DO $$
        BEGIN
            PERFORM sum(1 / (n - 15)) FROM {both};
        EXCEPTION WHEN division_by_zero THEN NULL;
        END $$""")
    leaves_nothing_of_both("a cursor that is left open over both", f"""
        DO $$
        DECLARE c CURSOR FOR SELECT n FROM {both}; r record;
        BEGIN
            OPEN c;
            MOVE 15 FROM c;
        END $$""")
    db.execute("DROP SERVER again CASCADE")

    # a session that ends in the middle of a scan
    server.script.clear()
    server.on("aggregate", Batches(ROWS, size=10))
    for how in ("closes", "is terminated"):
        session = db.connect()
        session.execute("BEGIN")
        session.execute("DECLARE c CURSOR FOR SELECT n FROM t")
        session.execute("FETCH 5 FROM c")
        is_(len(server.cursors), 1, "a cursor is open on the server")
        if how == "closes":
            session.close()
        else:
            db.execute("SELECT pg_terminate_backend(%s)", [session.info.backend_pid])
        ok(server.wait_for(lambda: not server.cursors), f"until its session {how}")

    # caught errors, all in one transaction: nothing waits for its end
    server.script.clear()
    server.on("aggregate", Batches(ROWS, size=10))
    db.execute("""
        CREATE FUNCTION catch(times int) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            FOR i IN 1 .. times LOOP
                BEGIN
                    PERFORM sum(1 / (n - 15)) FROM t;
                EXCEPTION WHEN division_by_zero THEN NULL;
                END;
            END LOOP;
            RETURN 'caught';
        END $$""")
    db.value("SELECT catch(50)")
    before = anonymous_memory(db.backend())
    is_(db.value("SELECT catch(1000)"), "caught", "1000 caught errors at once")
    grown = anonymous_memory(db.backend()) - before
    ok(grown < PROCESS_MAY_GROW, "need no memory", f"{grown} kB")
    ok(server.wait_for(lambda: not server.cursors), "and leave no cursor",
       f"{len(server.cursors)} are left")

with database() as db, ScriptedServer() as server:
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    documents = [{"_id": number, "n": number, "x": 0.5,
                  "s": f"a text of some bytes, {number}",
                  "at": datetime.datetime(2026, 1, 1),
                  "tags": ["a", "b"], "sub": {"k": bson.Int64(number)}}
                 for number in range(20000)]
    for name, repeat in (("big", 50), ("small", 3)):
        db.foreign_table(f"whole_{name}", "scripted",
                         "doc jsonb OPTIONS (document 'true')",
                         database="d", collection=name)
        db.foreign_table(
            f"columns_{name}", "scripted",
            "_id int, n int, x float8, s text, at timestamptz, tags text[], "
            "sub jsonb, nn numeric OPTIONS (field 'n')",
            database="d", collection=name)
    batches = {"big": Batches(documents, size=20000, repeat=50),
               "small": Batches(documents, size=20000, repeat=3)}
    server.on("aggregate", lambda command: batches[command["aggregate"]])
    flat(db, "SELECT count(doc) FROM whole_big", [(1000000,)],
         "1,000,000 whole documents")
    flat(db, "SELECT count(n), count(x), count(s), count(at), count(tags), "
         "count(sub), count(nn) FROM columns_big", [(1000000,) * 7],
         "1,000,000 documents in columns")
done()
