"""A Redis server of its own."""
from servers.processes import Process, make_folder, start_on_free_port


class Redis:
    """A server without persistence, from start() to stop()."""

    def __init__(self, folder, lasting=False):
        self.folder = make_folder(folder)
        self.lasting = lasting
        self.process = self.port = None

    def start(self):
        """Start the server on a free port."""
        self.process, self.port = start_on_free_port(
            lambda port: Process(
                ["redis-server", "--bind", "127.0.0.1", "--port", str(port),
                 "--save", "", "--appendonly", "no", "--dir", self.folder],
                self.folder, lasting=self.lasting))

    def environment(self):
        """Return where the server is."""
        return {"REDIS_URL": f"redis://127.0.0.1:{self.port}/"}

    def stop(self):
        """Stop the server."""
        if self.process:
            self.process.stop()
