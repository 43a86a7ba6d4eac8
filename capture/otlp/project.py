"""Whose spans these are."""

import re
from typing import Any

PROJECT_ATTRIBUTE = "evalratchet.project"
DEFAULT_PROJECT = "default"

_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RULE = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or a digit"
_UNSET_SERVICE = "unknown_service"  # what OpenTelemetry's SDKs send when nobody named the service


def project_name_problem(name: str) -> str | None:
    """What is wrong with a project's name, or None."""
    if _VALID.fullmatch(name):
        return None
    return f"{name[:80]!r} is not a project name: it must be {_RULE}"


def project_of(resource: dict[str, Any], header: str | None) -> str:
    """The project of a resource's spans: what it says itself, else the header, else its service.

    Raises:
        ValueError: the resource names a project that cannot be one. Its spans belong nowhere else.
    """
    said = resource.get(PROJECT_ATTRIBUTE)
    if said is not None:
        problem = project_name_problem(str(said))
        if problem is not None:
            message = f"resource attribute {PROJECT_ATTRIBUTE}: {problem}"
            raise ValueError(message)
        return str(said)
    return header if header is not None else _from_service(resource.get("service.name"))


def _from_service(service: object) -> str:
    if not isinstance(service, str) or service.startswith(_UNSET_SERVICE):
        return DEFAULT_PROJECT
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", service).strip("-._")[:64]
    return name or DEFAULT_PROJECT
