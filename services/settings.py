"""Settings: `EVALRATCHET_*` in the environment, over a TOML file, over the defaults here."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services.telemetry import LogFormat

PREFIX = "EVALRATCHET_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
DEFAULT_CONFIG = "evalratchet.toml"

_PLACE = re.compile(
    r"(?>([^:/]*(:[^@]*)?@)?)"  # who; a password may hold what else ends the place
    r"(\[[^]]*\]|[^]\[:/?]*)(:(?P<port>[0-9]{1,5}))?([/?]|$)"
)
_LAST_PORT = 65535
_SECRET_VALUE = re.compile(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


class SettingsError(ValueError):
    """The settings cannot be used; the message names each, its value and what is allowed."""


def _listen(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isdigit() and int(port) <= 65535):  # noqa: PLR2004 - the largest port
        message = "must be HOST:PORT, for example 127.0.0.1:8321 or [::1]:8321"
        raise ValueError(message)
    return value


class Settings(BaseSettings):
    """Everything a process is told from outside. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(
        default=Path(".evalratchet"), description="the data folder of the embedded default"
    )
    listen: Annotated[str, AfterValidator(_listen)] = Field(
        default="127.0.0.1:8321", description="HOST:PORT where capture listens"
    )
    stream: SecretStr = Field(
        default=SecretStr("sqlite"),
        description="`sqlite` (a file in the home folder) or kafka://HOST:PORT[,HOST:PORT...]",
    )
    store: SecretStr = Field(
        default=SecretStr("sqlite"),
        description="`sqlite` (a file in the home folder) or postgresql+asyncpg://USER:PASSWORD@HOST/DB",
    )
    settle_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86400,
        description="a trace is scored once nothing came for it for this long",
    )
    settle_max_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=604_800,
        description="a trace whose root has not ended, or that never goes quiet, is scored after this "
        "long, as `truncated`",
    )
    embedding_model: str = Field(
        default="all-MiniLM-L6-v2",
        min_length=1,
        description="the bundled model, any name or path sentence-transformers loads, or `hashing`",
    )
    embedding_backend: Literal["auto", "onnx", "sentence-transformers"] = Field(
        default="auto",
        description="what runs the model: `onnx` (compiled by `evalratchet models compile`), "
        "`sentence-transformers`, or `auto`: compiled where it is, else sentence-transformers",
    )
    models: Path | None = Field(
        default=None,
        description="the folder of compiled models. Not set: `models` in the home folder",
    )
    modes_minutes: float = Field(
        default=10.0,
        ge=0,
        le=10080,
        description="the shortest pause between two refits of a project's modes, in minutes; 0: only "
        "`evalratchet modes refit` does it",
    )
    redaction_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="what the hashes in placeholders are keyed with, at least 16 characters; not set: "
        "random bytes that the store keeps",
    )
    redaction_ner: str | None = Field(
        default=None,
        min_length=1,
        description="a token classification model that transformers loads, to redact names too",
    )
    judge_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="where judge scorers are answered: the base of an API that speaks OpenAI's chat "
        "completions, for example https://api.openai.com/v1",
    )
    judge_model: str | None = Field(
        default=None, min_length=1, description="the model that judges, as its API names it"
    )
    judge_api_key: SecretStr | None = Field(
        default=None, min_length=1, description="the key of the judge's API"
    )
    judge_timeout_seconds: float = Field(
        default=30.0, gt=0, le=300, description="how long one answer of the judge may take"
    )
    judge_concurrency: int = Field(
        default=16, ge=1, le=256, description="how many questions the judge is asked at once"
    )
    grey_judge_per_hour: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="about how many doubtful dedup decisions the judge is asked in an hour, by one "
        "process; two questions each",
    )
    embedding_threads: int = Field(default=2, ge=1, le=256, description="threads of the model")
    max_trace_bytes: int = Field(
        default=1 << 20, ge=1024, le=64 << 20, description="the largest trace taken, in bytes"
    )
    max_request_bytes: int = Field(
        default=20 << 20,
        ge=1024,
        le=1 << 30,
        description="the largest request body, in bytes after decompression",
    )
    auth: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="whether requests need an API key: `auto` (when EVALRATCHET_LISTEN is an address "
        "that other machines reach), `required` or `off`",
    )
    rate_per_second: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="requests a second that one key, or one address without keys, may make; 0 is no "
        "limit. Not set: 1000 where keys are needed, else no limit",
    )
    rate_burst: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="requests that may come at once. Not set: two seconds' worth",
    )
    max_inflight_bytes: int = Field(
        default=256 << 20,
        ge=1024,
        le=1 << 40,
        description="the most bytes that the bodies of all requests in hand may have together; at "
        "least EVALRATCHET_MAX_REQUEST_BYTES",
    )
    header_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="the longest that a request's headers, or a new connection, may take",
    )
    body_seconds: float = Field(
        default=20.0,
        gt=0,
        le=3600,
        description="how long a body may take, beside a second for each "
        "EVALRATCHET_BODY_BYTES_PER_SECOND of it",
    )
    body_bytes_per_second: int = Field(
        default=4096,
        ge=1,
        le=1 << 30,
        description="the slowest that a body may come, after EVALRATCHET_BODY_SECONDS",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="the API key that `evalratchet send` sends with, where one is needed",
    )
    max_connections: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="the most connections at once; more are answered 503",
    )
    spool_bytes: int = Field(
        default=1 << 30,
        ge=64 << 20,
        le=1 << 50,
        description="the most that a sidecar's spool takes on the disk, in bytes",
    )
    retention_days: float = Field(
        default=7, gt=0, le=36500, description="how long topics and archived traces are kept"
    )
    dead_letter_floor: int = Field(
        default=50,
        ge=0,
        le=1_000_000,
        description="a stage halts when more than this many, and a tenth, of its latest 1000 records "
        "are dead letters",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="put before every topic and group name, to share a cluster",
    )
    topic_partitions: int = Field(
        default=64, ge=1, le=4096, description="partitions of a new topic"
    )
    instance_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="static group membership on Kafka: a name that a replica keeps across restarts",
    )
    start_seconds: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="how long a service that starts waits for the store and the stream, in seconds, "
        "before it ends",
    )
    metrics_listen: Annotated[str, AfterValidator(_listen)] | None = Field(
        default=None, description="HOST:PORT for /metrics of services that do not listen otherwise"
    )
    log_format: LogFormat = Field(default="auto", description="`auto`, `json` or `console`")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="the least severe level that is logged"
    )

    @model_validator(mode="after")
    def _room_for_one_request(self) -> "Settings":
        if self.max_inflight_bytes < self.max_request_bytes:
            message = (
                f"EVALRATCHET_MAX_INFLIGHT_BYTES={self.max_inflight_bytes} must be at least "
                f"EVALRATCHET_MAX_REQUEST_BYTES={self.max_request_bytes}, or the largest request "
                "is never taken"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _whole_judge(self) -> "Settings":
        if (self.judge_url is None) != (self.judge_model is None):
            message = (
                "EVALRATCHET_JUDGE_URL and EVALRATCHET_JUDGE_MODEL belong together: set both, or "
                "neither"
            )
            raise ValueError(message)
        return self

    @field_validator("stream")
    @classmethod
    def _known_stream(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text == "sqlite" or (text.startswith("kafka://") and urlsplit(text).netloc):
            return value
        message = "must be `sqlite` or kafka://HOST:PORT[,HOST:PORT...]"
        raise ValueError(message)

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        scheme, _, rest = text.partition("://")
        if text == "sqlite" or (scheme == "postgresql+asyncpg" and _has_a_place(rest)):
            return value
        message = "must be `sqlite` or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE"
        raise ValueError(message)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        file = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @property
    def stream_url(self) -> str:
        """Where the stream is, as the stream's opener reads it: `sqlite:PATH` or `kafka://...`."""
        url = self.stream.get_secret_value()
        return f"sqlite:{self.home / 'stream.db'}" if url == "sqlite" else url

    @property
    def store_url(self) -> str:
        """Where the store is, as SQLAlchemy reads it."""
        url = self.store.get_secret_value()
        return f"sqlite:///{self.home / 'store.db'}" if url == "sqlite" else url

    @property
    def models_folder(self) -> Path:
        """Where compiled models are."""
        return self.home / "models" if self.models is None else self.models

    @property
    def embedded_stream(self) -> bool:
        """Whether the stream is the SQLite file, which one process at a time may consume."""
        return self.stream.get_secret_value() == "sqlite"

    @property
    def alone(self) -> bool:
        """Whether each service may have one worker only: a SQLite file has one."""
        return self.embedded_stream or self.store.get_secret_value() == "sqlite"

    @property
    def retention_ms(self) -> int:
        """Retention in milliseconds."""
        return int(self.retention_days * 86_400_000)

    @property
    def sending_key(self) -> str | None:
        """The API key that the command line sends with."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    def masked(self) -> dict[str, Any]:
        """The effective settings as they may be shown: passwords are stars."""
        shown = self.model_dump(mode="json")
        for name in ("stream", "store"):
            shown[name] = mask_url(getattr(self, name).get_secret_value())
        if self.judge_url is not None:
            shown["judge_url"] = mask_url(self.judge_url)
        return shown


def _has_a_place(rest: str) -> bool:
    """Whether what follows the scheme has a host and a port as SQLAlchemy reads them, or none."""
    found = _PLACE.match(rest)
    return found is not None and int(found["port"] or 0) <= _LAST_PORT


def mask_url(url: str) -> str:
    """The URL with its password, and every query value that names a secret, as `***`.

    Any text is taken. A password may hold what should have been percent-encoded (drivers take it,
    so people write it), so everything between the first colon and the last @ is one.
    """
    scheme, colons, rest = url.partition("://")
    if not colons:
        return url
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    shown = f"{user}{':***' if colon else ''}{at}{place}"
    masked = _SECRET_VALUE.sub(r"\1***", shown)
    return f"{scheme}://{masked}"


def load_settings(**overrides: Any) -> Settings:
    """The effective settings.

    Raises:
        SettingsError: one line for each bad setting: its name, the value, and what is allowed.
    """
    chosen = os.environ.get(CONFIG_VARIABLE)
    if chosen is not None and not Path(chosen).is_file():
        message = f"{CONFIG_VARIABLE}={chosen}: there is no such file"
        raise SettingsError(message)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(item) for item in error.errors())) from error
    except ValueError as error:  # tomllib's, or a value that is not JSON where JSON is expected
        message = f"{chosen or DEFAULT_CONFIG}: {error}"
        raise SettingsError(message) from error


def unknown_variables() -> list[str]:
    """Variables that look like settings and are none: a slip, or Kubernetes' service links."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _explain(item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else "settings"
    value = item.get("input")
    secret = name in {"stream", "store"} and not {":", "@"}.isdisjoint(str(value))
    secret = secret or name in {"redaction_key", "judge_api_key", "api_key"}
    shown = "***" if secret else repr(value)
    field = Settings.model_fields.get(name)
    allowed = field.description if field else f"one of {', '.join(Settings.model_fields)}"
    return f"{PREFIX}{name.upper()}={shown}: {item['msg']}. What it sets: {allowed}."
