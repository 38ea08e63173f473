#!/usr/bin/env python3
"""A MongoDB server that answers as its script says, and keeps what it was asked.

For what no real server can be made to do: half a message and then silence, one
byte at a time, an error in the third batch, batches as fast as a socket takes
them.  In a test:

    with ScriptedServer() as server:
        server.on("aggregate", Batches(documents, size=100))
        server.on("getMore", CONTINUE, Error(11600, "InterruptedAtShutdown"))
        ... connect to server.uri ...
        server.commands("aggregate")

As a program it reads the script from a JSON file (see answer_from_json), prints
the port that it listens on, and stops at a signal or when its input ends.
"""
import argparse
import datetime
import itertools
import select
import socket
import struct
import sys
import threading
import time

import bson
import bson.json_util

if __package__ in (None, ""):       # run as a program
    sys.path.insert(0, __file__.rsplit("/servers/", 1)[0])
from servers import wire

HELLO_NAMES = {"hello", "isMaster", "ismaster"}
HELLO = {
    "helloOk": True,
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48000000,
    "maxWriteBatchSize": 100000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}
CURSOR_ID_AT = 20       # of {"cursor": {"id": ...: where the id's bytes begin


# ---------- answers ----------

class Answer:
    """What a server does with one request."""

    def data(self, peer, request):
        """Return the reply as a list of byte strings."""
        raise NotImplementedError

    def send(self, peer, request):
        """Carry the answer out; most answers just send their data."""
        if request.wants_reply:
            for part in self.data(peer, request):
                peer.sock.sendall(part)


class Reply(Answer):
    """A reply document; "ok" is 1 unless it says otherwise."""

    def __init__(self, document=None):
        self.document = {**(document or {})}
        self.document.setdefault("ok", 1.0)

    def data(self, peer, request):
        return [wire.reply_bytes(request, self.document)]


class Error(Reply):
    """An error as MongoDB reports it."""

    def __init__(self, code, code_name, message="scripted error", labels=()):
        document = {"ok": 0.0, "errmsg": message, "code": code,
                    "codeName": code_name}
        if labels:
            document["errorLabels"] = list(labels)
        super().__init__(document)


class Batches(Answer):
    """A cursor over documents, size of them in each batch (None: all in one).

    With repeat, the whole list is sent that many times over.  The bytes of a
    batch are made once, so that sending them costs no more than the socket.
    """

    def __init__(self, documents, size=None, repeat=1):
        documents = list(documents)
        size = size or max(len(documents), 1)
        self.batches = [documents[at:at + size]
                        for at in range(0, len(documents), size)] or [[]]
        self.count = len(self.batches) * repeat
        self.encoded = {}

    def data(self, peer, request):
        command = request.command
        namespace = f"{command.get('$db')}.{command[request.name]}"
        return self.batch(peer.server, request, "firstBatch", namespace, 0,
                          peer.server.new_cursor_id())

    def batch(self, server, request, key, namespace, number, cursor_id):
        """Return the bytes of one batch, and note in server what follows."""
        last = number + 1 >= self.count
        server.set_cursor(cursor_id,
                          None if last else (self, namespace, number + 1))
        body = self.encode(key, namespace, number % len(self.batches))
        id_end = CURSOR_ID_AT + 8
        head = (wire.reply_frame(request, len(body)) + body[:CURSOR_ID_AT] +
                struct.pack("<q", 0 if last else cursor_id))
        return [head, memoryview(body)[id_end:]]

    def encode(self, key, namespace, index):
        """Return one batch's reply document; its cursor id is to be patched."""
        known = self.encoded.get((key, namespace, index))
        if known is None:
            known = bson.encode({
                "cursor": {"id": bson.Int64(0), "ns": namespace,
                           key: self.batches[index]},
                "ok": 1.0})
            self.encoded[(key, namespace, index)] = known
        return known


class Continue(Answer):
    """What the server would do without a script."""

    def data(self, peer, request):
        return peer.server.default_answer(request).data(peer, request)


class NextBatch(Answer):
    """The next batch of the cursor that a getMore names."""

    def data(self, peer, request):
        cursor_id = request.command["getMore"]
        state = peer.server.cursor(cursor_id)
        if state is None:
            return Error(43, "CursorNotFound",
                         f"cursor id {cursor_id} not found").data(peer, request)
        batches, namespace, number = state
        return batches.batch(peer.server, request, "nextBatch", namespace,
                             number, cursor_id)


class KillCursors(Answer):
    """Forgets the cursors that a killCursors names."""

    def data(self, peer, request):
        cursor_ids = request.command["cursors"]
        for cursor_id in cursor_ids:
            peer.server.set_cursor(cursor_id, None)
        return Reply({"cursorsKilled": cursor_ids}).data(peer, request)


class Raw(Answer):
    """Any bytes, for what is not the protocol at all."""

    def __init__(self, content):
        self.content = content

    def data(self, peer, request):
        return [self.content]


class Silence(Answer):
    """Nothing, until the client gives up."""

    def data(self, peer, request):
        return []

    def send(self, peer, request):
        peer.wait_for_end()


class Close(Answer):
    """An orderly end of the connection instead of a reply."""

    def data(self, peer, request):
        return []

    def send(self, peer, request):
        peer.close()


class Reset(Close):
    """A reset of the connection instead of a reply."""

    def send(self, peer, request):
        wire.reset(peer.sock)


class Half(Answer):
    """The first half of another answer's bytes, then silence or a close."""

    def __init__(self, answer=None, then=None):
        self.answer = answer or CONTINUE
        self.then = then or Silence()

    def data(self, peer, request):
        whole = b"".join(self.answer.data(peer, request))
        return [whole[:len(whole) // 2]]

    def send(self, peer, request):
        super().send(peer, request)
        self.then.send(peer, request)


class Compressed(Answer):
    """Another answer, compressed; the handshake must have offered zlib."""

    def __init__(self, answer=None):
        self.answer = answer or CONTINUE

    def data(self, peer, request):
        return [wire.compressed(b"".join(self.answer.data(peer, request)))]


class Slowly(Answer):
    """Another answer's bytes one at a time."""

    def __init__(self, answer=None, pause=0.0):
        self.answer = answer or CONTINUE
        self.pause = pause

    def data(self, peer, request):
        return [bytes([byte]) for part in self.answer.data(peer, request)
                for byte in part]

    def send(self, peer, request):
        for byte in self.data(peer, request):
            peer.sock.sendall(byte)
            peer.wait(self.pause)


class Delay(Answer):
    """Another answer, some seconds later."""

    def __init__(self, seconds, answer=None):
        self.seconds = seconds
        self.answer = answer or CONTINUE

    def data(self, peer, request):
        return self.answer.data(peer, request)

    def send(self, peer, request):
        peer.wait(self.seconds)
        self.answer.send(peer, request)


CONTINUE = Continue()
BY_NAME = {"reply": Reply, "compressed": Compressed, "error": Error, "batches": Batches,
           "silence": Silence, "close": Close, "reset": Reset, "half": Half,
           "slowly": Slowly, "delay": Delay, "continue": Continue}


def answer_from_json(value):
    """Make an answer of {"error": {"code": 43, "code_name": "x"}} and the like.

    The key is an answer's name, the value has its arguments; arguments that
    are answers themselves ("answer", "then") are written in the same way.
    """
    (name, arguments), = value.items()
    made = {key: answer_from_json(argument) if key in ("answer", "then")
            else argument for key, argument in arguments.items()}
    return BY_NAME[name](**made)


# ---------- the server ----------

class Peer:
    """One client's connection, served by a thread of its own."""

    def __init__(self, server, sock):
        self.server = server
        self.sock = sock

    def run(self):
        """Answer requests until the connection or the server ends."""
        try:
            while True:
                request = wire.read_request(self.sock)
                if request is None:
                    break
                self.server.answer(request).send(self, request)
        except OSError:
            pass                    # the client or an answer has closed it
        finally:
            self.close()
            self.server.forget(self)

    def wait(self, seconds):
        """Sleep; a stop of the server cuts it short."""
        if seconds > 0:
            self.server.stopping.wait(seconds)

    def wait_for_end(self):
        """Return when the client has closed the connection, or at a stop."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        while not self.server.stopping.is_set() and not poll.poll(50):
            pass
        self.close()

    def close(self):
        """End the connection in an orderly way."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass                    # it has ended already
        self.sock.close()


class ScriptedServer:
    """Listens on 127.0.0.1 while used as a context manager."""

    def __init__(self, port=0, hello=None):
        """hello has members to add to or change in the handshake's reply."""
        self.hello = {**HELLO, **(hello or {})}
        self.script = {}
        self.seen = []
        self.opened = 0             # connections so far
        self.peers = set()
        self.cursors = {}
        self.cursor_ids = itertools.count(1000)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.listener.getsockname()[1]

    @property
    def uri(self):
        """Where a driver finds this server."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Close every connection and the port."""
        self.stopping.set()
        self.listener.close()
        with self.lock:
            peers = list(self.peers)
        for peer in peers:
            peer.close()

    def accept(self):
        """Give each connection its thread."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while not self.stopping.is_set():
            try:
                if not poll.poll(50):
                    continue
                sock, _ = self.listener.accept()
            except OSError:
                break               # closed by stop()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, sock)
            with self.lock:
                self.peers.add(peer)
                self.opened += 1
            threading.Thread(target=peer.run, daemon=True).start()

    def forget(self, peer):
        """A connection has ended."""
        with self.lock:
            self.peers.discard(peer)

    # ----- the script -----

    def on(self, name, *answers):
        """Answer a command so: one answer after the other, the last for ever.

        "hello" stands for all spellings of the handshake.  An answer may also
        be a function of the command that returns one.
        """
        with self.lock:
            self.script[name] = list(answers)

    def answer(self, request):
        """Note a request and return what its answer is."""
        name = "hello" if request.name in HELLO_NAMES else request.name
        with self.lock:
            self.seen.append(request.command)
            answers = self.script.get(name)
            if not answers:
                answer = CONTINUE
            else:
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Answer) else answer(request.command)

    def default_answer(self, request):
        """What a command gets that the script does not name."""
        if request.name in HELLO_NAMES:
            now = datetime.datetime.now(datetime.timezone.utc)
            return Reply({**self.hello, "localTime": now})
        defaults = {
            "ping": Reply(),
            "endSessions": Reply(),
            "buildInfo": Reply({"version": "7.0.0",
                                "versionArray": [7, 0, 0, 0]}),
            "getMore": NextBatch(),
            "listIndexes": Batches([{"v": 2, "key": {"_id": 1}, "name": "_id_"}]),
            "killCursors": KillCursors(),
        }
        unknown = Error(59, "CommandNotFound",
                        f"no such command: '{request.name}'")
        return defaults.get(request.name, unknown)

    # ----- cursors -----

    def new_cursor_id(self):
        """Return an id that no cursor has had."""
        return next(self.cursor_ids)

    def cursor(self, cursor_id):
        """Return what comes next on a cursor, None where there is none."""
        with self.lock:
            return self.cursors.get(cursor_id)

    def set_cursor(self, cursor_id, state):
        """Remember what comes next on a cursor; None forgets it."""
        with self.lock:
            if state is None:
                self.cursors.pop(cursor_id, None)
            else:
                self.cursors[cursor_id] = state

    # ----- what was seen -----

    def commands(self, name=None):
        """Return the commands seen so far, without handshakes and pings.

        With a name, only those of that name.
        """
        with self.lock:
            seen = list(self.seen)
        noise = HELLO_NAMES | {"ping", "endSessions", "buildInfo"}
        if name is not None:
            return [command for command in seen if next(iter(command)) == name]
        return [command for command in seen if next(iter(command)) not in noise]

    def connections(self):
        """Return how many connections are open now."""
        with self.lock:
            return len(self.peers)

    def wait_for(self, condition, seconds=5.0):
        """Wait until condition() is true; return whether it came true."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def main():
    """Serve a script from a file until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("script", help="JSON: a list of answers per command")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with open(arguments.script, encoding="utf-8") as file:
        script = bson.json_util.loads(file.read())
    with ScriptedServer(arguments.port) as server:
        for name, answers in script.items():
            server.on(name, *map(answer_from_json, answers))
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
