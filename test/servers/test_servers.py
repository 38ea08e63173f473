"""The scripted server and the proxy do what tests rely on."""
import json
import os
import subprocess
import sys
import tempfile
import time

import pymongo
from pymongo.errors import (AutoReconnect, NetworkTimeout, OperationFailure,
                            PyMongoError)

from servers.harness import *

DOCUMENTS = [{"_id": number, "text": "x" * 100} for number in range(250)]


def client(port):
    """Return a client that tries everything once."""
    return pymongo.MongoClient("127.0.0.1", port, retryReads=False,
                               directConnection=True)


def read(connected):
    """Return what an aggregation yields."""
    return list(connected.db.things.aggregate([]))


def failure(connected, seconds=5.0):
    """Return the error that an aggregation ends with, and after how long."""
    began = time.monotonic()
    try:
        with pymongo.timeout(seconds):
            read(connected)
    except PyMongoError as error:
        return error, time.monotonic() - began
    return None, time.monotonic() - began


def test_batches(server, connected):
    """Cursors: their batches, their end, and what was seen of them."""
    server.on("aggregate", Batches(DOCUMENTS, size=100))
    is_(read(connected), DOCUMENTS, "all batches of a cursor arrive")
    is_(len(server.commands("getMore")), 2, "the commands were kept")
    is_(server.cursors, {}, "a cursor that was read is forgotten")
    cursor = connected.db.things.aggregate([])
    next(cursor)
    is_(len(server.cursors), 1, "one that was not is there")
    cursor.close()
    ok(server.wait_for(lambda: not server.cursors), "until it is killed")
    server.on("aggregate", Batches(DOCUMENTS[:10], size=10, repeat=3))
    is_(read(connected), DOCUMENTS[:10] * 3, "a batch can be repeated")
    server.on("aggregate", Batches([]))
    is_(read(connected), [], "there may be nothing")


def test_faults(server, connected):
    """Each fault is what a driver takes it for."""
    server.on("aggregate", Batches(DOCUMENTS, size=100))
    server.on("getMore", CONTINUE, Error(8000, "Odd", labels=["Label"]))
    error, _ = failure(connected)
    ok(isinstance(error, OperationFailure) and error.code == 8000 and
       error.has_error_label("Label"), "an error in the third batch", error)
    for name, answer in (("close", Close()), ("reset", Reset()),
                         ("half a message", Half(then=Close())),
                         ("no message at all", Raw(b"HTTP/1.1 400\r\n\r\n"))):
        server.on("getMore", answer)
        error, _ = failure(connected)
        ok(isinstance(error, PyMongoError), f"{name} is an error", error)
    for name, answer in (("silence", Silence()), ("half a message", Half())):
        server.on("getMore", answer)
        error, _ = failure(connected, 0.3)
        ok(isinstance(error, NetworkTimeout), f"{name} lasts", error)
    server.on("getMore", Slowly())
    is_(read(connected), DOCUMENTS, "one byte at a time arrives")
    server.on("getMore", Delay(0.2))
    began = time.monotonic()
    is_(read(connected), DOCUMENTS, "late answers arrive")
    ok(time.monotonic() - began >= 0.4, "but late")
    server.on("getMore", lambda command: Error(1, command["collection"]))
    error, _ = failure(connected)
    is_(error.details["codeName"], "things", "a function may answer")


def test_proxy(server):
    """The proxy's faults."""
    server.on("aggregate", Batches(DOCUMENTS, size=100))
    server.on("getMore", CONTINUE)
    with Proxy(server.port) as proxy, client(proxy.port) as connected:
        is_(read(connected), DOCUMENTS, "the proxy forwards")
        for name, action in (("dropped", proxy.drop), ("reset", proxy.reset)):
            proxy.after(5000, action)
            error, _ = failure(connected)
            ok(isinstance(error, AutoReconnect), f"{name} in a batch", error)
        is_(read(connected), DOCUMENTS, "new connections are forwarded")
        proxy.after(5000, proxy.stall)
        error, seconds = failure(connected, 0.3)
        ok(isinstance(error, NetworkTimeout) and seconds >= 0.3,
           "stalled in a batch", error, seconds)
        proxy.resume()
        proxy.delay(0.1)
        began = time.monotonic()
        is_(read(connected), DOCUMENTS, "resumed")
        ok(time.monotonic() - began >= 0.3, "each piece is delayed")
    with Proxy(1) as proxy:
        error, _ = failure(client(proxy.port), 0.5)
        ok(error, "nothing behind the proxy")


def test_program():
    """The scripted server as a program, its script in a file."""
    script = {"aggregate": [{"batches": {"documents": DOCUMENTS, "size": 100}}],
              "getMore": [{"continue": {}},
                          {"delay": {"seconds": 0, "answer": {
                              "error": {"code": 43, "code_name": "Gone"}}}}]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(script, file)
        file.flush()
        program = os.path.join(os.path.dirname(__file__), "scripted.py")
        with subprocess.Popen([sys.executable, program, file.name], text=True,
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as server:
            with client(int(server.stdout.readline())) as connected:
                error, _ = failure(connected)
                is_(error.details["codeName"], "Gone", "a script in a file")
            server.stdin.close()
            is_(server.wait(10), 0, "it ends with its input")


with ScriptedServer() as scripted:
    with client(scripted.port) as plain:
        test_batches(scripted, plain)
        test_faults(scripted, plain)
    ok(scripted.wait_for(lambda: scripted.connections() == 0),
       "connections are counted")
    test_proxy(scripted)
test_program()
done()
