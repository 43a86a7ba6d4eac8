"""The sidecar's containers, as they are written."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from services.cli.app import app
from services.settings import PREFIX, load_settings, unknown_variables
from services.sidecar import check


@pytest.fixture(scope="session")
def in_compose(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "deploy/sidecar/compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="session")
def pod(root: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((root / "deploy/sidecar/kubernetes.yaml").read_text())
    return {**loaded["spec"]["template"]["spec"], "claims": loaded["spec"]["volumeClaimTemplates"]}


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """The settings that a container's environment makes, on top of the image's own."""

    def made(environment: dict[str, str]):
        for variable in [one for one in os.environ if one.startswith(PREFIX)]:
            monkeypatch.delenv(variable)
        monkeypatch.chdir(tmp_path)
        for name, value in environment.items():
            assert name.startswith(PREFIX)
            monkeypatch.setenv(name, value)
        assert unknown_variables() == []
        return load_settings()

    return made


def _is_a_command(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    context = command.make_context("evalratchet", list(arguments))
    name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    found.make_context(name, rest, parent=context)


def _probe(command: list[str]) -> None:
    code = command[-1]
    compile(code, "probe", "exec")
    assert "http://127.0.0.1:8321/healthz" in code
    assert command[-2] == "-c"


def test_compose_runs_it_in_the_apps_network_with_settings_of_a_sidecar(in_compose, settings_of):
    sidecar = in_compose["services"]["sidecar"]
    _is_a_command(sidecar["command"])
    assert sidecar["command"] == ["serve", "sidecar"]
    assert sidecar["network_mode"] == "service:app"
    settings = settings_of(sidecar["environment"])
    check(settings)
    _probe(sidecar["healthcheck"]["test"])
    volume, _, place = sidecar["volumes"][0].partition(":")
    assert volume in in_compose["volumes"]
    assert place == str(settings.home)


def test_compose_agrees_with_the_installation_that_it_is_added_to(in_compose, compose):
    environment = compose["services"]["capture"]["environment"]
    beside = in_compose["services"]["sidecar"]["environment"]
    for name in ("EVALRATCHET_STREAM", "EVALRATCHET_STORE"):
        assert beside[name] == environment[name]
    assert not in_compose["services"].keys() & compose["services"].keys()
    assert not in_compose["volumes"].keys() & compose["volumes"].keys()


def test_the_pod_starts_it_before_the_app_and_keeps_its_spool(pod, settings_of):
    (sidecar,) = pod["initContainers"]
    _is_a_command(sidecar["args"])
    assert sidecar["restartPolicy"] == "Always", "an init container that runs on is a sidecar"
    environment = {one["name"]: one.get("value") for one in sidecar["env"]}
    assert environment["EVALRATCHET_STORE"] is None, "a password is in a secret"
    environment["EVALRATCHET_STORE"] = "postgresql+asyncpg://u:p@postgres:5432/evalratchet"
    settings = settings_of(environment)
    check(settings)
    mounts = {one["name"]: one["mountPath"] for one in sidecar["volumeMounts"]}
    assert mounts["spool"] == str(settings.home)
    (claim,) = pod["claims"]
    assert claim["metadata"]["name"] == "spool"
    requested = claim["spec"]["resources"]["requests"]["storage"]
    assert int(requested.removesuffix("Gi")) << 30 > settings.spool_bytes
    for probe in ("startupProbe", "livenessProbe"):
        _probe(sidecar[probe]["exec"]["command"])


def test_the_app_is_told_where_it_listens(pod, in_compose):
    (app_container,) = pod["containers"]
    told = {one["name"]: one["value"] for one in app_container["env"]}
    assert told == in_compose["services"]["app"]["environment"]
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:8321"
    assert told["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"


def test_the_images_are_this_version_and_run_as_the_user_of_the_image(
    pod, in_compose, root, dockerfile
):
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    image = f"evalratchet:{version}"
    assert in_compose["services"]["sidecar"]["image"] == image
    assert pod["initContainers"][0]["image"] == image
    user = next(words[1] for words in dockerfile if words[0] == "USER")
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['fsGroup']}"
