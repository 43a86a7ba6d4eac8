"""Stack traces of Python, JavaScript, Java and Go: what was raised, and where in the caller's code.

Frames of libraries say little about a failure and change with every upgrade; of the caller's own
code, file and function do, line numbers do not.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from dedup.masks import masked_name

_PYTHON = re.compile(r'^\s*File "([^"\n]{1,1000})", line [0-9]{1,9}(?:, in ([^\n]{1,300}))?')
_PYTHON_HEAD = "Traceback (most recent call last)"
_PYTHON_CHAIN = (
    "During handling of the above exception",
    "The above exception was the direct cause",
)
_JAVASCRIPT = re.compile(
    r"^\s*at (?:async )?(?:new )?(?:([^\s(][^(\n]{0,299}?) (?:\[as [^\]\n]{1,100}\] )?)?"
    r"\(?((?:[a-z]+:)?[^()\n]{1,1000}?):[0-9]{1,9}:[0-9]{1,9}\)?$"
)
_JAVA = re.compile(
    r"^\s*at (?:[\w.@-]{1,200}/{1,2})?([\w.$<>]{1,400})\(([^()\n:]{1,200})(?::[0-9]{1,9})?\)"
)
_GO_CALL = re.compile(r"^([\w./*()-]{1,400}\.[\w.*()-]{1,200})\([^\n]{0,400}\)$")
_GO_FILE = re.compile(r"^\s+(/[^\s:]{1,1000}\.go):[0-9]{1,9}")
_CAUSED = "Caused by: "
_DROPPED = re.compile(
    r"^\s*(?:\.\.\. [0-9]{1,9} (?:more|common frames omitted)|goroutine [0-9]{1,9} \[)"
)

_LIBRARY_FILES = re.compile(
    r"site-packages|dist-packages|/lib/python[0-9.]*/|\\lib\\|<frozen |<string>|<stdin>|node_modules"
    r"|node:|^internal/|<anonymous>|\(native|/pkg/mod/|/go/src/|/libexec/src/|/vendor/|webpack/runtime",
    re.IGNORECASE,
)
_LIBRARY_PACKAGES = (
    "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.",
    "groovy.", "clojure.", "org.springframework.", "org.apache.", "org.hibernate.", "org.eclipse.",
    "org.postgresql.", "org.junit.", "org.slf4j.", "ch.qos.", "io.netty.", "io.grpc.", "io.vertx.",
    "io.micrometer.", "io.opentelemetry.", "io.quarkus.", "reactor.", "rx.", "akka.", "okhttp3.",
    "retrofit2.", "feign.", "com.fasterxml.", "com.google.", "com.zaxxer.", "com.mysql.",
    "com.openai.", "com.anthropic.", "dev.langchain4j.", "software.amazon.", "com.amazonaws.",
)  # fmt: skip
_GO_LIBRARY = re.compile(r"^(?:runtime|net|reflect|testing|created by|panic)\b[./( ]")
_GENERATED = re.compile(r"\$\$.*|\$?lambda\$|\$[0-9]+")
_LINES = 400  # of a stack trace; deeper ones are recursion

FRAMES = 3
"""How many frames of the caller's code are told: the nearest to what was raised."""


class Frame(msgspec.Struct, frozen=True):
    """A call in the caller's own code: file and function, masked."""

    file: str
    function: str

    def __str__(self) -> str:
        """In words, `refund in refund.py`."""
        return f"{self.function} in {self.file}" if self.function else self.file


class Stack(msgspec.Struct, frozen=True):
    """`said`: the text without its frames. `frames`: the caller's, nearest to the error first."""

    said: str
    frames: tuple[Frame, ...] = ()


def parsed(text: str) -> Stack:
    """An error's text, told apart from the stack trace in it, where there is one.

    Of chained exceptions in Python the frames are those of the last, which is the one that was not
    handled; in the other languages those of the first, for the same reason. `said` keeps the line of
    every one.
    """
    if "\n" not in text or not any(mark in text for mark in (' File "', "at ", ".go:")):
        return Stack(text)
    lines = text.splitlines()[:_LINES]
    if any(_PYTHON.match(line) for line in lines):
        return _python(lines)
    if any(_GO_FILE.match(line) for line in lines):
        return _go(lines)
    return _at(lines)


def _python(lines: Sequence[str]) -> Stack:
    said: list[str] = []
    frames: list[Frame] = []
    within = False  # a frame: its line of code follows, indented, and maybe carets
    for line in lines:
        found = _PYTHON.match(line)
        if found:
            within = True
            file, function = found[1], (found[2] or "").strip()
            if not _LIBRARY_FILES.search(file):
                frames.append(_frame(file, function))
        elif line.lstrip().startswith(_PYTHON_HEAD):
            within, frames = True, []
            said.append(line.lstrip().partition(_PYTHON_HEAD)[2].removeprefix(":"))
        elif line.startswith(_PYTHON_CHAIN) or not line.strip():
            within = False
        elif not (within and line[:1].isspace()):
            within = False
            said.append(line)
    return _stack(said, reversed(frames))


def _go(lines: Sequence[str]) -> Stack:
    said: list[str] = []
    frames: list[Frame] = []
    call = ""
    for line in lines:
        if file := _GO_FILE.match(line):
            if call and not _LIBRARY_FILES.search(file[1]) and not _GO_LIBRARY.match(call):
                frames.append(_frame(file[1], call.rpartition("/")[2]))
            call = ""
        elif (found := _GO_CALL.match(line)) and line[:1].isalpha():
            call = found[1]
        elif line.startswith("created by "):
            call = ""
        elif not _DROPPED.match(line):
            said.append(line)
    return _stack(said, frames)


def _at(lines: Sequence[str]) -> Stack:
    """Java's and JavaScript's, whose frames both begin with `at`; the order is the nearest first."""
    said: list[str] = []
    frames: list[Frame] = []
    caused = False
    for line in lines:
        if java := _JAVA.match(line):
            if not caused and not java[1].startswith(_LIBRARY_PACKAGES):
                frames.append(_frame(java[2], _java_name(java[1])))
        elif script := _JAVASCRIPT.match(line):
            if not caused and not _LIBRARY_FILES.search(script[2]):
                frames.append(_frame(script[2], (script[1] or "").removeprefix("Object.")))
        elif not _DROPPED.match(line):
            caused = caused or line.startswith(_CAUSED)
            said.append(line)
    return _stack(said, frames)


def _java_name(dotted: str) -> str:
    """Class and method, without what the compiler and proxies add."""
    return ".".join(_GENERATED.sub("", part) for part in dotted.split(".")[-2:])


def _frame(file: str, function: str) -> Frame:
    name = file.replace("\\", "/").rstrip("/").rpartition("/")[2].partition("?")[0]
    return Frame(masked_name(name), masked_name(function))


def _stack(said: Iterable[str], frames: Iterable[Frame]) -> Stack:
    """Each frame once: a recursion is as deep as it happens to be."""
    told = "\n".join(line for line in said if line.strip())
    return Stack(told, tuple(dict.fromkeys(frames))[:FRAMES])
