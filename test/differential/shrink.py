"""Makes a wrong answer's case small: fewer documents, a simpler query."""

import time
from dataclasses import replace

from oracle import split_path

SECONDS = 20
COLLECTION = "shrunk"


def shrink(case, laboratory, comparison, collection):
    """Return a smaller case that is answered wrongly, too.

    Its table has the columns only that the query uses.  Tables of the same
    name are made anew for each try, and at the end as they were, over the
    collection.
    """
    attempt = _Attempt(laboratory, comparison)
    smallest = attempt.narrowed(case) or case
    end = time.monotonic() + SECONDS
    found = True
    while found:
        found = None
        for smaller in _smaller(smallest):
            if time.monotonic() > end:
                break
            found = attempt.narrowed(smaller)
            # a query that is no longer a query is wrong in another way
            if found and found.why == smallest.why:
                smallest = found
                break
            found = None
    laboratory.store.drop(COLLECTION)
    laboratory.make(case.table, case.documents, case.server, collection)
    return smallest


class _Attempt:
    """Asks the queries of cases over a collection for that purpose."""

    def __init__(self, laboratory, comparison):
        self.laboratory = laboratory
        self.comparison = comparison
        self.documents = self.indexes = None  # of the collection

    def narrowed(self, case):
        """Return the case with its answers where it is answered wrongly."""
        documents, indexes = case.documents, case.indexes
        if self.documents is not documents or self.indexes != indexes:
            documents = self.laboratory.store.fill(COLLECTION, documents, indexes)
            self.documents, self.indexes = documents, indexes
        used = case.query.used() | {"k"}
        columns = case.table.columns
        if not case.query.others:
            columns = [column for column in columns if column.name in used]
        table = replace(case.table, columns=columns)
        self.laboratory.make(table, documents, case.server, COLLECTION)
        wrong = self.comparison.difference(case.query, table, f"local_{table.name}")
        if not wrong:
            return None
        answers, why = wrong
        return replace(
            case, documents=documents, table=table, answers=answers, why=why
        )


def _smaller(case):
    """Yield smaller cases, those that take most away first."""
    count = len(case.documents)
    size = (count + 1) // 2
    while size >= 1:
        for start in range(0, count, size):
            kept = case.documents[:start] + case.documents[start + size :]
            yield replace(case, documents=kept)
        size //= 2
    pruned = _prune(case)
    if pruned != case.documents:
        yield replace(case, documents=pruned)
    for index in case.indexes:
        yield replace(case, indexes=[path for path in case.indexes if path != index])
    for query in case.query.smaller():
        yield replace(case, query=query)


def _prune(case):
    """Return the documents with the members only that the table reads."""
    columns = case.table.columns
    if any(column.path is None for column in columns):
        return case.documents
    keys = {"_id"} | {split_path(column.path)[0] for column in columns}
    return [
        [(key, member) for key, member in members if key in keys]
        for members in case.documents
    ]
