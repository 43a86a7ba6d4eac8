import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.settings import (
    PREFIX,
    Settings,
    SettingsError,
    load_settings,
    mask_url,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


BAD = {
    "listen": ["8321", "host:", ":8321", "host:http", "host:65536", "host:-1"],
    "stream": ["redis://x", "kafka://", "kafka", "SQLITE", "kafka://["],
    "store": [
        *("sqlite:///x.db", "postgresql://u@h/d", "mysql://x"),
        *(f"postgresql+asyncpg://u:hunter2@{at}/d" for at in ("h:http", "h:65536", "[::1", "h:")),
        "postgresql+asyncpg://u:7/hunter2@h:http/d",
    ],
    "settle_seconds": ["-1", "86401", "soon", "nan", "inf"],
    "embedding_threads": ["0", "257", "1.5", "two"],
    "max_trace_bytes": ["1023", "67108865", "1MB"],
    "max_request_bytes": ["0", "1073741825"],
    "retention_days": ["0", "-3", "week", "inf", "nan", "1e300"],
    "topic_prefix": ["a/b", "x" * 101, "a b", "a\n"],
    "topic_partitions": ["0", "4097", "many"],
    "instance_id": ["a b", "x" * 201],
    "metrics_listen": ["9000"],
    "log_format": ["xml"],
    "log_level": ["info", "TRACE"],
}


@pytest.mark.parametrize(
    "url",
    [
        "//u@h/d",
        "//u:pa/ss#?w:7@h:5432/d",
        "//u@[::1]:5432/d",
        "///d?host=/run/pg",
        "//h?ssl=require",
        "//h/d?user=ann@corp:1x",
        "//",
    ],
)
def test_a_store_is_named_as_its_driver_takes_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(f"{PREFIX}STORE", f"postgresql+asyncpg:{url}")
    assert load_settings().store_url == f"postgresql+asyncpg:{url}"


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_bad_value_is_answered_with_the_setting_the_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variable = PREFIX + name.upper()
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{variable}=")
    assert repr(value) in line or "***" in line
    assert str(Settings.model_fields[name].description) in line


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and shells make them of what is not set."""
    for name in Settings.model_fields:
        monkeypatch.setenv(PREFIX + name.upper(), "")
    assert load_settings() == Settings()


def test_every_bad_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time would be one restart for each."""
    monkeypatch.setenv("EVALRATCHET_LISTEN", "x")
    monkeypatch.setenv("EVALRATCHET_TOPIC_PARTITIONS", "0")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert [line.split("=")[0] for line in str(refused.value).splitlines()] == [
        "EVALRATCHET_LISTEN",
        "EVALRATCHET_TOPIC_PARTITIONS",
    ]


def test_every_setting_says_what_it_is() -> None:
    """The description is the second half of every error message."""
    assert all(field.description for field in Settings.model_fields.values())


def test_without_any_setting_everything_is_in_one_folder() -> None:
    chosen = load_settings()
    assert chosen.embedded_stream
    assert chosen.stream_url == "sqlite:.evalratchet/stream.db"
    assert chosen.store_url == "sqlite:///.evalratchet/store.db"
    assert chosen.retention_ms == 7 * 24 * 3600 * 1000


def test_arguments_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("settle_seconds = 1", "embedding_threads = 1", "topic_partitions = 1")
    (tmp_path / "evalratchet.toml").write_text("\n".join(lines))
    monkeypatch.setenv("EVALRATCHET_EMBEDDING_THREADS", "2")
    monkeypatch.setenv("EVALRATCHET_TOPIC_PARTITIONS", "2")
    chosen = load_settings(topic_partitions=3)
    assert (chosen.settle_seconds, chosen.embedding_threads, chosen.topic_partitions) == (1, 2, 3)


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in its name would else put the defaults in force."""
    monkeypatch.setenv("EVALRATCHET_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"EVALRATCHET_CONFIG=nowhere\.toml: there is no such"):
        load_settings()


@pytest.mark.parametrize("text", ["settle_seconds = ", "= 1", "settle_seconds = soon"])
def test_a_file_that_is_not_toml_is_named_with_where_it_goes_wrong(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "evalratchet.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"evalratchet\.toml: .*(line 1|end of document)"):
        load_settings()


def test_a_name_in_the_file_that_is_no_setting_is_refused_with_those_that_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "evalratchet.toml").write_text("settle_secs = 3")
    with pytest.raises(SettingsError, match=r"EVALRATCHET_SETTLE_SECS=3: .* settle_seconds,"):
        load_settings()


def test_variables_that_look_like_settings_and_are_none_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVALRATCHET_CONFIG", "x")
    monkeypatch.setenv("EVALRATCHET_LISTEN", "x:1")
    monkeypatch.setenv("EVALRATCHET_SETTLE", "1")
    assert unknown_variables() == ["EVALRATCHET_SETTLE"]


def test_settings_are_shown_without_passwords() -> None:
    shown = load_settings(
        store=SecretStr("postgresql+asyncpg://er:hunter2@db:5432/er?sslpassword=hunter3"),
        stream=SecretStr("kafka://er:hunter4@one:9092,two:9092"),
    ).masked()
    assert shown["store"] == "postgresql+asyncpg://er:***@db:5432/er?sslpassword=***"
    assert shown["stream"] == "kafka://er:***@one:9092,two:9092"
    assert "hunter" not in repr(shown)


@pytest.mark.parametrize("url", ["postgres://er:hunter2@db/er", "er:hunter2@db/er"])
def test_a_bad_url_is_refused_without_showing_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("EVALRATCHET_STORE", url)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)
    assert "postgresql+asyncpg://USER:PASSWORD@HOST" in str(refused.value)


_name = st.text(st.sampled_from("abcxyz019-_."), min_size=1, max_size=10)
_password = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).map(
    lambda text: f"PASS{text}WORD"
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["postgresql+asyncpg", "kafka"]), _name, _password, _name, _name)
def test_no_password_of_any_spelling_is_ever_shown(
    scheme: str, user: str, password: str, host: str, database: str
) -> None:
    """Also one that should have been percent-encoded: drivers take it, so people write it."""
    shown = mask_url(f"{scheme}://{user}:{password}@{host}/{database}")
    assert "PASS" not in shown
    assert "WORD" not in shown
    assert f"{user}:***@" in shown


@settings(deadline=None, max_examples=300)
@given(_password, st.sampled_from(["password", "sslpassword", "api_key", "token", "SECRET"]))
def test_no_secret_in_a_query_is_ever_shown(password: str, name: str) -> None:
    encoded = "".join(f"%{ord(c):02X}" for c in password)
    for value in (encoded, password.replace("&", "")):
        shown = mask_url(f"postgresql+asyncpg://h/d?ssl=require&{name}={value}")
        assert encoded not in shown
        assert "PASS" not in shown
        assert "WORD" not in shown
        assert "ssl=require" in shown


@settings(deadline=None)
@given(st.text(max_size=60))
def test_masking_takes_any_text(text: str) -> None:
    """It is called while something else is being reported: it must not be what fails."""
    assert isinstance(mask_url(text), str)
    assert isinstance(mask_url(f"kafka://{text}"), str)
