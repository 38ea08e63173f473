"""Runs a query three times and tells whether the answers agree."""

import json
import select
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg import pq

from conditions import Leaf, Operand, tests_null
from query import Query
from tables import quote

JSON, FLOAT4, FLOAT8, NUMERIC, JSONB = 114, 700, 701, 1700, 3802
FLOATS = (FLOAT4, FLOAT8)
STATEMENT_TIMEOUT = "90s"
# What a mismatch may be reported as: a data exception, a domain's constraint.
MISMATCH_CLASSES = ("22", "23")
SHOWN_ROWS = 12
# Queries that look at every row that their condition selects.
READS_ALL = ("scan", "count", "aggregate", "group", "distinct", "top")


@dataclass
class Answer:
    """What a script gave: the last sets of rows, or an error."""

    results: tuple = ()  # of (types, rows)
    error: tuple = None  # (SQLSTATE, message)

    def show(self):
        """Return it as lines."""
        if self.error:
            return ["ERROR %s: %s" % self.error]
        lines = []
        for _, rows in self.results:
            lines.append(f"{len(rows)} rows")
            for row in rows[:SHOWN_ROWS]:
                lines.append("    " + " | ".join(map(_show_cell, row)))
        return lines


class Session:
    """A connection whose answers are kept as texts."""

    def __init__(self, database, settings):
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.settings = settings
        self.connection = psycopg.connect(
            dbname=database, autocommit=True, options=options
        )
        # A setting of ours given at the start is unknown until the library is
        # loaded, and must be known from then on.
        self.connection.execute("LOAD 'pynomaly_store'")

    def run(self, statements):
        """Run statements as one message; return the answer."""
        pgconn = self.connection.pgconn
        script = ";\n".join(["ROLLBACK", "RESET ALL", "DEALLOCATE ALL"] + statements)
        pgconn.send_query(script.encode())
        results, error = [], None
        while (result := _next_result(pgconn)) is not None:
            if result.status == pq.ExecStatus.TUPLES_OK:
                results.append(read_result(result))
            elif result.status == pq.ExecStatus.FATAL_ERROR:
                error = _read_error(result)
        if error and pgconn.status != pq.ConnStatus.OK:
            raise ConnectionError(f"{error[1]}\n{script}")
        return Answer(tuple(results), error)

    def close(self):
        """End the session."""
        self.connection.close()


def _next_result(pgconn):
    """Return the next result, or None; other threads can run meanwhile."""
    while pgconn.is_busy():
        select.select([pgconn.socket], [], [])
        pgconn.consume_input()
    return pgconn.get_result()


def read_result(result):
    """Return the types and the rows of a result."""
    types = [
        (result.ftype(column), result.fmod(column)) for column in range(result.nfields)
    ]
    rows = [
        tuple(_read_cell(result, row, column) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]
    return types, rows


def _read_cell(result, row, column):
    value = result.get_value(row, column)
    if value is None:
        return None
    if result.ftype(column) == JSON:
        return _plain_json(value.decode())
    return value.decode()


def _plain_json(text):
    """Return JSON text without what writers may choose: blanks, 1.0 or 1.00."""
    parsed = json.loads(text, object_pairs_hook=list, parse_float=Decimal)
    return repr(parsed)


def _read_error(result):
    def part(field):
        return (result.error_field(field) or b"").decode()

    message = part(pq.DiagnosticField.MESSAGE_PRIMARY)
    detail = part(pq.DiagnosticField.MESSAGE_DETAIL)
    sqlstate = part(pq.DiagnosticField.SQLSTATE)
    return sqlstate, f"{message}{' (' + detail + ')' if detail else ''}"


def _show_cell(cell):
    return "NULL" if cell is None else repr(cell)


def loosen(types, row):
    """Let one value stand for all that are equal to it."""
    return tuple(
        _loosen_cell(type_, cell) if cell is not None else None
        for (type_, _), cell in zip(types, row)
    )


def _loosen_cell(type_, cell):
    if type_ in (FLOAT4, FLOAT8):
        return "0" if cell == "-0" else cell
    if type_ == NUMERIC and cell.lstrip("-")[:1].isdigit() and "." in cell:
        return cell.rstrip("0").rstrip(".")
    if type_ == JSONB:
        return repr(_equal_json(json.loads(cell, parse_float=Decimal)))
    return cell


def _equal_json(value):
    if isinstance(value, dict):
        return {key: _equal_json(member) for key, member in sorted(value.items())}
    if isinstance(value, list):
        return [_equal_json(member) for member in value]
    if isinstance(value, Decimal) and value == int(value):
        return int(value)
    return value.normalize() if isinstance(value, Decimal) else value


def is_data_error(answer):
    """Is an answer an error of evaluation, such as an overflow?"""
    return bool(answer.error) and answer.error[0].startswith("22")


def same(query, one, other):
    """Are two answers the same, as far as the query determines them?"""
    if len(one.results) != len(other.results):
        return False
    ours, theirs = one.results, other.results
    if query.mode == "cursor":
        ours, theirs = _joined(ours), _joined(theirs)
    return all(
        first[0] == second[0] and _same_rows(query, first, second)
        for first, second in zip(ours, theirs)
    )


def _joined(results):
    """Make one result of all, as a cursor may cut them anywhere."""
    return [(results[0][0], [row for _, rows in results for row in rows])]


def _same_rows(query, one, other):
    types, _ = one
    ours, theirs = _rows(query, one), _rows(query, other)
    if ours == theirs:
        return True
    if not query.rough or len(ours) != len(theirs):
        return False
    floats = [number for number, type_ in enumerate(types) if type_[0] in FLOATS]
    return _pair_up(ours, floats) == _pair_up(theirs, floats)


def _pair_up(rows, floats):
    """Round the floats, whose last digits depend on the order of addition."""
    rounded = [
        tuple(
            f"{float(cell):.5g}" if number in floats and cell is not None else cell
            for number, cell in enumerate(row)
        )
        for row in rows
    ]
    return sorted(rounded, key=lambda row: [(c is None, c or "") for c in row])


def _rows(query, result):
    types, rows = result
    if query.loose:
        rows = [loosen(types, row) for row in rows]
    if query.ordered:
        return rows
    return sorted(rows, key=lambda row: [(cell is None, cell or "") for cell in row])


class Comparison:
    """Three sessions and the rules by which their answers are judged."""

    def __init__(self, database, timezone):
        # A disabled plan seems dear enough to compile, which takes seconds.
        common = {
            "search_path": "public,pynomaly",
            "TimeZone": timezone,
            "statement_timeout": STATEMENT_TIMEOUT,
            "jit": "off",
        }
        self.timezone = timezone
        setting = "pynomaly_store.enable_pushdown"
        self.heap = Session(database, common)
        self.on = Session(database, {**common, setting: "on"})
        self.off = Session(database, {**common, setting: "off"})

    def close(self):
        """End the sessions."""
        for session in (self.heap, self.on, self.off):
            session.close()

    def ask(self, query, table, local):
        """Return the three answers: pushdown on, off, and the heap's."""
        script = query.script(table.name, local)
        return (
            self.on.run(script),
            self.off.run(script),
            self.heap.run(query.script(table.name, local, "heap_")),
        )

    def difference(self, query, table, local):
        """Say in which way a query's answers differ from what is right, or None.

        Where nothing in the columns that a query uses is a mismatch, or
        mismatches are NULL, all three must be the same.  Where a mismatch is
        an error, whoever meets one may fail, and must not answer anything
        else than the heap, whose mismatches are NULL; and a query that cannot
        but meet one must fail (must_fail).
        """
        on, off, heap = answers = self.ask(query, table, local)
        if heap.error and not (query.may_fail() and is_data_error(heap)):
            return answers, "the query itself is wrong"
        names = ("with pushdown", "without pushdown")
        wrong = query.mismatched(table) if query.fails_on_mismatch(table) else ()
        must_fail = wrong and not heap.error and self.must_fail(query, table, local)
        for name, answer in zip(names, (on, off)):
            if query.may_fail() and is_data_error(answer):
                continue  # which condition is evaluated first is open
            if heap.error:
                if query.kind == "scan" and isinstance(query.where, Leaf):
                    return answers, f"{name} an error is not noticed"
                continue
            if answer.error and not wrong:
                return answers, f"{name} the query fails"
            if answer.error and answer.error[0][:2] not in MISMATCH_CLASSES:
                return answers, f"{name} the query fails for another reason"
            if not answer.error and not same(query, answer, heap):
                return answers, f"{name} the answer is wrong"
            if not answer.error and must_fail:
                return answers, f"{name} a mismatch is not noticed"
        return None

    def must_fail(self, query, table, local):
        """Has a query to meet a mismatched value, whichever way it is run?

        It has to where a row that its condition selects has one in a column
        that is returned, aggregated, grouped or sorted by, and where the
        condition is just an IS [NOT] NULL of a column with one.
        """
        if query.mode != "literal" or query.kind not in READS_ALL:
            return False
        if tests_null(query.where):
            return bool(query.where.used() & table.mismatched())
        targets = query.targets[:1] if query.kind == "top" else query.targets
        if query.kind == "scan" and any(sql[:2] != "a." for sql, _ in targets):
            return False
        wanted = frozenset().union(*(columns for _, columns in targets))
        template = "SELECT {targets} FROM {t} a WHERE {where}"
        numbers = Query("scan", template, (("doc", frozenset()),), query.where)
        answer = self.heap.run(numbers.script(table.name, local, "heap_"))
        if answer.error:
            return False
        _, rows = answer.results[0]
        return any(wanted & table.mismatches[int(row[0])] for row in rows)

    def ships_exactly(self, leaf, table):
        """Does MongoDB alone decide a condition?"""
        where = leaf.render(Operand.literal)
        body = f"SELECT 1 FROM {table.name} a WHERE {where}"
        answer = self.on.run([f"EXPLAIN (COSTS OFF) {body}"])
        lines = [row[0].strip() for _, rows in answer.results for row in rows]
        return bool(lines) and not any(line.startswith("Filter:") for line in lines)

    def statements(self, query, table, local):
        """Return the script with the settings of the session."""
        zone = f"SET TimeZone = {quote(self.timezone)}"
        return [zone] + query.script(table.name, local)
