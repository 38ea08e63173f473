#!/usr/bin/env python3
"""The same contents, whoever keeps them: a differential test of writing.

Random sequences of INSERT, COPY, UPDATE, DELETE, TRUNCATE, COMMIT and ROLLBACK
are run over a foreign table and over a plain one.  Each statement has to give
the same rows, the same count or the same SQLSTATE, and each sequence has to end
in the same contents.  A difference is made as small as it can be and reported.

    writes.py [--sequences N] [--seed S] [--modes session,outbox] [--shape N]

needs PostgreSQL by PGHOST, PGPORT and so on, where the extension can be
created, and a MongoDB server by MONGO_URI; prints TAP.  Half of the sequences
are run with pushdown and half without.
"""

import argparse
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from compare import loosen, read_result
from mongo import Store
from servers.harness import database, done, note, ok
from writing import SETUP, Writer, random_shape

SEQUENCES_OF_A_SHAPE = 20
TIMEZONES = ["UTC", "America/New_York", "Asia/Kolkata"]
# Which of several errors comes first is not a matter of the mapping.
DATA_ERRORS = ("22", "23")
REPORTS = 3


@dataclass
class Outcome:
    """What a statement gave."""

    sqlstate: str = ""
    message: str = ""
    count: int = 0
    rows: list = None

    def show(self):
        """Return it as a line."""
        if self.sqlstate:
            return f"ERROR {self.sqlstate}: {self.message}"
        return f"{self.count} rows" + (f": {self.rows}" if self.rows else "")


class Side:
    """A session, and the names that the tables have in it."""

    def __init__(self, name, settings, names):
        self.connection = psycopg.connect(
            dbname=name, autocommit=True,
            options=" ".join(f"-c {setting}={value}" for setting, value in settings.items()),
        )
        self.names = names

    def run(self, step, copied=None):
        """Run a step; return its outcome."""
        text = step.text
        for name, table in self.names.items():
            text = text.replace("{%s}" % name, table)
        try:
            if copied is not None:
                with self.connection.cursor() as cursor:
                    with cursor.copy(text) as copy:
                        copy.write(copied)
                    return Outcome(count=cursor.rowcount)
            cursor = self.connection.execute(text.encode())
        except psycopg.Error as error:
            if self.connection.closed:
                raise
            lines = [error.diag.message_primary, error.diag.message_detail]
            return Outcome(error.sqlstate, " / ".join(filter(None, lines)))
        outcome = Outcome(count=cursor.rowcount)
        if cursor.description:
            outcome.rows = shown_rows(cursor.pgresult)
        return outcome

    def contents(self):
        """Return the rows of the whole table."""
        cursor = self.connection.execute(f"SELECT * FROM {self.names['t']}".encode())
        return shown_rows(cursor.pgresult)

    def close(self):
        """End the session."""
        self.connection.close()


def shown_rows(result):
    """Return a result's rows as texts, sorted."""
    types, rows = read_result(result)
    return sorted((loosen(types, row) for row in rows), key=repr)


class Experiment:
    """A shape in a mode; its number decides all that is written."""

    def __init__(self, db, store, seed, mode, number):
        self.db = db
        self.store = store
        self.mode = mode
        self.number = number
        self.seed = seed
        self.rng = random.Random(f"{seed}/{mode}/{number}")
        self.shape = random_shape(self.rng)
        self.collection = f"{mode}{number}"
        self.reported = 0
        self.make()
        settings = {
            "TimeZone": self.rng.choice(TIMEZONES),
            "search_path": "public,pynomaly",  # for the operators of ObjectIds
        }
        self.foreign = Side(
            db.name,
            {**settings, "pynomaly_store.enable_pushdown": "on" if number % 2 else "off"},
            {"t": "written", "p": "written_part"},
        )
        self.heap = Side(db.name, settings, {"t": "heap", "p": "heap_part"})

    def plain(self):
        """Return what makes a table, and a second one that lacks columns."""
        shape = self.shape
        part = [shape.all[0]] + shape.part
        names = ", ".join(f'"{column.name}"' for column in part)
        where = (f"writes_{self.mode}", self.store.name, self.collection)
        return [
            shape.foreign_ddl("written", shape.all, *where),
            shape.foreign_ddl("written_part", part, *where),
            shape.heap_ddl("heap"),
            f"CREATE VIEW heap_part AS SELECT {names} FROM heap",
        ] + [
            f"ALTER VIEW heap_part ALTER {column.name} SET DEFAULT {column.default}"
            for column in shape.part if column.default
        ]

    def partitioned(self):
        """Return what makes a table of which one partition is foreign."""
        shape = self.shape
        where = (f"writes_{self.mode}", self.store.name, self.collection)
        made = [shape.foreign_ddl("written_0", shape.all, *where)]
        made += [shape.heap_ddl(name) for name in ("written_1", "heap_0", "heap_1")]
        for name in ("written", "heap"):
            made += shape.partitioned_ddl(name, [f"{name}_0", f"{name}_1"])
        return made

    def statements(self):
        """Return what makes the tables."""
        shape = self.shape
        made = self.partitioned() if shape.routed else self.plain()
        made += shape.source
        if shape.trigger:
            made.append(
                "CREATE OR REPLACE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$ BEGIN {shape.trigger} RETURN NEW; END $$"
            )
            made += [
                f"CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION fill()" for table in ("written", "heap")
            ]
        return made

    def make(self):
        """Create the tables."""
        for statement in self.statements():
            self.db.execute(statement)
        self.store.database.create_collection(self.collection)

    def drop(self):
        """Drop what make has made."""
        if self.shape.routed:
            self.db.execute("DROP TABLE written, heap")
        else:
            self.db.execute("DROP FOREIGN TABLE written, written_part")
            self.db.execute("DROP TABLE heap CASCADE")
        self.store.drop(self.collection)

    def run(self, sequences):
        """Run random sequences; report what differs."""
        writer = Writer(self.rng, self.shape, self.mode)
        wrong = 0
        for _ in range(sequences):
            steps = writer.sequence()
            why = self.difference(steps)
            if why:
                wrong += 1
                self.report(steps, why)
        pushdown = "with" if self.number % 2 else "without"
        ok(
            wrong == 0,
            f"{self.mode}, shape {self.number}: {sequences} sequences {pushdown} "
            "pushdown end in the same contents",
            f"{wrong} do not",
        )
        self.foreign.close()
        self.heap.close()
        self.drop()

    def difference(self, steps, log=None):
        """Run steps over empty tables; return why the two differ, or None."""
        for side in (self.foreign, self.heap):
            side.connection.execute("ROLLBACK")
        self.heap.connection.execute("TRUNCATE heap")
        self.store.database[self.collection].delete_many({})
        if self.shape.routed:
            self.foreign.connection.execute("TRUNCATE written_1")
        failed = inside = False
        for step in steps:
            if failed and not step.ends:
                continue
            copied = self.copied(step) if step.copied else None
            ours, theirs = [
                side.run(step, copied) for side in (self.foreign, self.heap)
            ]
            if log is not None:
                log.append((step, ours, theirs))
            why = differs(step, ours, theirs)
            if why:
                return why
            inside = (inside or step.text == "BEGIN") and not step.ends
            failed = inside and bool(ours.sqlstate)
            if ours.sqlstate and not inside and self.mode == "none":
                self.take_over()
            if self.mode == "outbox" and not inside:
                self.foreign.connection.execute("CALL pynomaly.apply_outbox()")
        if inside:
            for side in (self.foreign, self.heap):
                side.connection.execute("ROLLBACK")
        ours, theirs = self.foreign.contents(), self.heap.contents()
        if ours != theirs:
            extra = [row for row in ours if row not in theirs]
            missing = [row for row in theirs if row not in ours]
            return f"contents: foreign {extra[:3]}, heap {missing[:3]}"
        return None

    def copied(self, step):
        """Return the rows of a COPY as its text."""
        with self.heap.connection.cursor().copy(f"COPY ({step.copied}) TO STDOUT") as copy:
            return b"".join(copy)

    def take_over(self):
        """Let the heap have what a statement has left that failed."""
        self.heap.connection.execute("TRUNCATE heap")
        columns = [c for c in self.shape.all if not c.generated]
        names = ", ".join(f'"{column.name}"' for column in columns)
        self.heap.connection.execute(
            f"INSERT INTO heap ({names}) SELECT {names} FROM written"
        )

    def report(self, steps, why):
        """Make a sequence smaller, and print it so that it can be repeated."""
        self.reported += 1
        if self.reported > REPORTS:
            return
        steps = self.shrink(steps)
        log = []
        why = self.difference(steps, log) or why
        note(f"{why}; seed {self.seed}, mode {self.mode}, shape {self.number}")
        for statement in self.statements():
            note("    " + statement.replace("\n", "\n    ") + ";")
        for step, ours, theirs in log:
            note("    " + step.text + ";" + ("  -- " + step.copied if step.copied else ""))
            note("        foreign: " + ours.show())
            note("        heap:    " + theirs.show())

    def shrink(self, steps):
        """Leave out steps as long as the two still differ."""
        place = len(steps) - 1
        while place >= 0:
            fewer = steps[:place] + steps[place + 1 :]
            if self.difference(fewer):
                steps = fewer
            place -= 1
        return steps


def differs(step, ours, theirs):
    """Return why the outcomes of a step are not the same, or None."""
    if ours.sqlstate or theirs.sqlstate:
        classes = {ours.sqlstate[:2], theirs.sqlstate[:2]}
        if theirs.sqlstate.startswith("42"):
            return f"{step.text} cannot be run: {theirs.show()}"
        if ours.sqlstate == theirs.sqlstate or (
            not step.one_row and classes <= set(DATA_ERRORS)
        ):
            return None
        return f"{step.text}: {ours.show()} on the foreign table, {theirs.show()}"
    if ours.count != theirs.count and not step.text.startswith("TRUNCATE"):
        return f"{step.text}: {ours.count} rows on the foreign table, {theirs.count}"
    if ours.rows != theirs.rows:
        return f"{step.text}: {ours.rows} on the foreign table, {theirs.rows}"
    return None


def main():
    """Run each mode's shapes until the wanted number of sequences is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modes", default="session,outbox")
    parser.add_argument("--shape", type=int)
    arguments = parser.parse_args()
    modes = arguments.modes.split(",")
    share = arguments.sequences // len(modes)
    numbers = range(1, share // SEQUENCES_OF_A_SHAPE + 1)
    if arguments.shape is not None:
        numbers = [arguments.shape]
    with Store(os.environ["MONGO_URI"]) as store, database() as db:
        db.execute(SETUP)
        for mode in modes:
            db.mongo_server(f"writes_{mode}", store.uri, transaction_mode=mode)
            for number in numbers:
                Experiment(db, store, arguments.seed, mode, number).run(
                    SEQUENCES_OF_A_SHAPE
                )
    done()


if __name__ == "__main__":
    main()
