"""`topics apply`: the stream's topics with their settings."""

from collections.abc import Mapping

from services.cli.opened import effective_settings, run, started_stream
from services.cli.output import print_table
from services.settings import Settings, mask_url
from services.stream.topics import Topics


def apply() -> None:
    """Create what is missing and say for each topic what was done."""
    settings = effective_settings()
    if settings.embedded_stream:
        print(
            "Nothing is needed: the embedded stream makes its topics by itself. "
            "Set EVALRATCHET_STREAM=kafka://HOST:PORT for Kafka."
        )
        return
    done = run(_apply(settings))
    print_table(["topic", "what was done"], [list(row) for row in done.items()], flexible="topic")


async def _apply(settings: Settings) -> Mapping[str, str]:
    wanted = Topics(settings.topic_prefix).all(
        partitions=settings.topic_partitions,
        retention_ms=settings.retention_ms,
        max_trace_bytes=settings.max_trace_bytes,
    )
    async with started_stream(settings) as stream:
        print(f"Topics on {mask_url(settings.stream_url)}:")
        return await stream.apply_topics(wanted)
