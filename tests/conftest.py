"""Fixtures that tests of several folders share. The servers in here are real."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Tracebacks as Python writes them: structlog's coloured ones cost a second each."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


# --- Kafka ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def local_kafka() -> ModuleType:
    """deploy/kafka/local_kafka.py, the very script that users start their cluster with."""
    script = ROOT / "deploy" / "kafka" / "local_kafka.py"
    spec = importlib.util.spec_from_file_location("local_kafka", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["local_kafka"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    try:
        module.fetch_jars(ROOT / ".kafka" / "libs")
    except module.LocalKafkaError as error:
        pytest.skip(str(error))
    return module


@pytest.fixture(scope="session")
def kafka_url(local_kafka: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka of one node, as kafka://127.0.0.1:PORT. Nobody stops or kills this one."""
    cluster = local_kafka.Cluster(tmp_path_factory.mktemp("kafka"), ROOT / ".kafka" / "libs")
    try:
        cluster.start(nodes=1, port=0)
        yield cluster.url
    finally:
        cluster.stop(wipe=True, gently=False)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has, so that all can share one cluster."""
    return f"t{uuid.uuid4().hex[:12]}."


# --- PostgreSQL -------------------------------------------------------------------------------


class PostgresServer:
    """A real PostgreSQL on a free port of this machine, fsync on. Everybody may log in."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        # a language's own order, so that nothing passes only because the cluster sorts by bytes
        order = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", *order)
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
            settings.write(f"port = {self.port}\nmax_connections = 200\n")

    def start(self) -> None:
        """Return once it answers."""
        self._run("pg_ctl", "start", "-w", "-s", "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """Stop as if it had crashed: nobody is asked, the next start recovers from the log."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")

    def url(self, database: str, driver: str = "postgresql+asyncpg") -> str:
        """Where one of its databases is."""
        return f"{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a statement gives when the superuser runs it."""
        psql = [str(self._programs / "psql"), "-qAtX", self.url(database, "postgresql")]
        command = [*psql, "-c", statement]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def create(self) -> str:
        """The URL of a new database, without tables."""
        name = f"d{uuid.uuid4().hex[:16]}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        data = str(self._folder / "data")
        command = [*user, str(self._programs / program), "-D", data, *arguments]
        with (self._folder / "said").open("w+") as said:  # a pipe would stay open with the server
            done = subprocess.run(
                command, check=False, stdout=said, stderr=said, timeout=60, cwd=self._folder
            )
        assert done.returncode == 0, f"{command}: {(self._folder / 'said').read_text()}"


@contextlib.contextmanager
def _postgres_server() -> Iterator[PostgresServer]:
    found = shutil.which("initdb")  # Debian keeps the programs apart from the path
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders += [Path(found).resolve().parent] if found else []
    if not folders:
        pytest.skip("PostgreSQL's server programs are not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="evalratchet-postgres-"))
    try:
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
        server = PostgresServer(folders[-1], folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL. Nobody stops this one: see `own_postgres`."""
    with _postgres_server() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL that the test may stop and start. It is running at the end."""
    with _postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def spare_databases(postgres: PostgresServer) -> list[str]:
    """URLs of migrated, empty databases. Making one takes half a second, emptying one 20 ms."""
    return []


@pytest.fixture
def postgres_url(postgres: PostgresServer, spare_databases: list[str]) -> Iterator[str]:
    """An empty, migrated database, as EVALRATCHET_STORE takes it. Its tables are to be left as they are."""
    from services.store.schema import upgrade  # noqa: PLC0415 - a second that few tests need
    from services.store.tables import metadata  # noqa: PLC0415 - the same

    if not spare_databases:
        spare_databases.append(postgres.create())
        _in_thread(upgrade(spare_databases[0]))
    url = spare_databases.pop()
    yield url
    name = url.rpartition("/")[2]
    others = f"FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    postgres.sql(f"SELECT pg_terminate_backend(pid) {others}")
    tables = reversed(metadata.sorted_tables)
    emptied = "; ".join(f"DELETE FROM {table.name}" for table in tables)  # noqa: S608 - our names
    postgres.sql(f"SET session_replication_role = replica; {emptied}", name)  # no foreign keys
    spare_databases.append(url)


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run async work from a fixture of session scope, apart from the tests' event loop."""
    thread = threading.Thread(target=asyncio.run, args=[work])
    thread.start()
    thread.join()
