"""Document functions: transactions, streams, rights, hostile documents, attach_mongo."""
import json
import os
import secrets
import time

import psycopg
from psycopg.types.json import Json, Jsonb

from servers.harness import *

MANY = 1_000_000
FLAT = 4096                             # kB, over a statement with MANY documents
SIXTEEN_MB = 16 * 1024 * 1024


def call(db, function, *arguments):
    """Call a function over the collection c of the server m."""
    places = ", ".join(["%s"] * len(arguments))
    return db.value(f"SELECT pynomaly.{function}('m', 'c', {places})",
                    [json.dumps(one) if isinstance(one, (dict, list)) else one
                     for one in arguments])


def ids(client, name, collection="c"):
    """Return the _ids that a collection really has."""
    return sorted(str(document["_id"]) for document in client[name][collection].find({}, {"_id": 1}))


# ---------- transactions ----------

def in_a_transaction(db, client, name):
    """Mode session: all of it or nothing, on both sides."""
    db.execute("CREATE TABLE side (n int)")
    session = db.connect(autocommit=False)
    for end in ("rollback", "commit"):
        session.execute("INSERT INTO side VALUES (1)")
        session.execute("""SELECT pynomaly.insert_document('m', 'c', '{"_id": 1}')""")
        session.execute("""SELECT pynomaly.update_document('m', 'c', '{"_id": 1}', '{"$set": {"a": 1}}')""")
        session.execute("""SELECT pynomaly.insert_documents('m', 'c', ARRAY['{"_id": 2}', '{"_id": 3}']::jsonb[])""")
        session.execute("""SELECT pynomaly.delete_document('m', 'c', '{"_id": 3}')""")
        seen = session.execute("""SELECT pynomaly.count_documents('m', 'c'),
            pynomaly.find_document('m', 'c', '{"_id": 1}')->'a',
            (SELECT count(*) FROM pynomaly.find_documents('m', 'c')),
            (SELECT count(*) FROM pynomaly.aggregate_documents('m', 'c', '[]'))""").fetchone()
        is_(seen, (2, 1, 2, 2), f"a transaction sees its own writes before its {end}")
        is_(ids(client, name), [], f"others do not, before its {end}")
        getattr(session, end)()
        wanted = (["1", "2"], 1) if end == "commit" else ([], 0)
        is_((ids(client, name), db.value("SELECT count(*) FROM side")), wanted,
            f"{end}: documents and rows together")

    throws(lambda: db.execute("""SELECT pynomaly.insert_documents('m', 'c',
               ARRAY['{"_id": 10}', '{"_id": 1}']::jsonb[])"""), "23505",
           "a duplicate among several", detail="Operation 2 of 2, _id 1")
    is_(ids(client, name), ["1", "2"], "and none of them is there")
    throws(lambda: db.execute("""SELECT pynomaly.bulk_write('m', 'c', '[
               {"insertOne": {"document": {"_id": 10}}},
               {"deleteOne": {"filter": {"_id": 2}}},
               {"insertOne": {"document": {"_id": 11}}},
               {"insertOne": {"document": {"_id": 1}}}]', false)"""), "23505",
           "a bulk write's failure is raised in a transaction",
           detail="Operation 4 of 4, _id 1", context="operations 3 to 4")
    is_(ids(client, name), ["1", "2"], "and nothing of the bulk is there")
    throws(lambda: db.execute("""DO $$ BEGIN
               PERFORM pynomaly.insert_document('m', 'c', '{"_id": 20}');
               PERFORM pynomaly.create_index('m', 'c', '{"late": 1}');
           END $$"""), "25001", "no index is made beside writes of the same transaction")
    is_(ids(client, name), ["1", "2"], "and those are rolled back")
    with session.transaction():
        session.execute("""SELECT pynomaly.insert_document('m', 'c', '{"_id": 4}')""")
        is_([session.execute(query).fetchone()[0] for query in (
                "SELECT count(*) FROM pynomaly.list_collections('m')",
                "SELECT count(*) FROM pynomaly.list_indexes('m', 'c')",
                "SELECT pynomaly.database_info('m')->>'database'")], [1, 1, name],
            "what there is can be asked beside writes")
        raise psycopg.Rollback()
    session.close()


def without_transactions():
    """Mode none, on a server that has no other."""
    with database() as db, secantus(standalone=True) as server:
        db.mongo_server("m", server.uri, database="d")
        throws(lambda: db.execute("""SELECT pynomaly.insert_documents('m', 'c',
                   ARRAY['{"_id": 1}', '{"_id": 1}', '{"_id": 2}']::jsonb[])"""), "23505",
               "a duplicate without a transaction", detail="Operation 2 of 3, _id 1")
        is_(db.value("SELECT pynomaly.count_documents('m', 'c')"), 1,
            "what came before it stays")
        report = db.value("""SELECT pynomaly.bulk_write('m', 'c', '[
            {"insertOne": {"document": {"_id": 1}}}, {"insertOne": {"document": {"_id": 2}}},
            {"deleteMany": {"filter": {"_id": 1}}}]', false)""")
        is_([(one["position"], one["status"]) for one in report["operations"]],
            [(1, "failed"), (2, "done"), (3, "done")], "a bulk write reports what failed")
        report = db.value("""SELECT pynomaly.bulk_write('m', 'c', '[
            {"insertOne": {"document": {"_id": 8}}}, {"deleteOne": {"filter": {"_id": 8}}},
            {"insertOne": {"document": {"_id": 2}}}]', false)""")
        ok(report["operations"][2]["detail"].startswith("Operation 3 of 3, _id 2."),
           "and where, counted among all of its operations", report)
        throws(lambda: db.execute("""SELECT pynomaly.run_command('m', NULL,
                   '{"insert": "c", "documents": [{"_id": 2}]}')"""), "23505",
               "run_command raises what failed of a command that was carried out",
               detail="MongoDB says: ")
        throws(lambda: db.execute("ALTER SERVER m OPTIONS (ADD transaction_mode 'session');"
                                  "SELECT pynomaly.insert_document('m', 'c', '{}')"), "0A000",
               "mode session is refused there")


def through_the_outbox(db, client, name, uri):
    """Mode outbox: what names its document and can be repeated is taken."""
    db.mongo_server("m2", uri, database=name, transaction_mode="outbox")
    for refused, statement in (
            ("an $inc", """update_document('m2', 'o', '{"_id": 1}', '{"$inc": {"a": 1}}')"""),
            ("a filter", """update_document('m2', 'o', '{"a": 1}', '{"$set": {"a": 2}}')"""),
            ("several documents", """update_documents('m2', 'o', '{"_id": 1}', '{"$set": {"a": 2}}')"""),
            ("a deletion by a filter", """delete_documents('m2', 'o', '{}')"""),
            ("array filters of which one selects what the other has changed",
             """update_document('m2', 'o', '{"_id": 1}', '{"$set": {"k.$[a]": 3, "k.$[b]": 2}}',
                                false, '[{"a": 2}, {"b": 1}]')"""),
            ("an array filter beside a position",
             """update_document('m2', 'o', '{"_id": 1}', '{"$set": {"k.$[a]": 3, "k.0": 2}}',
                                false, '[{"a": 2}]')"""),
            ("an array filter beside all elements",
             """update_document('m2', 'o', '{"_id": 1}', '{"$set": {"k.$[a].y": 1, "k.$[].x": 5}}',
                                false, '[{"a.x": 5}]')""")):
        throws(lambda: db.execute(f"SELECT pynomaly.{statement}"), "0A000",
               f"the outbox refuses {refused}")
    db.execute("""SELECT pynomaly.insert_documents('m2', 'o', ARRAY['{"_id": 1}', '{"_id": 2}', '{"_id": 3}']::jsonb[]);
        SELECT pynomaly.update_document('m2', 'o', '{"_id": 1}', '{"$set": {"a": 5}}');
        SELECT pynomaly.replace_document('m2', 'o', '{"_id": 2}', '{"b": 6}');
        SELECT pynomaly.delete_document('m2', 'o', '{"_id": 3}')""")
    is_(ids(client, name, "o"), [], "the outbox keeps writes back")
    throws(lambda: db.execute("SELECT pynomaly.detach_mongo('m2')"), "55006",
           "a server with writes in the outbox is not dropped")
    db.execute("CALL pynomaly.apply_outbox()")
    is_(list(client[name].o.find(sort=[("_id", 1)])), [{"_id": 1, "a": 5}, {"_id": 2, "b": 6}],
        "and then applies them in order")


# ---------- streams ----------

def flat(db, name, query):
    """Test that a statement over MANY documents has flat memory."""
    sampler = Sampler(db.backend())
    sampler.start()
    began = time.monotonic()
    count = db.value(query)
    first, last = sampler.stop()
    note(f"{name}: {time.monotonic() - began:.1f} s, {first} kB, then {last} kB")
    is_(count, MANY, f"{name}: every document is read")
    ok(last - first <= FLAT, f"{name}: memory is flat", f"{first} kB at first, {last} kB in the end")


def streams():
    """Sets come as they are wanted, and leave nothing behind."""
    rows = [{"_id": number, "s": "some text"} for number in range(1000)]
    with database() as db, ScriptedServer() as server:
        db.mongo_server("m", server.uri, database="d")
        for command in ("find", "aggregate"):
            server.on(command, Batches(rows, size=10_000, repeat=MANY // len(rows)))
        db.execute("SET work_mem = '256kB'")
        for function in ("find_documents('m', 'c')", "aggregate_documents('m', 'c', '[]')"):
            flat(db, f"{function} in a target list",
                 f"SELECT count(d) FROM (SELECT pynomaly.{function} AS d OFFSET 0) AS x")
        flat(db, "find_documents in FROM", "SELECT count(*) FROM pynomaly.find_documents('m', 'c')")

        server.script.clear()
        server.on("find", Batches(rows, size=10))
        for name, query in (
                ("LIMIT", "SELECT pynomaly.find_documents('m', 'c') LIMIT 3"),
                ("an error", "SELECT 1 / ((pynomaly.find_documents('m', 'c')->'_id')::int - 5)"),
                ("a cursor that is closed", "BEGIN; DECLARE c CURSOR FOR SELECT pynomaly.find_documents('m', 'c');"
                 "FETCH 3 FROM c; CLOSE c; COMMIT"),
                ("EXISTS", "SELECT EXISTS (SELECT pynomaly.find_documents('m', 'c'))")):
            server.seen.clear()
            try:
                db.execute(query)
            except psycopg.errors.DivisionByZero:
                pass
            ok(server.wait_for(lambda: not server.cursors), f"{name} closes the server's cursor")
            ok(len(server.commands("getMore")) < 3, f"{name} does not read to the end",
               server.commands("getMore"))
        server.on("getMore", Error(11600, "InterruptedAtShutdown"))
        for query in ("SELECT pynomaly.find_documents('m', 'c')",
                      "SELECT count(*) FROM pynomaly.find_documents('m', 'c')"):
            throws(lambda: db.rows(query), "57P01", "an error of a later batch is raised")
        server.script.clear()
        server.seen.clear()
        server.on("find", Silence())
        waiting = Background(db.connect(), "SELECT pynomaly.find_documents('m', 'c')")
        server.wait_for(lambda: server.commands("find"))
        seconds, state = waiting.cancel()
        is_(state, "57014", "a cancel ends a find")
        ok(seconds < 1, "at once", seconds)


# ---------- hostile documents ----------

def nested(levels):
    """Return a document that is so many levels deep."""
    return '{"d":' * (levels - 1) + "{}" + "}" * (levels - 1)


def hostile(db, client, name):
    """Bad documents get a clear error and change nothing."""
    before = ids(client, name)
    call(db, "insert_document", json.loads('{"_id": "deep", "v": ' + nested(99) + "}"))
    client[name].c.delete_one({"_id": "deep"})
    for what, state, document in (
            ("102 levels", "54000", nested(102)),
            ("a top-level key that begins with a dollar", "22023", '{"$set": {"a": 1}}'),
            ("an array as _id", "22023", '{"_id": [1]}'),
            ("a malformed ObjectId", "22P02", '{"_id": {"$oid": "xyz"}}'),
            ("a NUL in a string", "22P05", r'{"a": "x\u0000y"}'),
            ("a NUL in a key", "22P05", r'{"a\u0000b": 1}'),
            ("16 MB and 1", "54000", json.dumps({"a": "x" * (SIXTEEN_MB + 1)}))):
        throws(lambda: db.execute("SELECT pynomaly.insert_document('m', 'c', %s)", (document,)),
               state, f"{what} is refused")
        throws(lambda: db.execute("SELECT pynomaly.insert_documents('m', 'c', ARRAY['{\"_id\": \"first\"}', %s]::jsonb[])",
                                  (document,)), state, f"{what} is refused among others")
        throws(lambda: db.execute("SELECT pynomaly.replace_document('m', 'c', '{\"_id\": 1}', %s)",
                                  (document,)), state, f"{what} is refused as a replacement")
        throws(lambda: db.execute("SELECT pynomaly.bulk_write('m', 'c', %s)", (
                   '[{"insertOne": {"document": {"_id": "first"}}}, {"insertOne": {"document": '
                   + document + "}}]",)), state, f"{what} is refused in a bulk write")
    throws(lambda: db.execute("SELECT pynomaly.insert_document('m', 'c', %s)",
                              ('{"$oid": "5381ccf9d6d81c8e5bf0114d"}',)), "22P02", "a wrapper is no document")
    is_(ids(client, name), before, "nothing of it is there")
    call(db, "insert_document", {"_id": "dots", "a.b": 1, "c": {"d.e": 2, "$f": 3}, "": 4})
    is_(client[name].c.find_one({"_id": "dots"}),
        {"_id": "dots", "a.b": 1, "c": {"d.e": 2, "$f": 3}, "": 4},
        "keys with dots, and dollars further down, are kept as they are")
    call(db, "delete_document", {"_id": "dots"})


def encodings(uri, name):
    """Names, keys and values in a database that is not in UTF-8."""
    with database(options="ENCODING 'LATIN1' LOCALE 'C'") as db, mongo_client() as client:
        db.execute("SET client_encoding = 'UTF8'")
        db.mongo_server("m", uri, database=name)
        document = {"_id": "\u00e9", "cl\u00e9": "\u00fc"}
        is_(db.value("SELECT pynomaly.insert_document('m', '\u00e7', %s)", (Jsonb(document),)), "\u00e9",
            "an _id in LATIN1")
        is_(client[name]["\u00e7"].find_one(), document, "is UTF-8 in MongoDB, like keys and names")
        is_(db.value("SELECT pynomaly.find_document('m', '\u00e7', %s)", (Jsonb({"cl\u00e9": "\u00fc"}),)), document,
            "and is found")
        is_(db.value("SELECT pynomaly.create_index('m', '\u00e7', %s)", (Json({"cl\u00e9": 1}),)), "cl\u00e9_1",
            "an index's name")
        client[name]["\u00e7"].insert_one({"_id": "\u4e2d", "x": 1})
        throws(lambda: db.rows("SELECT pynomaly.find_documents('m', '\u00e7', '{\"x\": 1}')"), "22P05",
               "what the encoding does not have is an error", message="document")
        client[name]["\u00e7"].insert_one({"_id": 7, "y": "a\0b"})
        throws(lambda: db.rows("SELECT pynomaly.find_documents('m', '\u00e7', '{\"_id\": 7}')"), "22P05",
               "what jsonb cannot hold, too, without a hint at a column's option",
               message="does not fit", hint="^$")
        throws(lambda: db.execute("SELECT pynomaly.update_document('m', '\u00e7', '{\"x\": 1}', '{\"\u00e9\": 1}')"),
               "22023", "a message in LATIN1", message="\u00e9")


# ---------- rights ----------

def rights(db, uri, name):
    """Who may call what, beyond what expected/documents/arguments.out shows."""
    app, reader, admin = (f"{role}_{secrets.token_hex(4)}" for role in ("app", "reader", "admin"))
    for role, group in ((app, "app"), (reader, "readonly"), (admin, "admin")):
        db.execute(f"CREATE ROLE {role} IN ROLE pynomaly_{group};"
                   f"GRANT USAGE ON FOREIGN SERVER m TO {role};"
                   f"CREATE USER MAPPING FOR {role} SERVER m")
    read = "SELECT pynomaly.find_documents('m', 'c')"
    write = """SELECT pynomaly.insert_document('m', 'r', '{"_id": 1}')"""
    for role, statement, state in (
            (reader, read, None), (reader, write, "42501"), (app, read, None), (app, write, None),
            (app, "SELECT pynomaly.create_index('m', 'r', '{\"a\": 1}')", "42501"),
            (app, "SELECT pynomaly.run_command('m', NULL, '{\"ping\": 1}')", "42501"),
            (admin, "SELECT pynomaly.create_index('m', 'r', '{\"a\": 1}')", None),
            (admin, "SELECT pynomaly.run_command('m', NULL, '{\"ping\": 1}')", None),
            # refused by the server, not here
            (admin, """SELECT pynomaly.count_documents('m', 'c', '{"$where": "1"}')""", "22023")):
        db.execute(f"SET ROLE {role}")
        if state:
            throws(lambda: db.execute(statement), state, f"{role.split('_')[0]}: {statement}")
        else:
            ok(db.execute(statement), f"{role.split('_')[0]}: {statement}")
        db.execute("RESET ROLE")

    # whoever was granted EXECUTE on run_command is refused all the same
    db.execute(f"GRANT EXECUTE ON FUNCTION pynomaly.run_command TO {app}; SET ROLE {app}")
    throws(lambda: db.execute("SELECT pynomaly.run_command('m', NULL, '{\"ping\": 1}')"), "42501",
           "run_command looks at the role itself", message="permission denied to run commands")
    db.execute("RESET ROLE")
    # a function with its owner's rights reads as its owner, by his mapping
    db.execute(f"""CREATE FUNCTION owned() RETURNS bigint LANGUAGE sql SECURITY DEFINER
        BEGIN ATOMIC SELECT pynomaly.count_documents('m', 'c'); END;
        REVOKE USAGE ON FOREIGN SERVER m FROM {reader}; SET ROLE {reader}""")
    throws(lambda: db.execute(read), "42501", "no USAGE, no documents", message="foreign server m")
    ok(db.value("SELECT owned()") is not None, "a function with its owner's rights has his")
    db.execute("RESET ROLE")
    for role in (app, reader, admin):
        db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


# ---------- attach_mongo ----------

# What the platform asks, and the index that has to answer it: filter, sort, keys.
QUERIES = {
    "analytics_data": (
        ({"metric_name": "cpu", "timestamp": {"$gte": 1}}, {"timestamp": 1}, "metric_name_1_timestamp_1"),
        ({"user_id": "u"}, {"timestamp": 1}, "user_id_1_timestamp_1"),
        ({"timestamp": {"$lt": 1}}, None, "timestamp_1"),
    ),
    "logs": (
        ({}, {"timestamp": -1}, "timestamp_-1"),
        ({"level": "ERROR"}, {"timestamp": -1}, "level_1_timestamp_-1"),
        ({"logger_name": "x", "timestamp": {"$gte": 1}}, {"timestamp": -1}, "logger_name_1_timestamp_-1"),
        ({"tags": "x"}, {"timestamp": -1}, "tags_1_timestamp_-1"),
        ({"correlation_id": "x"}, {"timestamp": 1}, "correlation_id_1_timestamp_1"),
        ({"tenant_id": "t"}, {"timestamp": -1}, "tenant_id_1_timestamp_-1"),
    ),
    "configurations": (
        ({"id": "x"}, None, "id_1"),
        ({}, {"metadata.created_at": -1}, "metadata.created_at_-1"),
        ({"status": "draft"}, {"metadata.created_at": -1}, "status_1_metadata.created_at_-1"),
        ({"metadata.source": "cli"}, {"metadata.created_at": -1}, "metadata.source_1_metadata.created_at_-1"),
        ({"algorithm_config.algorithm_name": "LOF"}, {"metadata.created_at": -1},
         "algorithm_config.algorithm_name_1_metadata.created_at_-1"),
        ({"performance_results.accuracy": {"$gte": 0.9}}, {"performance_results.accuracy": -1},
         "performance_results.accuracy_-1"),
        ({"name": "x"}, None, "name_1"),
    ),
    "training_metrics": (
        ({"job_id": "x"}, None, "job_id_1"),
        ({"run_id": "x", "metric_name": "loss"}, {"step": 1}, "run_id_1_metric_name_1_step_1"),
        ({}, {"best_score": -1}, "best_score_-1"),
    ),
}


def scans(plan):
    """Yield the stages of a plan that read documents or an index."""
    if isinstance(plan, dict):
        if plan.get("stage") in ("COLLSCAN", "IXSCAN"):
            yield plan["stage"], plan.get("indexName")
        for part in plan.values():
            yield from scans(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from scans(part)


def attached(uri):
    """attach_mongo makes what is missing, once."""
    name = f"attach_{secrets.token_hex(4)}"
    with database() as db, mongo_client(uri) as client:
        for time_ in ("first", "second"):
            db.execute("SELECT pynomaly.attach_mongo(%s, %s)", (uri, name))
            made = (db.rows("SELECT c.relname, pg_get_userbyid(c.relowner) = current_user FROM pg_foreign_table f JOIN pg_class c "
                            "ON c.oid = f.ftrelid ORDER BY 1"),
                    sorted(client[name].list_collection_names()),
                    db.value("SELECT count(*) FROM pynomaly.platform_indexes()"),
                    sum(len(list(client[name][one].list_indexes())) - 1 for one in QUERIES))
            is_(made, ([(one, True) for one in sorted(QUERIES)], sorted(QUERIES), 25, 25),
                f"the {time_} attach_mongo: tables, collections, indexes")
        for collection, queries in QUERIES.items():
            for filter_, sort, index in queries:
                command = {"find": collection, "filter": filter_, **({"sort": sort} if sort else {})}
                plan = db.value("SELECT pynomaly.run_command('pynomaly_mongo', NULL, %s)",
                                (Json({"explain": command, "verbosity": "queryPlanner"}),))
                is_(set(scans(plan["queryPlanner"]["winningPlan"])), {("IXSCAN", index)},
                    f"{collection}: {filter_} by {sort}")
        validated(db)
        both_sides(db)

        # a validator of the user's own stays
        client[name].command("collMod", "logs", validator={"x": 1})
        db.execute("SELECT pynomaly.attach_mongo(%s, %s)", (uri, name))
        is_(client[name].command("listCollections", filter={"name": "logs"})
            ["cursor"]["firstBatch"][0]["options"]["validator"], {"x": 1}, "another validator is left alone")

        throws(lambda: db.execute("SELECT pynomaly.attach_mongo(%s, %s)", (uri, "other")), "42710",
               "the same server with another database")
        throws(lambda: db.execute("SELECT pynomaly.attach_mongo(%s, %s, 'second')", (uri, name)), "42P07",
               "a second server", hint="detach_mongo")
        throws(lambda: db.execute("DROP EXTENSION pynomaly_store"), "2BP01",
               "the extension is not dropped with them")
        db.execute("CREATE FOREIGN TABLE of_others (a int) SERVER pynomaly_mongo")
        throws(lambda: db.execute("SELECT pynomaly.detach_mongo()"), "2BP01",
               "detach_mongo drops nothing that it did not make")
        db.execute("DROP FOREIGN TABLE of_others; SELECT pynomaly.detach_mongo()")
        is_((db.value("SELECT count(*) FROM pg_foreign_server"), sorted(client[name].list_collection_names())),
            (0, sorted(QUERIES)), "detach_mongo drops this side only")
        throws(lambda: db.execute("SELECT pynomaly.detach_mongo()"), "42704", "and only once")
        client.drop_database(name)


def validated(db):
    """The validators take the platform's documents, and refuse what the tables could not read."""
    def insert(collection, document):
        return db.value("SELECT pynomaly.insert_document('pynomaly_mongo', %s, %s)",
                        (collection, Jsonb(document)))
    when = {"$date": "2025-01-02T03:04:05Z"}
    insert("logs", {"id": "a", "timestamp": when, "level": "INFO", "logger_name": "x", "message": "m",
                    "context": {}, "tags": ["t"], "source": "", "more": 1})
    insert("analytics_data", {"timestamp": when, "metric_name": "cpu", "value": 1, "tags": {"h": "a"},
                              "metadata": {}})
    insert("configurations", {"id": "c1", "name": "n", "status": "draft", "metadata": {"created_at": when, "tags": ["x"]},
                              "algorithm_config": {"algorithm_name": "LOF", "contamination": 0.1},
                              "performance_results": None, "is_valid": True, "execution_count": 0})
    insert("training_metrics", {"job_id": "j", "status": "completed", "best_score": 0.9, "total_trials": 3,
                                "trial_history": [{"n": 1}]})
    for collection, document in (
            ("logs", {"level": "INFO", "message": "no time"}),
            ("logs", {"timestamp": "2025-01-01", "level": "INFO", "message": "text for a time"}),
            ("analytics_data", {"value": "high"}),
            ("configurations", {"id": "c2"}),
            ("configurations", {"name": "n", "metadata": {"tags": "no array"}}),
            ("training_metrics", {"best_score": "0.9"})):
        throws(lambda: insert(collection, document), "23514", f"{collection} refuses {document}")
    throws(lambda: insert("configurations", {"id": "c1", "name": "again"}), "23505", "an id is unique")
    is_(db.rows("SELECT name, algorithm_name, tags, accuracy, document->'is_valid' FROM pynomaly.configurations"),
        [("n", "LOF", ["x"], None, True)], "the columns of configurations")
    is_(db.rows("SELECT level, tags, document->'more' FROM pynomaly.logs"), [("INFO", ["t"], 1)],
        "the columns of logs")
    is_(db.rows("SELECT metric_name, value, tags FROM pynomaly.analytics_data"), [("cpu", 1.0, {"h": "a"})],
        "the columns of analytics_data")
    is_(db.rows("SELECT job_id, best_score, total_trials FROM pynomaly.training_metrics"), [("j", 0.9, 3)],
        "the columns of training_metrics")


def both_sides(db):
    """A transaction over functions and foreign tables is one."""
    with db.connect(autocommit=False) as session:
        session.execute("""SELECT pynomaly.insert_document('pynomaly_mongo', 'training_metrics', '{"job_id": "k"}')""")
        is_(session.execute("SELECT count(*) FROM pynomaly.training_metrics").fetchone(), (2,),
            "a foreign table sees what a function wrote in the same transaction")
        session.execute("INSERT INTO pynomaly.training_metrics (job_id) VALUES ('l')")
        is_(session.execute("SELECT pynomaly.count_documents('pynomaly_mongo', 'training_metrics')").fetchone(), (3,),
            "and a function what was inserted into the table")
        session.rollback()
    is_(db.value("SELECT count(*) FROM pynomaly.training_metrics"), 1, "rolled back")


def credentials():
    """Secrets go to the user mapping, and nowhere else."""
    users = {"alice": ("p@ss:w/rd", ["readWriteAnyDatabase", "dbAdminAnyDatabase"])}
    with database() as db, secantus(users=users) as server:
        hosts = server.uri.removeprefix("mongodb://")
        uri = f"mongodb://alice:p%40ss%3Aw%2Frd@{hosts}"
        throws(lambda: db.execute("SELECT pynomaly.attach_mongo(%s)", (uri.replace("rd@", "rong@"),)), "28P01",
               "a wrong password")
        is_(db.value("SELECT count(*) FROM pg_foreign_server"), 0, "leaves nothing")
        db.execute("SELECT pynomaly.attach_mongo(%s)", (uri,))
        is_(db.value("SELECT srvoptions::text LIKE '%%p\\%%40ss%%' FROM pg_foreign_server"), False,
            "the server's options have no password")
        is_(db.value("SELECT umoptions FROM pg_user_mappings"), [f"uri={uri}"], "the user mapping has it")
        db.execute("ALTER USER MAPPING FOR CURRENT_USER SERVER pynomaly_mongo OPTIONS (SET uri %s)"
                   .replace("%s", f"'{uri.replace('rd@', 'rong@')}'"))
        db.execute("SELECT pynomaly.attach_mongo(%s)", (uri,))
        is_(db.value("SELECT umoptions FROM pg_user_mappings"), [f"uri={uri}"],
            "and gets a new one by calling attach_mongo again")
        try:
            db.execute("SELECT pynomaly.attach_mongo(%s)", (uri + "?nonsense=1&authMechanism=GSSAPI",))
        except psycopg.Error as error:
            shown = " ".join(str(part) for part in (error, error.diag.message_detail, error.diag.message_hint,
                                                     error.diag.context, error.diag.internal_query))
            ok("p%40ss" not in shown and "p@ss" not in shown, "an error shows no secret", shown)
        else:
            ok(False, "a contradicting uri is refused")


def main():
    """Go through it all."""
    uri = os.environ["MONGO_URI"]
    name = f"documents_{secrets.token_hex(4)}"
    with mongo_client() as client:
        with database() as db:
            db.mongo_server("m", uri, database=name, transaction_mode="session")
            client[name].create_collection("c")
            in_a_transaction(db, client, name)
            hostile(db, client, name)
            encodings(uri, name)
            rights(db, uri, name)
            through_the_outbox(db, client, name, uri)
        client.drop_database(name)
        without_transactions()
    streams()
    attached(uri)
    credentials()
    done()


main()
