"""Databases that are not in UTF8: text is converted or does not fit, never cut."""
import os

import bson

from servers.harness import *

TEXTS = {       # _id: text
    1: "plain",
    2: "grün",                      # LATIN1 has it
    3: "ключ",                      # LATIN1 has it not
    4: "naïve € 10",                # the euro is in LATIN9, not in LATIN1
    5: "\U0001f600 smile",
    6: "zero\0byte",
    7: "ÿ" * 300,
    8: "",
}
COLUMNS = '_id int, s text COLLATE "C", j jsonb OPTIONS (field \'s\'), ' \
          "v varchar(5) OPTIONS (field 's'), whole json OPTIONS (document 'true')"
FIT = {         # encoding: the _ids of texts that fit
    "LATIN1": [1, 2, 7, 8],
    "LATIN9": [1, 2, 4, 7, 8],
    "UTF8": [1, 2, 3, 4, 5, 7, 8],
    "EUC_JP": [1, 2, 3, 7, 8],
}


def misfits(db, column, numbers):
    """Return which documents cannot be read with a column."""
    found = []
    for number in numbers:
        try:
            db.rows(f"SELECT {column} FROM t WHERE _id = {number}")
        except Exception as error:      # of psycopg; counted by its SQLSTATE
            found.append((number, error.sqlstate))
    return found


def check(encoding, uri, name):
    """Test one encoding."""
    with database(options=f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'") as db:
        db.execute("SET client_encoding = 'UTF8'")
        db.mongo_server("real", uri)
        db.foreign_table("t", "real", COLUMNS, database=name, collection="c",
                         on_mismatch="null")
        fitting = FIT[encoding]
        wanted = [(number, text if number in fitting else None)
                  for number, text in TEXTS.items()]
        for pushdown in ("on", "off"):
            how = f"{encoding}, pushdown {pushdown}: "
            db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
            is_(db.rows("SELECT _id, s FROM t ORDER BY _id"), wanted,
                how + "texts that fit are whole, others are NULL")
            is_(db.rows("SELECT _id, j #>> '{}' FROM t ORDER BY _id"), wanted,
                how + "so it is in jsonb")
            is_(db.rows("SELECT _id, whole ->> 's' FROM t ORDER BY _id"), wanted,
                how + "and in whole documents")
            is_(db.rows("SELECT _id, v FROM t ORDER BY _id"),
                [(number, text if text and len(text) <= 5 or text == "" else None)
                 for number, text in wanted], how + "varchar(n) counts characters")
            for number, text in TEXTS.items():
                if number not in fitting:
                    continue
                is_(db.rows("SELECT _id FROM t WHERE s = %s", [text]), [(number,)],
                    how + f"text {number} is found")
            is_(db.rows("SELECT _id FROM t WHERE s IS NULL ORDER BY _id"),
                [(number,) for number in TEXTS if number not in fitting],
                how + "what does not fit counts as NULL")
            is_(db.value("SELECT count(*) FROM t WHERE s <> 'plain'"),
                len(fitting) - 1, how + "and is not unequal to anything")
            is_(db.value("SELECT count(*) FROM t WHERE s > ''"), len(fitting) - 1,
                how + "nor greater")
        db.execute("ALTER FOREIGN TABLE t OPTIONS (SET on_mismatch 'error'); "
                   "SET pynomaly_store.enable_pushdown = on")
        for column in ("s", "j", "whole"):
            is_([number for number, _ in misfits(db, column, TEXTS)],
                [number for number in TEXTS if number not in fitting],
                f"{encoding}, {column}: an error where it does not fit")
        ok(all(state.startswith("22") for _, state in misfits(db, "s", TEXTS)),
           f"{encoding}: of class 22", misfits(db, "s", TEXTS))

        # names of collections, fields and databases
        db.execute('CREATE FOREIGN TABLE named ("größe" int, x int OPTIONS '
                   "(field 'unter.maß')) SERVER real OPTIONS "
                   f"(database '{name}', collection 'straße')")
        is_(db.rows('SELECT "größe", x FROM named WHERE "größe" = 5'), [(5, 6)],
            f"{encoding}: names are converted")
        like(db.explain('SELECT "größe" FROM named WHERE x = 6'),
             "straße.*unter.maß", f"{encoding}: EXPLAIN shows them")
        db.execute(f'IMPORT FOREIGN SCHEMA "{name}" LIMIT TO ("straße") '
                   "FROM SERVER real INTO public")
        is_(db.value('SELECT count("größe") FROM "straße"'), 1,
            f"{encoding}: an import finds them")


def sql_ascii(uri, name):
    """A database without an encoding takes bytes as they are."""
    with database(options="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'") as db:
        db.execute("SET client_encoding = 'SQL_ASCII'")
        db.mongo_server("real", uri)
        db.foreign_table("t", "real", COLUMNS, database=name, collection="c",
                         on_mismatch="null")
        for number, text in TEXTS.items():
            size = db.value(f"SELECT octet_length(s) FROM t WHERE _id = {number}")
            is_(size, None if "\0" in text else len(text.encode()),
                f"SQL_ASCII: text {number} has all its bytes or none")
        is_(bytes(db.value("SELECT convert_to(s, 'SQL_ASCII') FROM t "
                           "WHERE _id = 3")), "ключ".encode(),
            "SQL_ASCII: they are those of UTF-8")
        is_(db.value("SELECT count(*) FROM t WHERE j IS NOT NULL"), len(TEXTS) - 1,
            "SQL_ASCII: jsonb")


def errors():
    """What the server says is shown in the database's encoding."""
    with ScriptedServer() as server, database(
            options="ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'") as db:
        db.execute("SET client_encoding = 'UTF8'")
        db.mongo_server("scripted", server.uri, **ROWS_ONLY)
        db.foreign_table("t", "scripted", "_id int, s text", database="d",
                         collection="c")
        server.on("aggregate", Error(8000, "Odd", "grün und ключ"))
        throws(lambda: db.rows("SELECT * FROM t"), "HV000", "an error in LATIN1",
               detail=r"grün und \?+")
        server.on("aggregate", Batches([{"_id": "ключ", "s": 5}]))
        throws(lambda: db.rows("SELECT s FROM t"), "22000",
               "a misfit of a document whose _id cannot be shown", detail="_id")
        server.on("aggregate", Batches([{"_id": 1, "s": bson.Code("x")}]))
        throws(lambda: db.rows("SELECT s FROM t WHERE s = 'ü'"), "22000",
               "the command in the context", detail="_id 1")


def main():
    """Load the texts and test every encoding."""
    client = mongo_client()
    with database(extension=False) as names:
        name = names.name
        try:
            client[name].c.insert_many([{"_id": number, "s": text}
                                        for number, text in TEXTS.items()])
            client[name]["straße"].insert_one(
                {"größe": 5, "unter": {"maß": 6}})
            for encoding in FIT:
                check(encoding, os.environ["MONGO_URI"], name)
            sql_ascii(os.environ["MONGO_URI"], name)
        finally:
            client.drop_database(name)
    errors()


main()
done()
