"""The demo shows the right figures, runs again, and leaves nothing behind.

The figures are computed here a second time, from the files alone and without
the demo's own code.
"""
import csv
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from run import stop_at_signals
from servers.harness import done, is_, like, note, ok

HERE = Path(__file__).resolve().parent
FILES = HERE / "data"
TENANTS = {     # name -> (id, datasets)
    "factory": ("11111111-1111-4111-8111-111111111111",
                ("ambient_temperature_system_failure",
                 "machine_temperature_system_failure")),
    "city": ("22222222-2222-4222-8222-222222222222",
             ("ec2_request_latency_system_failure", "nyc_taxi")),
}
FIRST, END = "2013-12-01 00:00:00", "2015-02-01 00:00:00"   # of the question


def read_rows(path):
    """Return the rows of a CSV file, compressed or not, without its header."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="ascii") as file:
        return list(csv.reader(file))[1:]


def expected_figures():
    """Return the answer's rows as the files have it."""
    windows = json.loads((FILES / "windows.json").read_text())
    thresholds = json.loads((FILES / "thresholds.json").read_text())
    rows = []
    for name in sorted(windows):
        dataset = name.removesuffix(".csv")
        known = [(starts[:19], ends[:19]) for starts, ends in windows[name]]
        for detector in sorted(thresholds):
            rows.append(judge(dataset, known, detector,
                              thresholds[detector]["standard"]["threshold"]))
    return rows


def judge(dataset, windows, detector, threshold):
    """Return one row: a detector's hits and false alarms in a dataset.

    Timestamps are texts of one form, so that they compare as they are.
    """
    scored = read_rows(FILES / "scores" / f"{detector}__{dataset}.csv.gz")
    probation = min(len(scored) * 15 // 100, 750)
    hit, detections, false_alarms = set(), 0, 0
    for timestamp, score in scored[probation:]:
        if float(score) < threshold or not FIRST <= timestamp < END:
            continue
        detections += 1
        inside = [number for number, (starts, ends) in enumerate(windows, 1)
                  if starts <= timestamp <= ends]
        hit.update(inside)
        false_alarms += not inside
    return [dataset, detector, str(len(windows)), str(len(hit)),
            " ".join(map(str, sorted(hit))), str(detections), str(false_alarms)]


def shown_tables(output, last_column):
    """Return the rows of each table whose last column has a name."""
    return [[[cell.strip() for cell in line.split("|")] for line in rows.splitlines()]
            for rows in re.findall(rf"(?:\||^) *{last_column} *\n[-+]+\n(.*?)\n\n", output,
                                   re.DOTALL | re.MULTILINE)]


def expected_results(datasets):
    """Return what a tenant's results look like, as the files have it."""
    thresholds = json.loads((FILES / "thresholds.json").read_text())
    return [[dataset, detector, str(len(scores)),
             str(sum(score >= thresholds[detector]["standard"]["threshold"]
                     for score in scores))]
            for dataset in datasets for detector in sorted(thresholds)
            for scores in [[float(score) for _, score in read_rows(
                FILES / "scores" / f"{detector}__{dataset}.csv.gz")]]]


def run_demo(what, state):
    """Run the demo's program with a state folder; return status and output.

    It is waited for even when we are told to end, to stop its servers.
    """
    with subprocess.Popen([sys.executable, str(HERE / "demo.py"), what],
                          env={**os.environ, "XDG_STATE_HOME": state},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as run:
        output, _ = run.communicate()
    return run.returncode, output


def stack_folder(state):
    """Return the folder that the demo's servers run in."""
    file, = Path(state).glob("pynomaly_store/demo-*.json")
    return json.loads(file.read_text())["folder"]


def processes_in(folder):
    """Return the processes that were started from, or run in, a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            where = os.readlink(entry / "cwd")
        except OSError:
            continue                # it has ended, or is not ours
        if folder in command or where.startswith(folder):
            found.append(command.replace("\0", " "))
    return found


def check_output(status, output):
    """Test what one run of the demo has shown."""
    if not is_(status, 0, "the demo succeeds"):
        note(output[-4000:])
    answers = shown_tables(output, "false_alarms")
    is_([sorted({row[0] for row in rows}) for rows in answers],
        [list(datasets) for _, datasets in TENANTS.values()],
        "each tenant is told of its datasets")
    is_(sorted(sum(answers, [])), expected_figures(),
        "hits and false alarms are those that the files give")
    like(output, r'"timestamp" ?: ?\{ ?"\$gte"',
         "the plan shows the range of time in the command sent to MongoDB")
    like(output, r'"tenant_id" ?: ?\{ ?"\$eq"',
         "and the tenant, so that no other's documents are fetched")
    jobs = len(TENANTS) * sum(map(len, json.loads((FILES / "thresholds.json").read_text()).values()))
    is_(shown_tables(output, "jobs_changed"), [[["1", "1", str(jobs)]], [["0", "0", "0"]]],
        "a transaction over both sides is there before its end, and not after it")
    for name in TENANTS:
        check_isolation(name, output)
    like(output, r"psql 'postgresql://", "it tells how to connect")
    like(output, r"make demo-stop", "it tells how to stop")


def check_isolation(name, output):
    """Test what a tenant was shown of its own work, and of the other's."""
    _, datasets = TENANTS[name]
    shown = output.rpartition(f"   as {name}:\n")[2].partition("COMMIT;\n")[0]
    own, _, without = shown.partition("SELECT pynomaly.set_tenant(NULL);\n")
    is_(shown_tables(own, "n_anomalies"), [expected_results(datasets)],
        f"{name} sees its results")
    is_(shown_tables(own, "points"),
        [[[dataset, str(len(read_rows(FILES / "series" / f"{dataset}.csv")))]
          for dataset in datasets]], "its documents")
    is_([shown_tables(own, column) for column in
         ("results_of_the_other", "points_of_the_other", "datasets_changed")],
        [[[["0"]], [["0"]]], [[["0"]]], [[["0"]]]], "and nothing of the other's")
    is_(re.findall(r"^ERROR: .*", shown, re.MULTILINE),
        ['ERROR:  new row violates row-level security policy for table "datasets"',
         "ERROR:  permission denied for foreign table analytics_data"],
        "it cannot write there, nor read the documents but by the view")
    is_([shown_tables(without, column) for column in ("datasets", "points")],
        [[[["0"]]], [[["0"]]]], "and without a tenant sees nothing")


def check_connection(output):
    """Test that one can connect as the demo says."""
    uri = re.search(r"psql '(.*)'", output)

    def ask(*commands):
        """Return what psql prints."""
        return subprocess.run(
            ["psql", "-XAtq", uri.group(1) if uri else "",
             *(word for command in commands for word in ("-c", command))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False).stdout.split()

    length = {path.stem: len(read_rows(path)) for path in FILES.glob("series/*.csv")}
    is_(ask("SELECT count(*) FROM pynomaly.analytics_data"), [str(sum(length.values()))],
        "its servers go on, and every point is there")
    shown = re.search(r"    (SET ROLE .*;)\n    (SELECT pynomaly.set_tenant.*;)", output)
    is_(ask(*(shown.groups() if shown else ()), "SELECT count(*) FROM demo.points",
            "SELECT count(*) FROM pynomaly.datasets"),
        [str(sum(length[dataset] for dataset in TENANTS["city"][1])), "2"],
        "and one can look around as a tenant, as it says")


def main():
    """Run the demo twice, stop it twice."""
    stop_at_signals()
    with tempfile.TemporaryDirectory() as state:
        try:
            check_output(*run_demo("start", state))
            first = stack_folder(state)
            status, output = run_demo("start", state)
            check_output(status, output)
            is_(processes_in(first), [], "a second run replaces the first")
            check_connection(output)
        finally:
            second = stack_folder(state)
            status, _ = run_demo("stop", state)
        is_(status, 0, "the demo stops")
        is_(processes_in(second), [], "no process is left")
        ok(not os.path.exists(first) and not os.path.exists(second),
           "no file is left")
        status, output = run_demo("stop", state)
        is_(status, 0, "stopping it again does no harm")
        like(output, "No demo", "and says that there was none")


main()
done()
