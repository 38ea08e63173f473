"""A TCP proxy on 127.0.0.1 that breaks connections when told to."""
import select
import socket
import threading
import time

from servers import wire

CHUNK = 65536


class Proxy:
    """Forwards to a port of 127.0.0.1 while used as a context manager."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.pairs = set()          # (client's socket, server's socket)
        self.flowing = threading.Event()
        self.flowing.set()
        self.pause = 0.0            # seconds before each piece to the client
        self.budget = None          # (bytes to the client, then this action)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.flowing.set()
        self.listener.close()
        self.drop()

    # ----- faults -----

    def stall(self):
        """Forward nothing until resume(); connections stay open."""
        self.flowing.clear()

    def resume(self):
        """Forward again."""
        self.flowing.set()

    def delay(self, seconds):
        """Hold every piece on its way to the client so long."""
        self.pause = seconds

    def drop(self):
        """End all present connections in an orderly way."""
        for pair in self.take_pairs():
            for sock in pair:
                close(sock)

    def reset(self):
        """End all present connections with a reset."""
        for pair in self.take_pairs():
            for sock in pair:
                wire.reset(sock)

    def after(self, size, action):
        """Do stall, drop or reset once size more bytes have reached clients."""
        with self.lock:
            self.budget = (size, action)

    # ----- forwarding -----

    def take_pairs(self):
        """Return the present connections, and forget them."""
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        return pairs

    def connections(self):
        """Return how many connections are open now."""
        with self.lock:
            return len(self.pairs)

    def accept(self):
        """Connect each client to the target."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while not self.stopping.is_set():
            try:
                if not poll.poll(50):
                    continue
                client, _ = self.listener.accept()
            except OSError:
                break               # the proxy is closed
            try:
                server = socket.create_connection(
                    ("127.0.0.1", self.target_port))
            except OSError:
                wire.reset(client)  # as a refused connection would end
                continue
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                try:
                    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError:
                    break           # drop() or reset() was faster
                threading.Thread(target=self.forward, daemon=True,
                                 args=(pair, source, sink)).start()

    def forward(self, pair, source, sink):
        """Carry bytes one way until either side ends."""
        to_client = sink is pair[0]
        try:
            while True:
                data = source.recv(CHUNK)
                if not data:
                    break
                if to_client and self.pause:
                    time.sleep(self.pause)
                self.flowing.wait()
                if to_client:
                    self.send_within_budget(sink, data)
                else:
                    sink.sendall(data)
        except OSError:
            pass                    # one side has gone
        finally:
            with self.lock:
                ours = pair in self.pairs   # else drop() or reset() has it
                self.pairs.discard(pair)
            for sock in pair if ours else ():
                close(sock)

    def send_within_budget(self, sink, data):
        """Send to a client; where the budget ends, do what it says."""
        with self.lock:
            budget = self.budget
            if budget is not None:
                size, action = budget
                ends = len(data) >= size
                self.budget = None if ends else (size - len(data), action)
        if budget is None or not ends:
            sink.sendall(data)
            return
        sink.sendall(data[:size])
        action()
        self.flowing.wait()
        sink.sendall(data[size:])


def close(sock):
    """End a connection in an orderly way."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass                        # it has ended already
    sock.close()
