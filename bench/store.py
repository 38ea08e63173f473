"""How long the platform's queries take, and what row-level security costs them."""
import argparse
import os
import random
import subprocess
import sys
import time

import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers import store_data                  # noqa: E402
from servers.postgres import Postgres           # noqa: E402
from servers.stack import Stack                 # noqa: E402

ROW, PAGE, SUMMARY = 1.0, 5.0, 50.0             # milliseconds that p99 may take
MOST_FOR_POLICIES = 1.10
CASES = (   # name, query, most that it may take
    ("detector by id", "SELECT * FROM pynomaly.detectors WHERE id = %(detector)s", ROW),
    ("detector by name", "SELECT * FROM pynomaly.find_detectors(name => 'detector 7')", ROW),
    ("dataset by name", "SELECT * FROM pynomaly.find_datasets_by_name('data 7')", ROW),
    ("detector by id prefix",
     "SELECT pynomaly.lookup_detector(left(%(detector)s::text, 13))", PAGE),
    ("result by id", "SELECT * FROM pynomaly.get_result(%(result)s)", ROW),
    ("statistics of a result",
     "SELECT * FROM pynomaly.get_result_statistics(%(result)s)", ROW),
    ("page of detectors",
     "SELECT * FROM pynomaly.find_detectors(algorithms => '{{LOF}}', page_size => 50)", PAGE),
    ("newest results", "SELECT * FROM pynomaly.find_results(page_size => 50)", PAGE),
    ("a page further back", "SELECT * FROM pynomaly.find_results(after_created_at => "
     "%(created_at)s, after_id => %(result)s, page_size => 50)", PAGE),
    ("newest results of a detector",
     "SELECT * FROM pynomaly.find_results(detector => %(detector)s, page_size => 50)", PAGE),
    ("newest results of a dataset",
     "SELECT * FROM pynomaly.find_results(dataset => %(dataset)s, page_size => 50)", PAGE),
    ("user by address", "SELECT * FROM pynomaly.get_user(by_email => '7.7@example.org')", ROW),
    ("page of users", "SELECT * FROM pynomaly.find_users(page_size => 50)", PAGE),
    ("page of jobs", "SELECT * FROM pynomaly.find_training_jobs(page_size => 50)", PAGE),
    ("page of events", "SELECT * FROM pynomaly.find_events(page_size => 50)", PAGE),
    ("page of the audit log",
     "SELECT * FROM pynomaly.find_audit_entries(page_size => 50)", PAGE),
    ("what a user did", "SELECT * FROM pynomaly.find_audit_entries(actor => %(tenant)s, "
     "page_size => 50)", PAGE),
    ("counts", "SELECT * FROM pynomaly.get_storage_stats()", SUMMARY),
    ("results by day", "SELECT * FROM pynomaly.count_results_by_day()", SUMMARY),
    ("detectors by results", "SELECT * FROM pynomaly.rank_detectors()", SUMMARY),
)
POLICY_CASES = (
    ("detector by id", "SELECT * FROM pynomaly.detectors r WHERE {} AND r.id = %(detector)s"),
    ("result by id",
     "SELECT * FROM pynomaly.result_summaries r WHERE {} AND r.id = %(result)s"),
    ("newest results", "SELECT * FROM pynomaly.result_summaries r WHERE {} "
     "ORDER BY created_at DESC, id DESC LIMIT 50"),
    ("results of a detector",
     "SELECT * FROM pynomaly.result_summaries r WHERE {} AND r.detector_id = %(detector)s "
     "ORDER BY created_at DESC, id DESC LIMIT 50"),
    ("results by day",
     "SELECT (created_at AT TIME ZONE 'UTC')::date, count(*) FROM pynomaly.detection_results r "
     "WHERE {} AND created_at >= now() - interval '30 days' GROUP BY 1"),
    ("counts", "SELECT count(*) FROM pynomaly.detection_results r WHERE {}"),
)


def milliseconds(connection, query, samples):
    """Return the sorted times of a query, in turn for each tenant of samples."""
    times = []
    for sample in samples:
        with connection.transaction():
            connection.execute("SELECT pynomaly.set_tenant(%s)", (sample["tenant"],))
            began = time.perf_counter()
            connection.execute(query, sample).fetchall()
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def draw_samples(connection, rounds):
    """Return parameters for each round: a tenant and rows of it."""
    rng = random.Random(1)
    samples = []
    for _ in range(rounds):
        tenant = store_data.tenant_id(rng.randint(1, store_data.TENANTS))
        row = connection.execute(
            "SELECT detector_id, dataset_id, id, created_at FROM pynomaly.detection_results "
            "WHERE tenant_id = %s AND created_at < now() - %s * interval '1 day' "
            "ORDER BY created_at DESC, id DESC LIMIT 1",
            (tenant, rng.randint(0, store_data.DAYS - 30))).fetchone()
        names = ("detector", "dataset", "result", "created_at")
        samples.append({"tenant": tenant, **dict(zip(names, row))})
    return samples


def cost_of_policies(connection, samples):
    """Return by which factor policies make queries slower, of each and of all.

    The same rows are asked for without them, with the tenant in the query.
    """
    spent = {}
    for _ in range(3):
        for name, query in POLICY_CASES:
            for role, condition in (("pynomaly_app", "true"),
                                    (None, "r.tenant_id = %(tenant)s")):
                connection.execute(f"SET ROLE {role}" if role else "RESET ROLE")
                times = milliseconds(connection, query.format(condition), samples)
                # the fastest nine of ten: what else the machine does is not theirs
                spent.setdefault((name, role), []).append(sum(times[:len(times) * 9 // 10]))
    connection.execute("RESET ROLE")
    best = {key: min(times) for key, times in spent.items()}
    factors = {name: best[name, "pynomaly_app"] / best[name, None] for name, _ in POLICY_CASES}
    return factors, (sum(best[name, "pynomaly_app"] for name, _ in POLICY_CASES) /
                     sum(best[name, None] for name, _ in POLICY_CASES))


def measure(connection, arguments):
    """Load, time each case, print a line each; return whether all were in time."""
    began = time.monotonic()
    store_data.load(connection, arguments.results)
    store_data.load_others(connection, arguments.others)
    print(f"{arguments.results} results of {store_data.TENANTS} tenants loaded in "
          f"{time.monotonic() - began:.0f} s")
    samples = draw_samples(connection, arguments.rounds)
    good = True
    connection.execute("SET ROLE pynomaly_app")
    print(f"{'':<32}{'p50':>8}{'p99':>8}{'limit':>8}  milliseconds")
    for name, query, limit in CASES:
        milliseconds(connection, query, samples[:10])
        times = milliseconds(connection, query, samples)
        p99 = times[int(len(times) * 0.99) - 1]
        print(f"{name:<32}{times[len(times) // 2]:>8.2f}{p99:>8.2f}{limit:>8.1f}"
              f"{'  above the limit' if p99 > limit else ''}", flush=True)
        good = good and p99 <= limit
    connection.execute("RESET ROLE")
    factors, factor = cost_of_policies(connection, samples)
    for name, of_one in factors.items():
        print(f"row-level security: {name:<22}{of_one:>6.2f} times the time without it")
    print(f"row-level security: {'all of these':<22}{factor:>6.2f}"
          f"{'  above the limit' if factor > MOST_FOR_POLICIES else ''}")
    return good and factor <= MOST_FOR_POLICIES


def main():
    """Run the benchmark; the exit status says whether all limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=1000000)
    parser.add_argument("--others", type=int, default=200,
                        help="users, jobs, experiments ... of each tenant")
    parser.add_argument("--rounds", type=int, default=500)
    arguments = parser.parse_args()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        make = ["make", "-s", f"PG_CONFIG={stack.pg_config}"]
        for goal in ("all", "install"):
            subprocess.run([*make, goal], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        server = stack.start_one(Postgres(stack.path("postgres"), stack.pg_config))
        environment = server.environment()
        with psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                             user=environment["PGUSER"],
                             password=environment["PGPASSWORD"],
                             dbname=environment["PGDATABASE"],
                             autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pynomaly_store")
            return 0 if measure(connection, arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
