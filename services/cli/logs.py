"""What the services' parts log while a command uses them: warnings alone, and beside its output."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Log warnings to standard error, and nothing less; as it was before when this is left."""
    before = structlog.get_config()
    structlog.configure(
        **before
        | {
            "logger_factory": structlog.PrintLoggerFactory(sys.stderr),
            "wrapper_class": structlog.make_filtering_bound_logger(logging.WARNING),
        }
    )
    try:
        yield
    finally:
        structlog.configure(**before)
