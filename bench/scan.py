"""How much a scan costs on top of the driver's bare drain of the same cursor."""
import argparse
import datetime
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import bson
import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers.postgres import Postgres           # noqa: E402
from servers.scripted import Batches, ScriptedServer    # noqa: E402
from servers.stack import Stack                 # noqa: E402

BATCH = 20000
SIZES = {"flat": 1000000, "nested": 200000}
FLAT_COLUMNS = ("_id int, sensor text, at timestamptz, value float8, "
                "score float8, samples bigint, valid boolean, note text")
CASES = (   # name, collection, columns of the table, query, most it may cost
    ("one column of 8", "flat", FLAT_COLUMNS,
     "SELECT count(value) FROM {}", 1.5),
    ("all 8 columns", "flat", FLAT_COLUMNS,
     "SELECT count(_id), count(sensor), count(at), count(value), count(score), "
     "count(samples), count(valid), count(note) FROM {}", 2.2),
    ("one field of 8 sub-documents", "nested",
     "_id int, deep float8 OPTIONS (field 'part4.value')",
     "SELECT count(deep) FROM {}", 1.8),
    ("whole documents as jsonb", "flat",
     "document jsonb OPTIONS (document 'true')",
     "SELECT count(document) FROM {}", 10),
)


def flat_documents():
    """Return a batch of flat documents of 8 fields, about 155 bytes each."""
    day = datetime.datetime(2026, 1, 1)
    return [{"_id": number, "sensor": f"sensor-{number % 97:04}",
             "at": day + datetime.timedelta(seconds=number),
             "value": number / 7, "score": 1 / (number + 1),
             "samples": bson.Int64(number * 1000), "valid": number % 3 > 0,
             "note": f"reading number {number:08} of a sensor"}
            for number in range(BATCH)]


def nested_documents():
    """Return a batch of documents that have 8 sub-documents of 4 fields."""
    return [{"_id": number,
             **{f"part{part}": {"name": f"part {part}", "value": number / 3,
                                "count": number, "good": True}
                for part in range(8)}}
            for number in range(BATCH)]


def server_alone(port, collection):
    """Return how many seconds the server needs to send a collection.

    The bytes are thrown away as they come; only the cursor's id is looked at.
    """
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        began = time.monotonic()
        command = {"aggregate": collection, "pipeline": [], "cursor": {}}
        while True:
            body = bson.encode({**command, "$db": "bench"})
            sock.sendall(struct.pack("<iiiiiB", 21 + len(body), 1, 0, 2013, 0, 0)
                         + body)
            head = sock.recv(64, socket.MSG_WAITALL)
            left = struct.unpack_from("<i", head)[0] - len(head)
            cursor_id = struct.unpack_from("<q", head, 21 + 20)[0]
            while left > 0:
                left -= sock.recv_into(buffer, min(left, len(buffer)))
            if cursor_id == 0:
                return time.monotonic() - began
            command = {"getMore": bson.Int64(cursor_id), "collection": collection}


def drain(program, server, collection, expected):
    """Return how many seconds the driver alone needs for a collection."""
    count, seconds = subprocess.run(
        [program, server.uri, "bench", collection], check=True, text=True,
        stdout=subprocess.PIPE).stdout.split()
    assert int(count) == expected
    return float(seconds)


def scan(connection, query, expected):
    """Return how many seconds a query needs."""
    began = time.monotonic()
    counts = connection.execute(query).fetchone()
    seconds = time.monotonic() - began
    assert set(counts) == {expected}, counts
    return seconds


class Memory(threading.Thread):
    """Samples the memory of a process while it works."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.samples = []
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.wait(0.05):
            with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
                self.samples.extend(int(line.split()[1]) for line in status
                                    if line.startswith("RssAnon:"))

    def stop(self):
        """Return by how many kB the second half's peak is above the first's."""
        self.stopping.set()
        self.join()
        half = len(self.samples) // 2
        return max(self.samples[half:]) - max(self.samples[:half])


def build(stack):
    """Build and install the extension, and the drain; return the drain's path."""
    make = ["make", "-s", f"PG_CONFIG={stack.pg_config}"]
    for goal in ("all", "install"):
        subprocess.run([*make, goal], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    program = stack.path("drain")
    package = next(name for name in ("mongoc2", "libmongoc-1.0")
                   if subprocess.run(["pkg-config", "--exists", name],
                                     check=False).returncode == 0)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", package],
                           check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    subprocess.run(["gcc", "-O2", "-o", program,
                    os.path.join(ROOT, "bench", "drain.c"), *flags], check=True)
    return program


def prepare(connection, server):
    """Make the foreign tables."""
    connection.execute(f"""
        CREATE EXTENSION pynomaly_store;
        CREATE SERVER bench FOREIGN DATA WRAPPER pynomaly_mongo
            OPTIONS (uri '{server.uri}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER bench""")
    for number, (_, collection, columns, *_) in enumerate(CASES):
        connection.execute(
            f"CREATE FOREIGN TABLE t{number} ({columns}) SERVER bench "
            f"OPTIONS (database 'bench', collection '{collection}')")


def measure(number, program, server, connection, rounds):
    """Measure one case and print its line; return whether it is good enough."""
    name, collection, _, query, limit = CASES[number]
    expected = SIZES[collection]
    query = query.format(f"t{number}")
    scan(connection, query, expected)               # connects, fills caches
    alone, bare, ours = [], [], []
    memory = Memory(connection.info.backend_pid)
    for _ in range(rounds):
        alone.append(server_alone(server.port, collection))
        bare.append(drain(program, server, collection, expected))
        ours.append(scan(connection, query, expected))
    grown = memory.stop()
    ratio = min(ours) / min(bare)
    print(f"{name:<30} {expected:>9,} {min(alone):>8.3f} {min(bare):>8.3f} "
          f"{min(ours):>8.3f} {ratio:>7.2f}x {limit:>6}x {grown:>+8} kB"
          f"{'' if ratio <= limit else '   above the limit'}", flush=True)
    return ratio <= limit


def main():
    """Measure what the command line asks for; the status says how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3,
                        help="how often; the best counts")
    parser.add_argument("--case", type=int, choices=range(len(CASES)),
                        help="only this one")
    parser.add_argument("--wait", action="store_true",
                        help="print the backend's process id and wait for Enter")
    arguments = parser.parse_args()
    flat, nested = flat_documents(), nested_documents()
    print(f"a flat document has {len(bson.encode(flat[0]))} bytes, a nested one "
          f"{len(bson.encode(nested[0]))}; batches of {BATCH:,}; best of "
          f"{arguments.rounds}")
    with (Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack,
          ScriptedServer() as server):
        answers = {name: Batches(documents, BATCH, SIZES[name] // BATCH)
                   for name, documents in (("flat", flat), ("nested", nested))}
        server.on("aggregate", lambda command: answers[command["aggregate"]])
        program = build(stack)
        postgres = stack.start_one(Postgres(stack.path("postgres"),
                                            stack.pg_config))
        environment = postgres.environment()
        with psycopg.connect(host=environment["PGHOST"],
                             port=environment["PGPORT"],
                             user=environment["PGUSER"],
                             password=environment["PGPASSWORD"],
                             dbname=environment["PGDATABASE"],
                             autocommit=True) as connection:
            prepare(connection, server)
            if arguments.wait:
                input(f"backend {connection.info.backend_pid} ")
            print(f"{'':<30} {'documents':>9} {'server':>8} {'drain':>8} "
                  f"{'ours':>8} {'ratio':>8} {'limit':>7} {'memory':>11}")
            good = [measure(number, program, server, connection,
                            arguments.rounds)
                    for number in range(len(CASES))
                    if arguments.case in (None, number)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
