"""TRUNCATE empties a collection, in a transaction or at once, and leaves the rest."""
from servers.harness import *


def fill(mongo, count=3):
    """Put documents into both collections."""
    for name in ("a", "b"):
        mongo[name].delete_many({})
        mongo[name].insert_many([{"_id": n, "n": n, "more": n} for n in range(count)])


def counts(mongo):
    """Return how many documents each collection has."""
    return [mongo[name].count_documents({}) for name in ("a", "b")]


def truncates(db, mongo):
    """One table, several, beside a local one, and rolled back."""
    fill(mongo)
    mongo.a.create_index("n")
    db.execute("TRUNCATE a")
    is_(counts(mongo), [0, 3], "all documents of one collection are deleted")
    is_(sorted(mongo.a.index_information()), ["_id_", "n_1"], "its indexes stay")
    db.execute("TRUNCATE a")
    is_(counts(mongo), [0, 3], "an empty one can be truncated")

    fill(mongo)
    db.execute("INSERT INTO heap VALUES (1)")
    db.execute("BEGIN; TRUNCATE a, b, heap")
    is_(db.rows("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), "
                "(SELECT count(*) FROM heap)"), [(0, 0, 0)], "the transaction sees them empty")
    db.execute("INSERT INTO a VALUES (7, 7)")
    is_(db.rows("SELECT * FROM a"), [(7, 7)], "and writes into them")
    is_(counts(mongo), [3, 3], "nobody else does")
    db.execute("ROLLBACK")
    is_(counts(mongo) + [db.value("SELECT count(*) FROM heap")], [3, 3, 1],
        "everything is back after ROLLBACK")
    db.execute("TRUNCATE a, b, heap")
    is_(counts(mongo) + [db.value("SELECT count(*) FROM heap")], [0, 0, 0],
        "everything is gone after COMMIT")


def refused(db, mongo):
    """What cannot be truncated, and by whom."""
    fill(mongo)
    db.execute("ALTER FOREIGN TABLE b OPTIONS (ADD updatable 'false')")
    throws(lambda: db.execute("TRUNCATE a, b"), "55000", "a table that is not updatable",
           message="b does not allow truncates")
    db.execute("ALTER FOREIGN TABLE b OPTIONS (DROP updatable)")
    throws(lambda: db.execute("TRUNCATE queued"), "0A000", "one behind the outbox",
           hint="DELETE")
    throws(lambda: db.execute("BEGIN READ ONLY; TRUNCATE a"), "25006",
           "in a transaction that only reads")
    db.execute("ROLLBACK")
    db.execute("CREATE ROLE truncating; GRANT SELECT, DELETE ON a TO truncating; "
               "SET ROLE truncating")
    throws(lambda: db.execute("TRUNCATE a"), "42501", "without the right to")
    db.execute("RESET ROLE; DROP OWNED BY truncating; DROP ROLE truncating")
    is_(counts(mongo), [3, 3], "nothing is deleted by any of them")


with secantus() as server, database() as db:
    mongo = mongo_client(server.uri).x
    db.mongo_server("m", server.uri, transaction_mode="session")
    db.mongo_server("at_once", server.uri, transaction_mode="none")
    db.mongo_server("later", server.uri, transaction_mode="outbox")
    for table, server, collection in (("a", "m", "a"), ("b", "m", "b"),
                                      ("now", "at_once", "a"), ("queued", "later", "a")):
        db.foreign_table(table, server, "_id int, n int", database="x",
                         collection=collection)
    db.execute("CREATE TABLE heap (n int)")
    truncates(db, mongo)
    refused(db, mongo)
    db.execute("BEGIN; TRUNCATE now; ROLLBACK")
    is_(counts(mongo), [0, 3], "without transactions it happens at once")
done()
