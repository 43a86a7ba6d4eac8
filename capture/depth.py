"""How deep JSON may nest: whoever reads it later may stand deeper in calls than we do."""

from typing import Any

DEEPEST = 64  # levels in one value; real ones have fewer than ten


def too_deep(value: Any) -> bool:
    """Whether a value nests deeper than `DEEPEST` levels. Takes no recursion to find out."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEEPEST):
        if not level:
            return False
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
    return bool(level)
