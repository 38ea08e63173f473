"""What tests of conditions share: each is asked as it is sent, and without pushdown."""
from servers.harness import *

# How a condition is sent: by MongoDB alone, checked again here, or not.
EXACT, SUPERSET, LOCAL = "exact", "superset", "local"


def outcome(db, query, parameters=None):
    """Return a query's rows, or its error's SQLSTATE."""
    try:
        return db.rows(query, parameters)
    except Exception as error:
        if not getattr(error, "sqlstate", None):
            raise
        return error.sqlstate


def sent(db, query):
    """Return how a query's condition is sent."""
    plan = db.explain(query)
    if "Filter:" not in plan:
        return EXACT
    return SUPERSET if '"$match"' in plan else LOCAL


def check(db, table, kinds):
    """Test conditions, a list or separated by lines and semicolons."""
    for how, conditions in kinds.items():
        if isinstance(conditions, str):
            conditions = conditions.replace("\n", ";").split(";")
        for condition in filter(None, map(str.strip, conditions)):
            query = f"SELECT _id FROM {table} WHERE {condition} ORDER BY _id"
            pushed = outcome(db, query)
            db.execute("SET pynomaly_store.enable_pushdown = off")
            local = outcome(db, query)
            db.execute("RESET pynomaly_store.enable_pushdown")
            is_((sent(db, f"SELECT _id FROM {table} WHERE {condition}"), pushed),
                (how, local), condition)
