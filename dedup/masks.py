"""What differs between occurrences of one failure, and what stands in its place.

For the text of errors and logs, and for names of tools. What a person wrote is masked only for its
fingerprint (`dedup/fingerprint.py`): a path or a host is no accident there.
"""

import re
import unicodedata
from http import HTTPStatus

_NAME_READ = 4096  # no tool's name is longer; what is beyond is no name
_NAME_ID = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"  # a uuid
    r"|\b(?:call|toolu|run|req|msg|fc)_[0-9a-z]{12,}+"  # ids that model providers give
    r"|[0-9]{4,}+|(?<![0-9a-f])[0-9a-f]{8,}+",
    re.IGNORECASE | re.ASCII,
)

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_CLOCK = (
    r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,12})?)?"
    r"(?: ?[ap]m)?(?: ?(?:z|utc|gmt|[+-][0-9]{2}:?[0-9]{2}))?"
)
_DAY = (
    r"(?:[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}"
    rf"|[0-9]{{1,2}}[ /-]{_MONTH}[ /-][0-9]{{2,4}}|{_MONTH} {{1,2}}[0-9]{{1,2}}(?:, ?[0-9]{{4}})?)"
)
_TLD = r"(?:com|net|org|io|dev|ai|app|cloud|local|internal|svc|cluster|lan|corp|home|test|example)"

_RULES: tuple[tuple[str, str], ...] = (
    ("url", r"[a-z][a-z0-9+-]{1,15}://[!-;=?-~]++"),
    ("email", r"[a-z0-9._%+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}"),
    ("uuid", r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
    ("date", rf"{_DAY}(?:[t :,]{{1,2}}{_CLOCK})?(?: [0-9]{{4}})?"),
    ("time", _CLOCK),
    ("host", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]{1,5})?"),
    ("host", r"\[?(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}\]?(?::[0-9]{1,5})?"),
    ("host", rf"(?:[a-z0-9-]{{1,63}}\.){{1,8}}{_TLD}(?![a-z0-9.-])(?::[0-9]{{1,5}})?"),
    ("host", r"(?:[a-z0-9-]{1,63}\.){0,8}[a-z0-9-]{1,63}:[0-9]{2,5}(?![0-9:])"),
    ("hex", r"0x[0-9a-f]++"),
    ("id", r"(?=[a-z_/+-]{0,63}[0-9])[a-z0-9_/+-]{32,512}={0,2}(?![a-z0-9])"),
    ("id", r"(?=[a-z]{0,31}[_-]?[0-9])[a-z0-9]{1,64}(?:[_-][a-z0-9]{1,64}){0,16}"),
)
"""In order of precedence where they begin at the same place. No repetition is unbounded unless it
keeps what it took, and every rule begins at the beginning of a word: time is linear."""

_ERROR = re.compile(
    r"(?<![a-z0-9_])(?:"
    + "|".join(f"(?P<{kind}_{number}>{rule})" for number, (kind, rule) in enumerate(_RULES))
    + ")",
    re.IGNORECASE | re.ASCII,
)
_PATH = re.compile(
    r"(?<![\w/\\.<:])(?:~|\.{1,2}|[a-z]:)?(?:[/\\]{1,2}[\w.@+~%-]{1,255}){1,64}[/\\]?",
    re.IGNORECASE | re.ASCII,
)
_STATUS = re.compile(
    r"\b((?:http(?:/[0-9.]{1,3})?|(?:http |response )?status(?:[ _]code)?|(?:error |response )?code)"
    r"[ \"':=(]{1,4})([1-5][0-9]{2})\b",
    re.IGNORECASE | re.ASCII,
)
_PHRASES = {str(status.value): status.phrase for status in HTTPStatus}
_PATH_PARTS = re.compile(r"[/\\]+")
_ROOTS = 2  # parts: what is shorter, "/refunds" or "and/or", is a route or a figure of speech
_WORTH = re.compile(r"[0-9@]|://|\.[a-z]", re.IGNORECASE)
"""What every rule but that of paths needs somewhere."""
_IDS = re.compile(r"<id>(?:[.,:/]<id>)+")


def masked_error(text: str) -> str:
    """The text of an error or a log with addresses, times, paths, ids and numbers masked.

    Of a path its file's name stays where it holds no number: which file was missing tells failures
    apart, where it lay does not. An HTTP status is told in words, so that no later mask takes it.
    """
    if "/" in text or "\\" in text:
        text = _PATH.sub(_path, text)
    if _WORTH.search(text):
        text = _STATUS.sub(_status, text)
        text = _ERROR.sub(_kind, text)
        text = _IDS.sub("<id>", text)
    return text


def masked_name(name: str) -> str:
    """A tool's name without what looks like an id in it, in signs that need no quoting.

    `search_v2` and `s3_upload` stay; a uuid, the ids that providers give calls, four digits and more,
    and eight hexadecimal digits and more with a number among them become `#`.
    """
    plain = name[:_NAME_READ]
    if not plain.isascii():
        plain = unicodedata.normalize("NFC", plain)
    plain = "".join(sign if sign.isprintable() and sign not in " ,|" else "_" for sign in plain)
    return _NAME_ID.sub(_numbered, plain)


def _kind(found: re.Match[str]) -> str:
    return f"<{str(found.lastgroup).partition('_')[0]}>"


def _status(found: re.Match[str]) -> str:
    return found[1] + _PHRASES.get(found[2], found[2])


def _path(found: re.Match[str]) -> str:
    parts = [part for part in _PATH_PARTS.split(found[0]) if part]
    if len(parts) < _ROOTS:
        return found[0]
    last = parts[-1]
    return "<path>" if any(sign.isdigit() for sign in last) else f"<path>/{last}"


def _numbered(found: re.Match[str]) -> str:
    run = found[0]
    return "#" if any(sign.isdigit() for sign in run) else run
