#!/usr/bin/env python3
"""A local PostgreSQL without Docker: the server programs of Debian's `postgresql` are all it takes.

    deploy/postgres/local_postgres.py start    prints the address for EVALRATCHET_STORE
    deploy/postgres/local_postgres.py stop     keeps the data; --wipe forgets it

Everything is under one folder (`.postgres`). Meant for development and tests: it listens on
loopback only, and everybody on this machine may log in.
"""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

DEFAULT_FOLDER = Path(".postgres")
DATABASE = "evalratchet"
_SECONDS = 60.0  # starting after a crash reads the log of what was written


class LocalPostgresError(RuntimeError):
    """The server cannot do what was asked; the message says why and what to do."""


class Server:
    """A server in a folder. Its port is in its own configuration."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Look at a folder; nothing is made or started. Raises LocalPostgresError.

        `settings`: of postgresql.conf, for a data folder that is made here.
        """
        self._programs = _programs()
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._settings = dict(settings or {})

    @property
    def port(self) -> int:
        """The port it listens on."""
        lines = (self._data / "postgresql.conf").read_text().splitlines()
        return int(next(line for line in reversed(lines) if line.startswith("port = "))[7:])

    def start(self, port: int = 0) -> None:
        """Return once it answers. Makes the data folder on the first start; port 0 is a free one."""
        if not self._data.exists():
            self._make(port or _free_port())
        if not self.running():
            self._run("pg_ctl", "start", "-w", "-s", "-l", str(self._folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `fast`, or `immediate` as in a crash, when the next start recovers."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode)

    def running(self) -> bool:
        """Whether it runs."""
        return self._data.exists() and self._called("pg_ctl", "status").returncode == 0

    def url(self, database: str, driver: str = "postgresql+asyncpg") -> str:
        """Where one of its databases is."""
        return f"{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a statement gives when the superuser runs it."""
        psql = [str(self._programs / "psql"), "-qAtX", self.url(database, "postgresql")]
        command = [*psql, "-c", statement]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
        return done.stdout.strip()

    def create(self, name: str | None = None) -> str:
        """The URL of a database, made when it is not there; without a name it is a new one."""
        name = name or f"d{uuid.uuid4().hex[:16]}"
        if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):  # noqa: S608 - ours
            self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def _make(self, port: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self._folder, "postgres")
        # a language's own order, so that nothing works only because the cluster sorts by bytes
        order = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", *order)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
            settings.write(f"max_connections = 200\nport = {port}\n")
            settings.writelines(f"{name} = {value}\n" for name, value in self._settings.items())

    def _run(self, program: str, *arguments: str) -> None:
        done = self._called(program, *arguments)
        if done.returncode:
            said = (self._folder / "said").read_text()
            message = f"{program} failed in {self._folder}: {said.strip()}"
            raise LocalPostgresError(message)

    def _called(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self._programs / program), "-D", str(self._data), *arguments]
        with (self._folder / "said").open("w") as said:  # a pipe would stay open with the server
            return subprocess.run(
                command, check=False, stdout=said, stderr=said, timeout=_SECONDS, cwd=self._folder
            )


@contextlib.contextmanager
def temporary(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A running server in a folder of its own, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="evalratchet-postgres-"))
    try:
        server = Server(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Debian keeps the server's programs apart from the path, one folder a version."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: len(one.parts))
    folders += [Path(found).resolve().parent] if found else []
    if not folders:
        message = "PostgreSQL's server programs are not installed (Debian: apt install postgresql)"
        raise LocalPostgresError(message)
    return folders[-1]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("start", "stop", "status"))
    parser.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="default: .postgres")
    parser.add_argument("--port", type=int, default=5432, help="for the first start; 0: a free one")
    parser.add_argument("--wipe", action="store_true", help="stop: also forget the data")
    chosen = parser.parse_args()
    try:
        server = Server(chosen.dir)
        if chosen.command == "start":
            server.start(chosen.port)
            print(f"EVALRATCHET_STORE={server.create(DATABASE)}")
        elif chosen.command == "stop":
            if server.running():
                server.stop("fast")
            if chosen.wipe:
                shutil.rmtree(chosen.dir, ignore_errors=True)
        else:
            print("running" if server.running() else "down")
    except LocalPostgresError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
