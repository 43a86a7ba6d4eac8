"""Which stream the settings mean. Only that one's library is imported."""

from pathlib import Path

from services.settings import Settings
from services.stream.port import Stream
from services.stream.topics import Topics


def open_stream(settings: Settings) -> Stream:
    """The stream of these settings, not started yet.

    Raises:
        services.settings.SettingsError: the Kafka address has a part that is none.
    """
    url = settings.stream_url
    largest = Topics().max_message_bytes(settings.max_trace_bytes)
    if settings.embedded_stream:
        from services.stream.sqlite import SqliteStream  # noqa: PLC0415 - only what is used

        path = Path(url.removeprefix("sqlite:"))
        return SqliteStream(path, retention_ms=settings.retention_ms, max_message_bytes=largest)
    from services.stream.kafka import KafkaStream  # noqa: PLC0415 - aiokafka costs 0.2 s
    from services.stream.kafka_client import parse_address  # noqa: PLC0415 - the same

    address = parse_address(url)
    return KafkaStream(address, max_message_bytes=largest, instance_id=settings.instance_id)
