#!/usr/bin/env python3
"""Build, install, start servers, run every test, stop the servers.

The work is done in a copy of the tree below a temporary folder, with a private
copy of PostgreSQL's program files: neither the checkout nor the machine's
PostgreSQL is changed, and several runs do not disturb each other.  What a file
printed is kept in build/check.  The last line is "N passed, N failed".
"""
import argparse
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from servers.secantus import Secantus
from servers.stack import Stack

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build", "check")
SECONDS_PER_FILE = 1200                 # and then a test hangs
SECONDS_PER_QUERY = 0.5                 # of the differential tests, besides
SEED = 20240229
STANDALONE_SHARE = 5                    # of the queries, run there as well
SHOWN_LINES, SHOWN_COLUMNS = 100, 300
REGRESS_LINE = re.compile(              # of PostgreSQL 15, and of later ones
    r"^(?:test\s+(?P<old>\S+)\s+\.\.\. (?P<old_result>\w+)"
    r"|(?P<new_result>ok|not ok) \d+\s+[-+] (?P<new>\S+))")


class Failure(Exception):
    """Nothing further can be run."""


class Run:
    """The state of one run: where things are, and what was counted."""

    def __init__(self, stack, words, queries, sequences):
        self.stack = stack
        self.words = words
        self.queries = queries
        self.sequences = sequences
        self.tree = stack.path("tree")
        self.passed = self.failed = 0

    def wants(self, name):
        """Is a test with this name selected?"""
        return not self.words or any(word in name for word in self.words)

    def environment(self, **changes):
        """Return what a program of the tests is run with; None removes.

        What the caller has set for make or libpq does not reach it.
        """
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("PG", "MAKE", "MFLAGS"))}
        environment = {**inherited, **self.stack.environment(),
                       "TMPDIR": self.stack.folder,
                       "PYTHONPATH": os.path.join(self.tree, "test"),
                       "PYTHONDONTWRITEBYTECODE": "1",
                       "GIT_DIR": git("rev-parse", "--absolute-git-dir"),
                       "GIT_WORK_TREE": self.tree, **changes}
        return {name: value for name, value in environment.items()
                if value is not None}

    def count(self, name, passed, failed, seconds, output=""):
        """Add one file's results, and show them."""
        self.passed += passed
        self.failed += failed
        print(f"{'ok    ' if not failed else 'FAILED'} {name:<44} "
              f"{passed:>6} passed {failed:>4} failed {seconds:>7.1f} s",
              flush=True)
        if failed:
            print_part(output or "(it printed nothing)")

    def execute(self, name, command, limit=SECONDS_PER_FILE, **changes):
        """Run a command; return its exit status, output and seconds.

        Its process group is ended with it, and after limit seconds.
        """
        path = os.path.join(LOGS, re.sub("[/ ]", "_", name).lstrip(".") + ".log")
        began = time.monotonic()
        with open(path, "wb") as log:
            child = subprocess.Popen(
                command, cwd=self.tree, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env=self.environment(**changes))
            try:
                status = child.wait(limit)
            except subprocess.TimeoutExpired:
                status = "none: it took too long"
            finally:
                end_group(child)
        with open(path, encoding="utf-8", errors="replace") as log:
            return status, log.read(), time.monotonic() - began


def print_part(output):
    """Print what a failed test said, but not more than a reader can take."""
    lines = output.rstrip().splitlines()
    for line in lines[:SHOWN_LINES]:
        print("    " + line[:SHOWN_COLUMNS], flush=True)
    if len(lines) > SHOWN_LINES:
        print(f"    ... and {len(lines) - SHOWN_LINES} lines", flush=True)


def end_group(child):
    """End a child and whatever it has started in its process group."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, how)
        except ProcessLookupError:
            break
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            continue


# ---------- preparation ----------

def git(*arguments):
    """Return what git prints; root may look into a user's checkout."""
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, check=True,
        stdout=subprocess.PIPE, text=True).stdout.rstrip("\n")


def copy_tree(target):
    """Copy the checkout's files, new ones included, ignored ones not."""
    listed = git("ls-files", "-z", "--cached", "--others",
                 "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        source = os.path.join(ROOT, name)
        if os.path.lexists(source):
            copy = os.path.join(target, name)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def build(run):
    """Build with -Werror and install into the private PostgreSQL."""
    command = ["make", "-s", f"-j{os.cpu_count()}",
               f"PG_CONFIG={run.stack.pg_config}", "COPT=-Werror"]
    for goal in ("all", "install"):
        status, output, seconds = run.execute(f"make {goal}", [*command, goal])
        if status != 0:
            run.count(f"make {goal}", 0, 1, seconds, output)
            raise Failure(f"make {goal} failed, nothing can be tested")


# ---------- suites ----------

def run_guard(run, name):
    """Run a guard, which is one test: its exit status is the result."""
    if run.wants(name):
        status, output, seconds = run.execute(name, [name])
        run.count(name, status == 0, status != 0, seconds, output)


def run_tap(run, name, command, limit=SECONDS_PER_FILE, **changes):
    """Run a program that prints TAP, and count its tests."""
    if not run.wants(name):
        return
    status, output, seconds = run.execute(name, command, limit, **changes)
    passed = len(re.findall(r"^ok \d+", output, re.M))
    bad = re.findall(r"^not ok \d+.*\n(?:#.*\n)*", output, re.M)
    failed = len(bad)
    plan = re.search(r"^1\.\.(\d+)$", output, re.M)
    complaints = []
    if not plan or int(plan.group(1)) != passed + failed:
        complaints.append("the plan is missing or wrong: did it end early?")
    if passed + failed == 0:
        complaints.append("it has no tests")
    if status != 0 and not bad:
        complaints.append(f"exit status {status}")
    if complaints:
        failed += 1
        bad += complaints if bad else complaints + output.splitlines()[-20:]
    run.count(name, passed, failed, seconds, "\n".join(bad))


def makefile_list(tree, variable, pg_config):
    """Return the words of one of the Makefile's variables."""
    return subprocess.run(
        ["make", "-s", "--eval", f"list:;@echo $({variable})", "list",
         f"PG_CONFIG={pg_config}"],
        cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def regress_passed(output):
    """Return the names of the tests that passed, by pg_regress's output."""
    matches = filter(None, map(REGRESS_LINE.match, output.splitlines()))
    return {match["old"] or match["new"] for match in matches
            if "ok" in (match["old_result"], match["new_result"])}


def run_regress(run, variable, **changes):
    """Run the pg_regress tests that a variable of the Makefile lists."""
    listed = makefile_list(run.tree, variable, run.stack.pg_config)
    names = [name for name in listed if run.wants(f"sql/{name}.sql")]
    if not names:
        return
    _, output, seconds = run.execute(
        f"installcheck {variable}",
        ["make", "installcheck", f"PG_CONFIG={run.stack.pg_config}",
         f"REGRESS={' '.join(names)}"], **changes)
    count_regress(run, f"pg_regress: {variable}", names, output, seconds, run.tree)


def count_regress(run, title, names, output, seconds, folder):
    """Count the tests of pg_regress or its kin, whose differences are in folder."""
    good = regress_passed(output)
    bad = [name for name in names if name not in good]
    diffs = os.path.join(folder, "regression.diffs")
    if bad and os.path.exists(diffs):
        with open(diffs, encoding="utf-8", errors="replace") as file:
            output = file.read() or output
        shutil.copytree(os.path.join(folder, "results"),
                        os.path.join(LOGS, "results"), dirs_exist_ok=True)
    run.count(title, len(names) - len(bad), len(bad), seconds,
              "".join(f"{name} failed\n" for name in bad) + output)


def run_isolation(run):
    """Run the specs of concurrent sessions with PostgreSQL's isolation tester."""
    folder = "test/specs"
    names = [os.path.basename(path)[:-len(".spec")] for path in
             sorted(glob.glob(f"{folder}/*.spec", root_dir=run.tree))]
    names = [name for name in names if run.wants(f"{folder}/{name}.spec")]
    if not names:
        return
    libraries = subprocess.run(
        [run.stack.pg_config, "--pkglibdir"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.strip()
    results = os.path.join(run.tree, "output_iso")
    os.makedirs(results)
    _, output, seconds = run.execute(
        folder,
        [f"{libraries}/pgxs/src/test/isolation/pg_isolation_regress",
         "--inputdir=test", f"--outputdir={results}",
         f"--bindir={os.path.dirname(run.stack.pg_config)}",
         "--dbname=isolation_regression", "--load-extension=pynomaly_store",
         *names],
        PGOPTIONS=f"-c spec.mongo_uri={run.stack.mongo_uri}")
    count_regress(run, folder, names, output, seconds, results)


def load_fixtures(run):
    """Load what the tests with MongoDB read."""
    if not os.path.exists(os.path.join(run.tree, "test/fixtures/load.py")):
        return
    status, output, seconds = run.execute(
        "fixtures", [sys.executable, "test/fixtures/load.py"])
    if status != 0:
        run.count("test/fixtures/load.py", 0, 1, seconds, output)


def run_everything(run):
    """Run the suites in order, the quick ones first."""
    build(run)
    for guard in sorted(glob.glob(".ci/check_*", root_dir=run.tree)):
        run_guard(run, guard)
    run_tap(run, ".ci/test_guards", [".ci/test_guards"])
    run_regress(run, "REGRESS_LOCAL", MONGO_URI=None)
    load_fixtures(run)
    run_regress(run, "REGRESS_MONGO")
    run_isolation(run)
    for pattern in ("test/servers/test_*.py", "test/unit/*.py",
                    "test/t/[0-9]*.py", "test/demo/test_*.py",
                    "test/differential/test_*.py"):
        for name in sorted(glob.glob(pattern, root_dir=run.tree)):
            run_tap(run, name, [sys.executable, name])
    run_differential(run, "test/differential/run.py", run.queries, SEED)
    run_writes(run, "session,outbox", run.sequences * 2 // 3)
    if not os.environ.get("MONGO_URI"):
        run_standalone(run)


def run_differential(run, name, queries, seed, **changes):
    """Run the differential test."""
    run_tap(run, name, [sys.executable, "test/differential/run.py",
                        "--queries", str(queries), "--seed", str(seed)],
            SECONDS_PER_FILE + queries * SECONDS_PER_QUERY, **changes)


def run_writes(run, modes, sequences, suffix="", **changes):
    """Run the differential test of writing, in some transaction modes."""
    run_tap(run, "test/differential/writes.py" + suffix,
            [sys.executable, "test/differential/writes.py", "--modes", modes,
             "--sequences", str(sequences), "--seed", str(SEED)],
            SECONDS_PER_FILE + sequences * SECONDS_PER_QUERY, **changes)


def run_standalone(run):
    """Run the differential tests on a server without a replica set."""
    name = "test/differential/run.py standalone"
    if run.wants(name) or run.wants("test/differential/writes.py standalone"):
        server = run.stack.start_one(Secantus(
            run.stack.path("standalone"), run.stack.python, standalone=True))
        run_differential(run, name, run.queries // STANDALONE_SHARE, SEED + 1,
                         MONGO_URI=server.uri)
        run_writes(run, "none", run.sequences // 3, " standalone",
                   MONGO_URI=server.uri)


def keep_server_logs(stack):
    """Copy the servers' logs, which end with the stack, to the others."""
    for log in glob.glob(stack.path("*/log")):
        shutil.copy(log, os.path.join(
            LOGS, os.path.basename(os.path.dirname(log)) + ".server.log"))


def stop_at_signals():
    """End in an orderly way, the servers stopped, when told to end.

    Who tells it again does not disturb that.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(*_):
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        sys.exit(1)

    for number in numbers:
        signal.signal(number, stop)


def main():
    """Run what the command line asks for; the status says how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3000,
                        help="how many the differential test makes up")
    parser.add_argument("--sequences", type=int, default=1000,
                        help="how many the one of writing makes up")
    parser.add_argument("words", nargs="*",
                        help="run only tests whose path has one of these in it")
    arguments = parser.parse_args()
    stop_at_signals()
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)

    began = time.monotonic()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        run = Run(stack, arguments.words, arguments.queries, arguments.sequences)
        copy_tree(run.tree)
        stack.start()
        try:
            run_everything(run)
        except Failure as failure:
            print(failure)
        finally:
            keep_server_logs(stack)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"--reference={ROOT}", LOGS],
                       check=True)
    print(f"{time.monotonic() - began:.0f} s, details in {LOGS}")
    print(f"{run.passed} passed, {run.failed} failed")
    return 0 if run.passed and not run.failed else 1


if __name__ == "__main__":
    sys.exit(main())
