"""A cancel, a time-out and a termination end any wait within 200 ms."""
import contextlib
import socket
import time

from servers.harness import *

ROWS = [{"_id": number, "n": number} for number in range(30)]
QUERY = "SELECT sum(n), count(*) FROM {}"
WHOLE = [(sum(range(30)), 30)]
PROMPT = 0.2            # seconds
TRIES = 3               # a busy machine may spoil a measurement: the best counts


class Deaf(Reply):
    """A reply, after which the server reads no more."""

    def send(self, peer, request):
        super().send(peer, request)
        peer.wait_for_end()


@contextlib.contextmanager
def silent_port():
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_port():
    """A port where connections are not even taken."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(
            socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield listener.getsockname()[1]


def reset(server):
    """Make the scripted server well again."""
    server.script.clear()
    server.on("aggregate", Batches(ROWS, size=10))
    server.on("listCollections", Batches([{"name": "c", "type": "collection",
                                           "options": {}}]))
    server.on("collStats", Reply({"count": 30, "size": 900}))


def scenarios(server):
    """Yield (name, statement, set-up) of everything that can be waited for."""
    def script(**answers):
        def prepare():
            for name, answer in answers.items():
                server.on(name, *answer if isinstance(answer, tuple) else (answer,))
        return prepare

    query = QUERY.format
    yield "connecting", query("full_port"), script()
    yield "a host that says nothing", query("silent"), script()
    yield "a TLS handshake", query("silent_tls"), script()
    yield "logging in", query("login"), script(saslStart=Silence())
    yield "the test of the connection", query("t"), script(ping=Silence())
    yield "the first batch", query("t"), script(aggregate=Silence())
    yield "a getMore", query("t"), script(getMore=Silence())
    yield "the rest of a message", query("t"), script(getMore=Half())
    yield ("a message that trickles in", query("t"),
           script(getMore=Slowly(pause=0.05)))
    yield ("a server that does not read", "SELECT count(*) FROM t WHERE s IN "
           "(SELECT 1::text) OR s = ANY (array_fill(repeat('x', 1000), "
           "ARRAY[12000]))", script(ping=Deaf()))
    yield ("an estimate", "EXPLAIN SELECT * FROM estimated",
           script(collStats=Silence()))
    yield "ANALYZE", "ANALYZE t", script(aggregate=Silence(), collStats=Silence())
    yield ("an import", "IMPORT FOREIGN SCHEMA d FROM SERVER scripted INTO public",
           script(listCollections=Silence()))


def start(db, statement, connection):
    """Start a statement and let it run into its wait."""
    running = Background(connection, statement)
    time.sleep(0.3)
    if running.ended:
        note(f"it did not wait: {running.error or running.rows}")
    return running


def best_of(tries, measure):
    """Return the best (seconds, SQLSTATE) of some, once it is good enough."""
    results = []
    for _ in range(tries):
        results.append(measure())
        if results[-1][0] <= PROMPT:
            break
    return min(results)


def prompt(result, sqlstate, name):
    """Test that a statement ended quickly, in the right way."""
    seconds, state = result
    ok(seconds <= PROMPT and state == sqlstate, name,
       f"it took {seconds * 1000:.0f} ms, SQLSTATE {state}")


def canceled(db, server, statement, prepare):
    """Cancel the statement; return how long it took and its SQLSTATE."""
    reset(server)
    prepare()
    return start(db, statement, db.connect()).cancel()


def timed_out(db, server, statement, prepare):
    """Let statement_timeout end it; return how much later it ended."""
    reset(server)
    prepare()
    connection = db.connect()
    connection.execute("SET statement_timeout = 300")
    began = time.monotonic()
    running = Background(connection, statement)
    running.wait()
    return (running.ended - began - 0.3,
            running.error and running.error.sqlstate)


def terminated(db, server, statement, prepare):
    """Terminate its backend; return how long it took, and its SQLSTATE."""
    reset(server)
    prepare()
    connection = db.connect()
    running = start(db, statement, connection)
    began = time.monotonic()
    db.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    running.wait()
    return running.ended - began, running.error and running.error.sqlstate


with (database() as db, ScriptedServer() as server, silent_port() as silent,
      full_port() as full):
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    db.mongo_server("full", f"mongodb://127.0.0.1:{full}/")
    db.mongo_server("silent", f"mongodb://127.0.0.1:{silent}/")
    db.mongo_server("silent_tls", f"mongodb://127.0.0.1:{silent}/?tls=true")
    db.mongo_server("login", server.uri,
                    {"username": "u", "password": "p"},
                    authentication_mechanism="SCRAM-SHA-256")
    for name, foreign_server in (
            ("t", "scripted"), ("full_port", "full"), ("silent", "silent"),
            ("silent_tls", "silent_tls"), ("login", "login")):
        db.foreign_table(name, foreign_server, '_id int, n int, s text COLLATE "C"',
                         database="d", collection="c")
    db.foreign_table("estimated", "scripted", "_id int", database="d",
                     collection="c", use_remote_estimate="true")
    reset(server)
    is_(db.rows(QUERY.format("t")), WHOLE, "without a fault there are rows")

    for what, statement, prepare in scenarios(server):
        for how, sqlstate in ((canceled, "57014"), (timed_out, "57014"),
                              (terminated, "57P01")):
            prompt(best_of(TRIES, lambda: how(db, server, statement, prepare)),
                   sqlstate, f"{how.__name__} while it waits for {what}")
    reset(server)
    ok(server.wait_for(lambda: server.connections() <= 1),
       "no connection of those sessions is left",
       f"there are {server.connections()}")

    # a statement that takes too long on a server that stalls
    for name in ("aggregate", "getMore"):
        reset(server)
        db.rows(QUERY.format("t"))
        server.on(name, Delay(6))
        db.execute("SET statement_timeout = '1s'")
        began = time.monotonic()
        throws(lambda: db.rows(QUERY.format("t")), "57014",
               f"1 s of time for a server that stalls 6 s in {name}")
        took = time.monotonic() - began
        ok(0.9 < took < 1.2, "ends within 1.2 s", f"it took {took:.3f} s")
        db.execute("RESET statement_timeout")

    # the session goes on, at once, and leaves nothing behind
    for what, statement, prepare in scenarios(server):
        if "scripted" not in statement and " t" not in statement:
            continue
        reset(server)
        db.rows(QUERY.format("t"))
        prepare()
        if "ping" in server.script:
            continue
        start(db, statement, db.main).cancel()
        reset(server)
        began = time.monotonic()
        rows = db.rows(QUERY.format("t"))
        took = time.monotonic() - began
        ok(rows == WHOLE and took < 0.3,
           f"after a cancel of {what} the next statement works at once",
           f"it took {took:.3f} s and gave {rows}")
        ok(server.wait_for(lambda: server.connections() <= 1),
           "and the old connection is closed",
           f"there are {server.connections()}")

    # what was running is killed on the server, and so is its cursor
    for command, kill in (("aggregate", "killSessions"),
                          ("getMore", "killSessions"), ("getMore", "killCursors")):
        reset(server)
        db.rows(QUERY.format("t"))
        server.seen.clear()
        server.on(command, Silence())
        start(db, QUERY.format("t"), db.main).cancel()
        ok(server.wait_for(lambda: server.commands(kill)),
           f"after a cancel of {command} the server gets {kill}",
           server.commands())

    # a cursor that is closed early: nor does that one, and it costs no wait
    reset(server)
    server.seen.clear()
    is_(len(db.rows("SELECT n FROM t LIMIT 3")), 3, "a LIMIT ends a scan early")
    ok(server.wait_for(lambda: server.commands("killCursors")),
       "its cursor is killed on the server")
    server.on("killCursors", Silence())
    began = time.monotonic()
    is_(len(db.rows("SELECT n FROM t LIMIT 3")), 3,
        "a server that does not answer that does no harm")
    took = time.monotonic() - began
    ok(took < 0.5, "and does not hold the statement up", f"{took:.3f} s")
    reset(server)
    is_(db.rows(QUERY.format("t")), WHOLE, "nor the next one")

    # a cancel caught within a transaction
    reset(server)
    server.on("getMore", Delay(6))
    db.execute("SET statement_timeout = '500ms'")
    db.execute("""
        CREATE FUNCTION try_it() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM sum(n) FROM t;
            RETURN 'no error';
        EXCEPTION WHEN query_canceled THEN
            RETURN 'canceled';
        END $$""")
    is_(db.value("SELECT try_it()"), "canceled", "a cancel can be caught")
    db.execute("RESET statement_timeout")
    reset(server)
    is_(db.rows(QUERY.format("t")), WHOLE, "and the session goes on")


# a real server: nothing stays there
with database() as db, secantus(fail_points=True) as server:
    client = mongo_client(server.uri)
    client.d.c.insert_many(ROWS)
    db.mongo_server("real", server.uri, **ROWS_ONLY)
    db.foreign_table("t", "real", "_id int, n int", database="d",
                     collection="c", fetch_size=10)

    def open_cursors():
        """Return how many cursors the server has open."""
        status = client.admin.command("serverStatus")
        return status["metrics"]["cursor"]["open"]["total"]

    is_(db.rows(QUERY.format("t")), WHOLE, "a real server's rows come whole")
    client.admin.command("configureFailPoint", "failCommand",
                         mode={"times": 1},
                         data={"failCommands": ["getMore"],
                               "blockConnection": True, "blockTimeMS": 3000})
    prompt(start(db, QUERY.format("t"), db.main).cancel(), "57014",
           "a cancel of getMore on a real server")
    is_(db.rows(QUERY.format("t")), WHOLE, "the next statement works")
    end = time.monotonic() + 5
    while open_cursors() and time.monotonic() < end:
        time.sleep(0.05)
    is_(open_cursors(), 0, "no cursor is left on it")
done()
