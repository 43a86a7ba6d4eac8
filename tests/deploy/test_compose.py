import os
import re
import shlex
import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli.app import app
from services.settings import PREFIX, load_settings, unknown_variables
from services.wiring import SERVICES

OURS = ("setup", *SERVICES)


def _commands(service: dict[str, Any]) -> list[list[str]]:
    """What a container runs after `evalratchet`: a plain command, or a shell's, joined by &&."""
    if "entrypoint" not in service:
        return [service["command"]]
    assert service["entrypoint"][0] == "sh"
    (script,) = service["command"]
    words = shlex.split(script)
    parts = [list(part) for is_and, part in groupby(words, "&&".__eq__) if not is_and]
    assert all(part[0] == "evalratchet" for part in parts)
    return [part[1:] for part in parts]


def _understood(arguments: list[str]) -> None:
    """Parse as the command line would, without running. Raises click's UsageError."""
    command, name = typer.main.get_command(app), "evalratchet"
    context = None
    rest = arguments
    while hasattr(command, "resolve_command"):
        context = command.make_context(name, list(rest), parent=context)
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
    command.make_context(name, list(rest), parent=context)


@pytest.mark.parametrize("name", OURS)
def test_every_container_runs_a_command_that_there_is(compose: dict[str, Any], name: str) -> None:
    for arguments in _commands(compose["services"][name]):
        _understood(arguments)


def test_what_is_no_command_would_be_noticed() -> None:
    """The check above means something only if this fails."""
    for wrong in (["serve", "everything"], ["serve"], ["database", "upgrade"], ["db", "upgarde"]):
        with pytest.raises(Exception, match=r"(?i)missing|no such|is not one of|invalid"):
            _understood(wrong)


def test_each_service_has_a_container_of_its_own(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name: services[name]["command"] for name in SERVICES} == {
        name: ["serve", name] for name in SERVICES
    }
    assert set(services) == {"kafka", "postgres", *OURS}


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_there_is_and_has_a_value_that_is_taken(
    compose: dict[str, Any],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for variable in [one for one in os.environ if one.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    for variable, value in compose["services"][name]["environment"].items():
        assert variable.startswith(PREFIX)
        monkeypatch.setenv(variable, _filled_in(value))
    assert unknown_variables() == []
    settings = load_settings()
    assert settings.stream_url == "kafka://kafka:9092"
    assert settings.store_url.startswith("postgresql+asyncpg://evalratchet:secret@postgres:")
    assert not settings.embedded_stream


def _filled_in(value: str) -> str:
    value = re.sub(r"\$\{POSTGRES_PASSWORD:-[^}]+\}", "secret", value)
    return re.sub(r"\$\{EVALRATCHET_AUTH:-([^}]+)\}", r"\1", value)


def test_the_services_and_postgresql_are_given_the_same_name_and_password(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]
    database = services["postgres"]["environment"]
    user, password = database["POSTGRES_USER"], database["POSTGRES_PASSWORD"]
    expected = f"postgresql+asyncpg://{user}:{password}@postgres:5432/{database['POSTGRES_DB']}"
    for name in OURS:
        assert services[name]["environment"]["EVALRATCHET_STORE"] == expected


def test_every_image_has_a_pinned_tag_and_ours_is_this_version(
    compose: dict[str, Any], root: Path
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert {images[name] for name in OURS} == {f"evalratchet:{version}"}
    for image in images.values():
        assert re.fullmatch(r"[a-z/]+:\d[\w.]*", image), image


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in SERVICES:
        assert services[name]["depends_on"] == {
            "setup": {"condition": "service_completed_successfully"}
        }
    assert services["setup"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in ("kafka", "postgres")
    }
    assert services["setup"]["restart"].startswith("on-failure")


def test_every_long_running_container_is_watched_restarted_and_given_time_to_stop(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        if name == "setup":
            continue
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert service["restart"] == "unless-stopped", name
        assert service["stop_grace_period"], name


@pytest.mark.parametrize("name", SERVICES)
def test_health_is_asked_for_where_the_service_listens(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    listens = "0.0.0.0:8321" if name == "capture" else None  # the image's own default
    listens = listens or service["environment"]["EVALRATCHET_METRICS_LISTEN"]
    port = listens.rpartition(":")[2]
    code = service["healthcheck"]["test"][-1]
    compile(code, "healthcheck", "exec")
    assert f"http://127.0.0.1:{port}/healthz" in code


def test_the_data_is_in_named_volumes(compose: dict[str, Any]) -> None:
    """`down` and `up` again must find everything where it was."""
    services = compose["services"]
    assert services["kafka"]["volumes"] == ["kafka:/var/lib/kafka/data"]
    assert services["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert set(compose["volumes"]) == {"kafka", "postgres"}


def test_what_has_no_lock_on_its_door_is_published_on_this_machine_alone(
    compose: dict[str, Any],
) -> None:
    published = [port for one in compose["services"].values() for port in one.get("ports", [])]
    assert published == ["127.0.0.1:8321:8321"]


def test_keys_are_only_done_without_while_no_other_machine_reaches_the_port(
    compose: dict[str, Any],
) -> None:
    capture = compose["services"]["capture"]
    assert capture["environment"]["EVALRATCHET_AUTH"] == "${EVALRATCHET_AUTH:-off}"
    assert all(port.startswith("127.0.0.1:") for port in capture["ports"])


def test_a_single_kafka_node_asks_nobody_else_for_copies(compose: dict[str, Any]) -> None:
    """An internal topic that wants three copies of one node is never made: no group ever starts."""
    environment = compose["services"]["kafka"]["environment"]
    copies = {
        name: value
        for name, value in environment.items()
        if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))
    }
    assert len(copies) == 5
    assert set(copies.values()) == {1}
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
