"""A share of the traces, the same on every machine and after every restart."""

import hashlib

_HASH_BYTES = 8
_ALL = 1 << (8 * _HASH_BYTES)


def drawn(share: float, *parts: str) -> bool:
    """Whether these parts, hashed, fall into the share (0 to 1)."""
    if share >= 1:
        return True
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big") < share * _ALL
