"""`up` and `serve`: run services in this process until told to stop."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
import typer
import uvloop

from services.alone import AlreadyRunning
from services.cli.address import local_url
from services.cli.opened import effective_settings, make_home, migrate, not_ready, unusable
from services.cli.problem import ExitCode, Problem
from services.cli.typed import own_name
from services.errors import Unavailable
from services.hosts import check_hosts
from services.patience import patiently
from services.settings import Settings, SettingsError, mask_url
from services.sidecar import run_sidecar
from services.store.open import open_store
from services.store.schema import StoreNotReady
from services.telemetry import configure_logging
from services.up import run_services
from services.wiring import SERVICES, ServiceName

log = structlog.get_logger()


def run_everything() -> None:
    """Migrate, then run all services. Exits with their exit code."""
    began = time.monotonic()
    settings = effective_settings()
    _exit(settings, lambda: _everything(settings, began))


def run_one(service: ServiceName) -> None:
    """Run one service. Exits with its exit code."""
    settings = effective_settings()

    def say_ready() -> None:
        where = f"\n{_addresses(settings)}" if service == "capture" else ""
        said = f"{service} is running. Ctrl-C stops it; it continues where it stopped.{where}"
        print(said, flush=True)

    async def serve() -> int:
        return await _services(settings, [service], say_ready)

    _exit(settings, serve)


def run_beside_an_app() -> None:
    """Run the sidecar. Exits with its exit code."""
    settings = effective_settings()

    def say_ready() -> None:
        said = "sidecar is running. Ctrl-C stops it; what is in its spool is sent after the next start."
        print(f"{said}\n{_addresses(settings)}", flush=True)

    async def serve() -> int:
        try:
            return await run_sidecar(settings, on_ready=say_ready)
        except AlreadyRunning as error:
            raise Problem("It is running already.", str(error)) from error
        except SettingsError as error:
            raise unusable(error) from error
        except (Unavailable, OSError) as error:
            raise Problem("The sidecar could not start.", str(error)) from error

    _exit(settings, serve)


async def _everything(settings: Settings, began: float) -> int:
    make_home(settings)
    await _migrated(settings)

    def say_ready() -> None:
        print(_welcome(settings, time.monotonic() - began), flush=True)

    return await _services(settings, SERVICES, say_ready)


async def _migrated(settings: Settings) -> None:
    """Migrate when it is needed: to find out is quick, alembic is not. Waits for the store."""
    try:
        await check_hosts(settings)
    except SettingsError as error:
        raise unusable(error) from error
    store = open_store(settings)

    async def ready() -> None:
        try:
            await store.start()
        except StoreNotReady:
            await migrate(settings)

    told = asyncio.Event()  # never: Ctrl-C ends the process, which has nothing in hand yet
    try:
        await patiently(ready, stop=told, log=log, give_up_seconds=settings.start_seconds)
    except Unavailable as error:
        raise _not_started(error) from error
    finally:
        await store.close()


async def _services(
    settings: Settings, names: Sequence[ServiceName], on_ready: Callable[[], None]
) -> int:
    try:
        return await run_services(settings, names, on_ready=on_ready)
    except AlreadyRunning as error:
        raise Problem("It is running already.", str(error)) from error
    except SettingsError as error:
        raise unusable(error) from error
    except StoreNotReady as error:
        raise not_ready(error) from error
    except Unavailable as error:  # after the wait that the settings give
        raise _not_started(error) from error


def _not_started(error: Unavailable) -> Problem:
    """What to say when something that is needed is not there, or has the address."""
    return Problem("The services could not start.", str(error), code=ExitCode.UNREACHABLE)


def _exit(settings: Settings, work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    configure_logging(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(work())
    raise typer.Exit(code)


def _welcome(settings: Settings, seconds: float) -> str:
    """Where to post, where to look, how to stop."""
    where = (
        f"data in {settings.home}/" if settings.embedded_stream else mask_url(settings.stream_url)
    )
    return "\n".join(
        [
            f"evalratchet is ready after {seconds:.1f} s ({where})",
            _addresses(settings),
            f"  look           {own_name()} status, {own_name()} cases list",
            "  stop           Ctrl-C; nothing is lost, a restart continues where it stopped",
        ]
    )


def _addresses(settings: Settings) -> str:
    """Where capture takes what, and where it says how."""
    url = local_url(settings.listen)
    return "\n".join(
        [
            f"  post traces    {url}/v1/captures (native JSON), {url}/v1/traces (OTLP/HTTP)",
            f"  post feedback  {url}/v1/feedback",
            f"  read the docs  {url}/docs",
        ]
    )
