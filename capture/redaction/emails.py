r"""E-mail addresses, also as they are written in URLs (`%40`), HTML and JSON in JSON (`\u0040`)."""

import re
from collections.abc import Callable, Iterator

import re2

from capture.redaction.finding import Found

_ADDRESS = re2.compile(
    r"([\pL\pM\pN_.!#$%&'*+/=?^`{|}~-]+)(@|%40|\\u0040|&#64;|&#x40;|&commat;|＠)"
    r"((?:[\pL\pN_](?:[\pL\pM\pN_-]|%2[dD])*\.)+[\pL\pM\pN_-]+)"
)
_UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")  # no space before an address
_ASCII_LABEL = re.compile(r"[A-Za-z]{2,}")
_ENCODED_LINK = re.compile(
    r"%(?:3D|26|3F|2F|22|20|3A|3C|2C|3B)", re.IGNORECASE
)  # = & ? / " and so on
_ESCAPES = re.compile(r"%([0-9A-Fa-f]{2})")
_MOST_LABELS = 127  # of a domain (RFC 1035: 255 characters)
_LONGEST_LOCAL = 64  # characters before the at sign (RFC 5321): no more are asked about
_PRIVATE = frozenset(
    {"internal", "local", "localhost", "localdomain", "lan", "corp", "home", "intranet", "private"}
    | {"test", "example", "invalid", "onion"}
)
"""Names under no public suffix that people do have addresses under (RFC 6761, 6762, 9476)."""


def find(text: str, holds: Callable[[str], bool]) -> Iterator[Found]:
    """Every address in the text; `holds` says whether an address is one."""
    for match in _ADDRESS.finditer(text):
        start, middle = match.span(1)
        local = text[start:middle]
        begin = start + _begin(local)
        if begin == start and text[max(0, start - 1) : start] == "\\" and local[0] in "nrtbf":
            begin += 1  # `\n` in JSON that is cut short
        local = text[begin:middle]
        if not local:
            continue
        if match[2] == "%40":
            local = _plain(local)
        domain = _domain(match[3], local, holds)
        if domain is not None:
            end = match.start(3) + len(domain)
            value = f"{local}@{_plain(domain)}".casefold()
            yield Found(begin, end, "email", value)


def _begin(local: str) -> int:
    r"""Where the address begins: after what links it to the text before, as in `?mail=` and `\\n`."""
    cut = max(local.rfind(mark) for mark in "/=?&|{}`") + 1
    if "%" in local:
        cut = max([cut, *(m.end() for m in _ENCODED_LINK.finditer(local))])
    if not local.isascii():
        cut = max([cut, *(m.end() for m in _UNSPACED.finditer(local[:-1]))])
    while cut < len(local) and not (local[cut].isalnum() or local[cut] in "_+!#$%*^~-"):
        cut += 1
    return cut


def _domain(said: str, local: str, holds: Callable[[str], bool]) -> str | None:
    """The longest beginning of the domain that is one: a sentence may go on right after it."""
    labels = said.rstrip("-_").split(".", _MOST_LABELS)[:_MOST_LABELS]
    local = local[-_LONGEST_LOCAL:]
    while len(labels) > 1:
        domain = ".".join(labels)
        last = labels[-1].casefold()
        if last in _PRIVATE or holds(f"{local}@{_plain(domain)}"):
            return domain
        ascii_part = _ASCII_LABEL.match(labels[-1])
        if ascii_part is not None and ascii_part[0] != labels[-1]:
            labels[-1] = ascii_part[0]  # `example.jpです`, `example.com-7`: something else goes on
        else:
            labels.pop()
    return None


def _plain(text: str) -> str:
    """Without percent-encoding of ASCII."""
    return _ESCAPES.sub(lambda m: chr(int(m[1], 16)) if int(m[1], 16) < 128 else m[0], text)  # noqa: PLR2004 - ASCII
