"""The systemd unit of the sidecar, as it is."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from services.settings import PREFIX, load_settings, unknown_variables
from services.sidecar import check

UNIT = "evalratchet-sidecar.service"
MOST_EXPOSED = 1.5  # of 10, as systemd-analyze counts; what is left is that it uses the network


@pytest.fixture(scope="session")
def unit_file(root: Path) -> Path:
    return root / "deploy" / "sidecar" / UNIT


@pytest.fixture(scope="session")
def unit(unit_file: Path) -> dict[str, dict[str, list[str]]]:
    """Values by section and key; a key may be there several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    values: dict[str, list[str]] = {}
    for line in unit_file.read_text().splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            values = sections.setdefault(line[1:-1], defaultdict(list))
        elif line.strip() and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key].append(value)
    return sections


def test_it_runs_the_sidecar_and_nothing_else(unit) -> None:
    assert unit["Service"]["ExecStart"] == ["/opt/evalratchet/bin/evalratchet serve sidecar"]


def test_its_settings_are_those_of_a_sidecar(unit, unit_file, monkeypatch, tmp_path) -> None:
    """Those in the unit, and those that its comment says belong into the file beside it."""
    for variable in [one for one in os.environ if one.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    in_file = re.findall(rf"^#\s+({PREFIX}\w+)=(.+)$", unit_file.read_text(), re.MULTILINE)
    assert dict(in_file).keys() == {"EVALRATCHET_STREAM", "EVALRATCHET_STORE"}
    for name, value in [*in_file, *(one.split("=", 1) for one in unit["Service"]["Environment"])]:
        monkeypatch.setenv(name, value)
    assert unknown_variables() == []
    settings = load_settings()
    check(settings)
    assert settings.listen == "127.0.0.1:8321"
    assert unit["Service"]["SocketBindAllow"] == ["tcp:8321"]
    assert unit["Service"]["EnvironmentFile"] == ["/etc/evalratchet/sidecar.env"]


def test_the_spool_is_in_its_state_directory_and_its_own(unit) -> None:
    service = unit["Service"]
    (name,) = service["StateDirectory"]
    assert f"EVALRATCHET_HOME=/var/lib/{name}" in service["Environment"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["DynamicUser"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]


def test_it_is_started_again_for_ever_and_given_time_to_stop(unit) -> None:
    assert unit["Service"]["Restart"] == ["always"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert int(unit["Service"]["TimeoutStopSec"][0]) > 40
    assert int(unit["Service"]["LimitNOFILE"][0]) >= 4096 + 200


def test_it_promises_no_watchdog_that_nobody_feeds(unit) -> None:
    assert not {"WatchdogSec", "NotifyAccess"} & unit["Service"].keys()
    assert unit["Service"]["Type"] == ["exec"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line(unit_file: Path, tmp_path: Path) -> None:
    here = tmp_path / UNIT
    command = Path(sys.executable).parent / "evalratchet"
    here.write_text(unit_file.read_text().replace("/opt/evalratchet/bin/evalratchet", str(command)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False
    )
    about_it = [line for line in done.stderr.splitlines() if "evalratchet" in line]
    assert about_it == []
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_it_well_locked_in(unit_file: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED
