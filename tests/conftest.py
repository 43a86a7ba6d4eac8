"""Fixtures that tests of several folders share. The servers in here are real."""

import asyncio
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import hypothesis
import psutil
import pytest
import structlog

ROOT = Path(__file__).resolve().parent.parent
_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, not a file
_ENOUGH_BYTES = 4 << 30  # ten times what a run of all tests needs there
_SAMPLE_DATA = os.environ.get("EVALRATCHET_TEST_DATA")

# How long an example took says how busy the machine was; what hangs is ended by pytest-timeout.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    """Nobody's own settings reach the tests, which keep their files in memory where there is enough.

    The promises that they test hold over the death of any process, none takes the machine's power,
    and a disk takes 5 ms for an fsync.
    """
    for name in [name for name in os.environ if name.startswith("EVALRATCHET_")]:
        del os.environ[name]
    if (
        os.access(_MEMORY, os.W_OK)
        and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
        and psutil.virtual_memory().available > 2 * _ENOUGH_BYTES
    ):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> Iterator[None]:
    """How tests log: tracebacks as Python writes them, and no logger keeps a configuration.

    structlog's coloured tracebacks cost a second each. A logger that keeps the configuration it
    was first used with, as the services' do, would bring one test's into every later one.
    """
    configure = structlog.configure

    def configure_uncached(**how: Any) -> None:
        configure(**how | {"cache_logger_on_first_use": False})

    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configure_uncached)
        structlog.configure(processors=[structlog.processors.add_log_level, renderer])
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was(plain_logs: None) -> Iterator[None]:
    """Logging is the process's: what a test, or a command that it runs, configures is taken back.

    A handler that was left would write to the captured output of a test that is over.
    """
    root = logging.getLogger()  # noqa: TID251 - the very thing that is configured
    ours = logging.getLogger("services")  # noqa: TID251 - the same
    before = structlog.get_config()
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.configure(**before)


def _script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _missing(reason: str) -> NoReturn:
    """What a test needs is not on this machine: in CI that is a failure, elsewhere a skip."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of recorded traces: beside the repository, or where EVALRATCHET_TEST_DATA says."""
    folder = Path(_SAMPLE_DATA or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no sample data in {folder}: set EVALRATCHET_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def compiled_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled model compiled, by the command that users compile it with."""
    home = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, "-m", "services.cli", "models", "compile", "all-MiniLM-L6-v2"]
    environment = {**os.environ, "EVALRATCHET_HOME": str(home)}
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return home / "models"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the store's tables, to copy."""
    from services.store.schema import upgrade  # noqa: PLC0415 - a second that few tests need

    path = tmp_path_factory.mktemp("template") / "store.db"
    _in_thread(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """An empty, migrated store in a file, as EVALRATCHET_STORE takes it."""
    shutil.copy(migrated_file, tmp_path / "store.db")
    return f"sqlite:///{tmp_path / 'store.db'}"


# --- Kafka ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def local_kafka() -> ModuleType:
    """deploy/kafka/local_kafka.py, the very script that users start their cluster with."""
    module = _script("deploy/kafka/local_kafka.py")
    try:
        module.fetch_jars(ROOT / ".kafka" / "libs")
    except module.LocalKafkaError as error:
        _missing(str(error))
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


@pytest.fixture(scope="session")
def local_postgres() -> ModuleType:
    """deploy/postgres/local_postgres.py, the very script that users start their server with."""
    module = _script("deploy/postgres/local_postgres.py")
    try:
        module.Server(Path())
    except module.LocalPostgresError as error:
        _missing(str(error))
    return module


_POSTGRES = {
    "fsync": "off",  # no test takes the machine's power
    "autovacuum": "off",  # it learns that tables are empty which the next test fills
}


@pytest.fixture(scope="session")
def postgres(local_postgres: ModuleType) -> Iterator[Any]:
    """A real PostgreSQL. Nobody stops this one: see `own_postgres`."""
    with local_postgres.temporary(_POSTGRES) as server:
        yield server


@pytest.fixture
def own_postgres(local_postgres: ModuleType) -> Iterator[Any]:
    """A real PostgreSQL that the test may stop and start. It is running at the end."""
    with local_postgres.temporary(_POSTGRES) as server:
        yield server


@pytest.fixture(scope="session")
def spare_databases(postgres: Any) -> list[str]:
    """URLs of migrated, empty databases. Making one takes half a second, emptying one 20 ms."""
    return []


@pytest.fixture
def postgres_url(postgres: Any, spare_databases: list[str]) -> Iterator[str]:
    """An empty, migrated database, as EVALRATCHET_STORE takes it. Its tables are to be left as they are."""
    from services.store.schema import upgrade  # noqa: PLC0415 - the same
    from services.store.tables import metadata  # noqa: PLC0415 - the same

    if not spare_databases:
        spare_databases.append(postgres.create())
        _in_thread(upgrade(spare_databases[0]))
    url = spare_databases.pop()
    yield url
    tables = reversed(metadata.sorted_tables)
    emptied = "; ".join(f"DELETE FROM {table.name}" for table in tables)  # noqa: S608 - our names
    postgres.sql(f"{_END_OTHERS}; {_NO_FOREIGN_KEYS}; {emptied}; {_DROP_CHUNKS}", _name_of(url))
    spare_databases.append(url)


def _name_of(url: str) -> str:
    return url.rpartition("/")[2]


_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_NO_FOREIGN_KEYS = "SET session_replication_role = replica"
_DROP_CHUNKS = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE tablename ~ '^trace_(piece|span)_[0-9]+$' LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END $$
"""  # the archive makes these itself


def _in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run async work from a fixture of session scope, apart from the tests' event loop."""
    thread = threading.Thread(target=asyncio.run, args=[work])
    thread.start()
    thread.join()
