"""What goes wrong on the server or the network is an ERROR, never a short result."""
import struct

import bson
import psycopg

from servers.harness import *

ROWS = [{"_id": number, "n": number} for number in range(30)]
QUERY = "SELECT sum(n), count(*) FROM t"
WHOLE = [(sum(range(30)), 30)]


def broken(server, db, answers, sqlstate, name, before=(), **patterns):
    """Test that a scan fails where its n-th command is answered badly.

    The next statement works, on a server that is well again.
    """
    server.on("aggregate", *before, *answers)
    server.on("getMore", *answers)
    throws(lambda: db.rows(QUERY), sqlstate, name, **patterns)
    server.on("aggregate", Batches(ROWS, size=10))
    server.on("getMore", CONTINUE)
    is_(db.rows(QUERY), WHOLE, f"{name}: the next statement works")


def bad_documents():
    """Yield names and bytes of documents that are no BSON."""
    good = bson.encode({"_id": 1, "n": 5})
    yield "a document longer than its message", b"\xff\xff\xff\x7f" + good[4:]
    yield "a document shorter than its smallest", struct.pack("<i", 4) + good[4:]
    yield "a string that runs out of its document", bson.encode(
        {"_id": 1, "n": "abc"}).replace(struct.pack("<i", 4) + b"abc",
                                        struct.pack("<i", 99) + b"abc")
    yield "a value of an unknown type", good.replace(b"\x10n\0", b"\x44n\0")
    yield "a negative length", bson.encode({"_id": 1, "n": "abc"}).replace(
        struct.pack("<i", 4) + b"abc", struct.pack("<i", -1) + b"abc")
    yield "no end", good[:-1] + b"\x01"


def context_of(run):
    """Return the context of the error that run() raises."""
    try:
        run()
    except psycopg.Error as error:
        return error.diag.context
    return "no error"


class Patched(Batches):
    """A batch of one document whose bytes are replaced by others of that size."""

    def __init__(self, content):
        self.content = content
        super().__init__([{"_": b"x" * (len(content) - 13)}])

    def encode(self, key, namespace, index):
        whole = super().encode(key, namespace, index)
        placeholder = bson.encode(self.batches[0][0])
        assert len(placeholder) == len(self.content)
        return whole.replace(placeholder, self.content)


with database() as db, ScriptedServer() as server:
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    db.foreign_table("t", "scripted", "_id int, n int",
                     database="d", collection="c")
    first = (Batches(ROWS, size=10),)

    server.on("aggregate", Batches(ROWS, size=10))
    is_(db.rows(QUERY), WHOLE, "three batches come whole")
    is_(len(server.commands("getMore")), 2, "in as many commands")

    # every kind of trouble, at the first command and at a later one
    for where, before in (("first batch", ()), ("getMore", first)):
        broken(server, db, [Error(8000, "AtlasError", "no luck today")],
               "HV000", f"an unknown error in the {where}", before,
               detail=r"(?s)8000.*AtlasError|no luck today", context=r"aggregate|getMore")
        broken(server, db, [Error(43, "CursorNotFound", "cursor id 7 not found")],
               "24000", f"a lost cursor in the {where}", before,
               detail="CursorNotFound|43")
        broken(server, db, [Error(50, "MaxTimeMSExpired", "operation exceeded")],
               "57014", f"the server's own time-out in the {where}", before)
        broken(server, db, [Error(13, "Unauthorized", "not authorized on d")],
               "42501", f"a missing right in the {where}", before,
               detail="not authorized on d", hint="username")
        broken(server, db, [Error(112, "WriteConflict", "please retry",
                                  labels=["TransientTransactionError"])],
               "40001", f"a transient error in the {where}", before,
               detail="please retry")
        broken(server, db, [Error(251, "NoSuchTransaction", "gone",
                                  labels=["TransientTransactionError"])],
               "40001", f"the label alone in the {where}", before)
        opened = server.opened
        broken(server, db, [Error(11600, "InterruptedAtShutdown", "going down")],
               "57P01", f"a shutdown in the {where}", before)
        ok(server.opened > opened, "over a new connection")
        opened = server.opened
        broken(server, db, [Error(11602, "InterruptedDueToReplStateChange",
                                  "stepped down")],
               "57P03", f"a failover in the {where}", before)
        ok(server.opened > opened, "over a new connection")
        broken(server, db, [Close()], "08006",
               f"a closed connection in the {where}", before)
        broken(server, db, [Reset()], "08006",
               f"a reset connection in the {where}", before)
        broken(server, db, [Half(Batches(ROWS, size=10), then=Close())],
               "08006", f"half a message and an end in the {where}", before)
        broken(server, db, [Raw(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")],
               "08P01", f"what is no reply at all in the {where}", before)
        broken(server, db, [Reply({"cursor": {"id": bson.Int64(0)}})],
               "08P01", f"a reply without a batch in the {where}", before)
        broken(server, db, [Reply({"cursor": {"firstBatch": [], "nextBatch": [],
                                              "ns": "d.c"}})],
               "08P01", f"a reply without a cursor's id in the {where}", before)
        broken(server, db, [Reply({"nothing": "here"})],
               "08P01", f"a reply without a cursor in the {where}", before)

    for name, content in bad_documents():
        broken(server, db, [Patched(content)], "XX001", name)

    server.on("aggregate", Slowly(Batches(ROWS, size=10)))
    server.on("getMore", Slowly())
    is_(db.rows(QUERY), WHOLE, "answers that come byte by byte are whole")

    # an answer that says of itself that it failed, with ok as any number
    for ok_value in (0, bson.Int64(0), False):
        server.on("aggregate", Reply({"ok": ok_value, "errmsg": "said no",
                                      "code": 96, "codeName": "OperationFailed"}))
        throws(lambda: db.rows(QUERY), "HV000",
               f"ok: {ok_value!r} is an error", detail="said no")

    # the command is shown, and no value of the session's secrets with it
    server.on("aggregate", Error(16608, "Location16608", "can't $divide by zero"))
    throws(lambda: db.rows("SELECT n FROM t WHERE n = 17"), "22012",
           "the command stands in the context", detail=r"can't \$divide by zero",
           context=r'"aggregate":"c".*17')

    server.on("aggregate", Error(8000, "Odd"))
    like(context_of(lambda: db.rows("SELECT n FROM t WHERE n = ANY "
                                    "(ARRAY(SELECT generate_series(1, 5000)))")),
         r'^MongoDB command: \{"aggregate".{900,1100}\.\.\., database "d"$',
         "a long command is cut")

    # text that is not UTF-8 must not break our own message
    class Garbled(Reply):
        """An error whose message is no UTF-8."""

        def data(self, peer, request):
            return [part.replace(b"XY", b"\xc3\x28")
                    for part in super().data(peer, request)]

    server.on("aggregate", Garbled({"ok": 0.0, "errmsg": "bad XY text",
                                    "code": 8000, "codeName": "Odd"}))
    throws(lambda: db.rows(QUERY), "HV000", "a message that is not UTF-8",
           detail="bad .* text")

    # a huge message
    server.on("aggregate", Error(8000, "Odd", "long " * 20000))
    throws(lambda: db.rows(QUERY), "HV000", "a message of 100 kB")
    server.on("aggregate", Batches(ROWS, size=10))
    is_(db.rows(QUERY), WHOLE, "and the session goes on")


# a real server: fail points, and cursors killed by another client
with database() as db, secantus(fail_points=True) as server:
    client = mongo_client(server.uri)
    client.d.c.insert_many(ROWS)
    db.mongo_server("real", server.uri, **ROWS_ONLY)
    db.foreign_table("t", "real", "_id int, n int",
                     database="d", collection="c", fetch_size=10)

    def fail(commands, times=1, **data):
        """Make the server's next commands fail."""
        client.admin.command("configureFailPoint", "failCommand",
                             mode={"times": times},
                             data={"failCommands": commands, **data})

    is_(db.rows(QUERY), WHOLE, "a real server's rows come whole")
    for command in ("aggregate", "getMore"):
        fail([command], errorCode=96)
        throws(lambda: db.rows(QUERY), "HV000", f"failCommand: {command}",
               detail="96|OperationFailed", context="aggregate|getMore")
        is_(db.rows(QUERY), WHOLE, f"failCommand: {command}, and on it goes")
        fail([command], closeConnection=True)
        throws(lambda: db.rows(QUERY), "08006",
               f"failCommand: {command} closes the connection")
        is_(db.rows(QUERY), WHOLE, f"a new connection after {command}")
        fail([command], errorCode=112, errorLabels=["TransientTransactionError"])
        throws(lambda: db.rows(QUERY), "40001",
               f"failCommand: {command} with a transient label")

    # a cursor that another client kills between two batches
    db.execute("BEGIN")
    db.execute("DECLARE c CURSOR FOR SELECT n FROM t")
    db.rows("FETCH 5 FROM c")
    idle = [op for op in client.admin.command("currentOp")["inprog"]
            if op["type"] == "idleCursor"]
    is_([op["ns"] for op in idle], ["d.c"], "a cursor waits on the server")
    client.d.command("killCursors", "c", cursors=[idle[0]["cursorId"]])
    throws(lambda: db.rows("FETCH ALL FROM c"), "24000",
           "a killed cursor is an error", detail="CursorNotFound")
    db.execute("ROLLBACK")
    is_(db.rows(QUERY), WHOLE, "and the session goes on")

# a function that is called for a value loses the connection, and hides it
with database() as db, ScriptedServer() as server:
    large = [{"_id": number, "n": number, "s": "x" * 10000} for number in range(60)]
    server.on("aggregate", lambda command: Close() if command["aggregate"] == "lost"
              else Batches(large, size=60))
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    db.execute("""
        CREATE FOREIGN TABLE lost (n int) SERVER scripted OPTIONS (database 'd');
        CREATE FUNCTION loses(v int) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            IF v = 50 THEN PERFORM n FROM lost; END IF;
            RETURN true;
        EXCEPTION WHEN connection_failure THEN RETURN true;
        END $$;
        CREATE DOMAIN checked AS int CHECK (loses(VALUE));
        CREATE FOREIGN TABLE outside (n checked, s text) SERVER scripted
            OPTIONS (database 'd')""")
    is_(db.rows("SELECT n, length(s) FROM outside OFFSET 50 LIMIT 1"), [(50, 10000)],
        "the document in hand is still there when the client is gone")
    throws(lambda: db.rows("SELECT n, length(s) FROM outside"), "08003",
           "and those after it are an error")
done()
