#!/usr/bin/env python3
"""Build, and run the regression suite, on later releases of Debian.

Each has a chroot, made by debootstrap and kept in build/matrix (remove that to
make it anew), with its own PostgreSQL and libmongoc.  The MongoDB server runs
outside, where the tests' Python is: the network is shared.  Needs root.  The
last line is "N passed, N failed".
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import run
from servers.secantus import Secantus
from servers.stack import servers_python

RELEASES = {"trixie": 17, "sid": 18}        # Debian's name -> PostgreSQL's
CHROOTS = os.path.join(run.ROOT, "build", "matrix")
TREE = "/tmp/tree"                          # in a chroot
PACKAGES = ["gcc", "libc6-dev", "make", "pkg-config", "libmongoc-dev",
            "libicu-dev"]                   # PostgreSQL's pg_locale.h wants it

# A namespace of its own takes mounts and processes away with it.
ENTER = """
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" "$@"
"""


def mirror():
    """Return the mirror that this machine's apt takes Debian from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)",
         "Created-By: Packages"], check=True, stdout=subprocess.PIPE,
        text=True).stdout
    for line in listed.splitlines():
        uri, _, label = line.partition(" ")
        if label == "Debian":
            return uri
    sys.exit("apt has no lists of Debian's archive: run apt-get update first")


def make_chroot(release, postgres):
    """Return a release's chroot; it is made where it does not exist yet."""
    root = os.path.join(CHROOTS, release)
    if not os.path.exists(root):
        print(f"Making a chroot of Debian {release}", flush=True)
        partial = root + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(CHROOTS, exist_ok=True)
        packages = PACKAGES + [f"postgresql-{postgres}",
                               f"postgresql-server-dev-{postgres}"]
        with open(root + ".log", "wb") as log:
            subprocess.run(
                ["unshare", "--mount", "debootstrap", "--variant=minbase",
                 "--include=" + ",".join(packages), release, partial, mirror()],
                check=True, stdout=log, stderr=log)
        os.rename(partial, root)
    return root


def run_inside(root, mongo_uri):
    """Run test/matrix_inside in a chroot; return its output."""
    shutil.rmtree(root + TREE, ignore_errors=True)
    run.copy_tree(root + TREE)
    environment = {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "MONGO_URI": mongo_uri,
                   "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child",
         "sh", "-ec", ENTER, root, TREE + "/test/matrix_inside"],
        check=False, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


def test_release(release, postgres, mongo_uri):
    """Test one release; return how many tests passed and failed."""
    root = make_chroot(release, postgres)
    began = time.monotonic()
    output = run_inside(root, mongo_uri)
    names = [name for variable in ("REGRESS_LOCAL", "REGRESS_MONGO")
             for name in run.makefile_list(run.ROOT, variable, "pg_config")]
    good = run.regress_passed(output)
    bad = [name for name in names if name not in good]
    versions = [line for line in output.splitlines() if line.startswith("with ")]
    print(f"{'FAILED' if bad else 'ok    '} Debian {release} "
          f"{' '.join(versions)}: {len(names) - len(bad)} passed, "
          f"{len(bad)} failed, {time.monotonic() - began:.0f} s", flush=True)
    if bad:
        run.print_part(output)
    with open(root + ".output", "w", encoding="utf-8") as file:
        file.write(output)
    return len(names) - len(bad), len(bad)


def main():
    """Test the releases; the status says how it went."""
    if os.geteuid() != 0:
        sys.exit("chroots need root: sudo make check-matrix")
    folder = tempfile.mkdtemp(prefix="pynomaly_store.")
    os.chmod(folder, 0o755)
    server = Secantus(os.path.join(folder, "mongo"), servers_python(folder))
    passed = failed = 0
    try:
        server.start()
        for release, postgres in RELEASES.items():
            load_fixtures(server.uri)
            counts = test_release(release, postgres, server.uri)
            passed, failed = passed + counts[0], failed + counts[1]
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"what was printed is in {CHROOTS}/*.output")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def load_fixtures(mongo_uri):
    """Load what the tests read."""
    subprocess.run([sys.executable, "test/fixtures/load.py"], cwd=run.ROOT,
                   check=True, env={**os.environ, "MONGO_URI": mongo_uri})


if __name__ == "__main__":
    run.stop_at_signals()
    sys.exit(main())
