"""Which stream the settings mean, and how its address is read."""

import subprocess
import sys

import pytest
from pydantic import SecretStr

from services.settings import SettingsError
from services.stream.kafka_client import parse_address
from services.stream.open import open_stream


async def test_the_embedded_stream_is_the_file_in_the_home_folder(settings_of, tmp_path):
    stream = open_stream(settings_of())
    await stream.start()
    await stream.close()
    assert (tmp_path / "stream.db").is_file()


@pytest.mark.parametrize(
    ("stream", "unwanted"), [("sqlite", "aiokafka"), ("kafka://127.0.0.1:9092", "sqlite3")]
)
def test_only_the_chosen_stream_is_imported(stream, unwanted):
    code = (
        "import asyncio, sys\n"
        "from services.settings import Settings\n"
        "from services.stream.open import open_stream\n"
        f"async def main(): open_stream(Settings(stream={stream!r}))\n"
        "asyncio.run(main())\n"
        f"assert {unwanted!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_address_may_say_how_to_get_in():
    address = parse_address(
        "kafka://one:9092,[::1]:9093?security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512"
        "&sasl_plain_username=me&sasl_plain_password=hush%26more"
    )
    options = address.options()
    assert options["bootstrap_servers"] == ["one:9092", "[::1]:9093"]
    assert options["sasl_plain_password"] == "hush&more"  # noqa: S105 - as it was given
    assert options["ssl_context"].check_hostname
    assert str(address) == "one:9092,[::1]:9093"
    assert "hush" not in str(address)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("kafka://one:9092?sasl_user=me", "sasl_user"),
        ("kafka://one:9092?security_protocol=TLS", "SASL_SSL"),
        ("kafka://one", "must be HOST:PORT"),
        ("kafka://one:9092,two", "'two' must be HOST:PORT"),
        ("kafka://me:hush@one:9092", "sasl_plain_username"),
    ],
)
def test_a_wrong_address_is_refused_when_it_is_opened(settings_of, url, what):
    with pytest.raises(SettingsError, match=what) as raised:
        open_stream(settings_of(stream=SecretStr(url)))
    assert "hush" not in str(raised.value)
