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


def shown_figures(output):
    """Return the rows of the table whose last column is false_alarms."""
    table = re.search(r"\| false_alarms *\n[-+]+\n(.*?)\n\n", output, re.DOTALL)
    if not table:
        return []
    return [[cell.strip() for cell in line.split("|")]
            for line in table.group(1).splitlines()]


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
    is_(shown_figures(output), expected_figures(),
        "hits and false alarms are those that the files give")
    like(output, r'"timestamp" ?: ?\{ ?"\$gte"',
         "the plan shows the range of time in the command sent to MongoDB")
    like(output, r"psql 'postgresql://", "it tells how to connect")
    like(output, r"make demo-stop", "it tells how to stop")


def check_connection(output):
    """Test that one can connect as the demo says."""
    uri = re.search(r"psql '(.*)'", output)
    answer = subprocess.run(
        ["psql", "-XAt", uri.group(1) if uri else "", "-c",
         "SELECT count(*) FROM demo.analytics_data"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False).stdout.strip()
    points = sum(len(read_rows(path)) for path in FILES.glob("series/*.csv"))
    is_(answer, str(points), "its servers go on, and every point is there")


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
