"""`send`: traces from files to capture, with what became of each."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec

from services.cli.address import local_url
from services.cli.opened import effective_settings, opened_store, opened_stream, run
from services.cli.output import one_line, print_json
from services.cli.posting import Capture
from services.cli.problem import note, refuse
from services.cli.progress import Shown, shown_progress
from services.cli.status import still_waiting
from services.cli.trace_files import Found, TraceFile, Unreadable, check_files
from services.cli.typed import own_name
from services.cli.waiting import wait_until_quiet
from services.settings import Settings
from services.stream.topics import Topics

_BATCH_TRACES = 100  # where the cost of a request stops mattering beside the cost of its traces
_PRINTED = 20  # rejections of a file: who has more has one problem, not many
_BATCH_BYTES = 4 << 20  # a fifth of the largest request that capture takes by default


class Rejected(msgspec.Struct, frozen=True):
    """What was not taken, where it stood, and why."""

    file: str
    line: int
    reason: str


class Tally(msgspec.Struct):
    """What became of one file. `problem` is what is wrong with the file as a whole."""

    file: str
    traces_accepted: int = 0
    otlp_requests_accepted: int = 0
    rejected: list[Rejected] = []
    problem: str | None = None

    @property
    def accepted(self) -> int:
        """How much was taken, of either kind."""
        return self.traces_accepted + self.otlp_requests_accepted

    @property
    def in_words(self) -> str:
        """The counts as a sentence without its end."""
        counts = {"trace": self.traces_accepted, "OTLP request": self.otlp_requests_accepted}
        taken = [f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items() if count]
        return f"{' and '.join(taken) or 'nothing'} accepted, {len(self.rejected)} rejected"


def send_files(
    files: Sequence[str],
    *,
    url: str | None,
    project: str | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Send files in order, print what became of them, and wait when asked to.

    Raises:
        Problem: a file or the server cannot be reached, something was rejected, or the time for
            waiting is over.
    """
    check_files(files)
    settings = effective_settings()
    address = url or local_url(settings.listen)
    with (
        Capture(address, project=project, key=settings.sending_key) as capture,
        shown_progress(files, quiet=as_json) as shown,
    ):
        try:
            tallies = [_send(name, capture, shown) for name in files]
        except KeyboardInterrupt:
            note("Interrupted. Send the same files again to go on: repeating is harmless.")
            raise
    waiting = run(_wait(settings, timeout)) if wait and capture.answered else []
    _conclude(tallies, capture.url, wait=wait and not waiting, as_json=as_json)
    if waiting:
        raise still_waiting(waiting, timeout, embedded=settings.embedded_stream)
    _refuse_what_failed(tallies)


def _refuse_what_failed(tallies: Sequence[Tally]) -> None:
    problems = [f"{tally.file}: {tally.problem}" for tally in tallies if tally.problem]
    rejected = sum(len(tally.rejected) for tally in tallies)
    if rejected:
        counted = f"{rejected:,} of what was sent {'was' if rejected == 1 else 'were'} rejected"
        problems.append(f"{counted}; the reasons are above.")
    if problems:
        refuse(problems[0], "\n".join(problems[1:]))


def _send(name: str, capture: Capture, shown: Shown) -> Tally:
    with closing(TraceFile(name)) as file:
        tally = Tally(file.name)
        strange = True  # until something in it is, or may be, what belongs there
        for batch in _batches(file):
            rejected = _post(capture, batch, tally)
            _say_rejected(shown, rejected, room=_PRINTED - len(tally.rejected))
            tally.rejected += rejected
            shown.advance(file.name, tally.in_words, file.position)
            strange = strange and len(rejected) == len(batch) and not any(map(_is_otlp, batch))
            if strange and len(tally.rejected) >= _PRINTED:
                what = "lines" if len({one.line for one in tally.rejected}) > 1 else "items"
                count = len(tally.rejected)
                tally.problem = f"the first {count} {what} are not traces: is this the right file?"
                break
        if not tally.accepted and not tally.rejected:
            tally.problem = "there is nothing in it to send."
        unsaid = len(tally.rejected) - _PRINTED
        if unsaid > 0:
            shown.say(f"{file.name}: ... and {unsaid:,} more")
        shown.finish(file.name, tally.in_words)
    return tally


def _say_rejected(shown: Shown, rejected: Sequence[Rejected], *, room: int) -> None:
    for one in rejected[: max(0, room)]:
        shown.say(f"{one.file}:{one.line}: rejected: {one_line(one.reason, 500)}")


def _is_otlp(item: Found | Unreadable) -> bool:
    """One OTLP request may be refused for a part of it: that says little about the others."""
    return isinstance(item, Found) and item.kind == "otlp"


def _post(capture: Capture, batch: Sequence[Found | Unreadable], tally: Tally) -> list[Rejected]:
    """Send one batch, count what was taken, return what was not."""
    rejected = []
    traces = [item for item in batch if isinstance(item, Found) and item.kind == "native"]
    verdicts = capture.send_traces([item.body for item in traces]) if traces else []
    tally.traces_accepted += sum(verdict is None for verdict in verdicts)
    for trace, verdict in zip(traces, verdicts, strict=True):
        if verdict is not None:
            rejected.append(Rejected(trace.file, trace.line, verdict))
    for item in batch:
        if isinstance(item, Unreadable):
            rejected.append(Rejected(item.file, item.line, item.reason))
        elif item.kind == "otlp":
            refusal = capture.send_otlp(item.body)
            tally.otlp_requests_accepted += refusal is None
            if refusal is not None:
                rejected.append(Rejected(item.file, item.line, refusal))
    return sorted(rejected, key=lambda one: one.line)


def _batches(file: TraceFile) -> Iterator[list[Found | Unreadable]]:
    """The file's items, in pieces of at most so many traces and so many bytes.

    The first piece is small: it shows whether this is the right file.
    """
    batch: list[Found | Unreadable] = []
    size = 0
    most = _PRINTED
    for item in file:
        length = len(item.body) if isinstance(item, Found) else 0
        if batch and (len(batch) >= most or size + length > _BATCH_BYTES):
            yield batch
            batch, size, most = [], 0, _BATCH_TRACES
        batch.append(item)
        size += length
    if batch:
        yield batch


async def _wait(settings: Settings, seconds: float) -> list[str]:
    topics = Topics(settings.topic_prefix)
    async with opened_store(settings) as store, opened_stream(settings) as stream:
        return await wait_until_quiet(
            store, stream, topics, timeout_seconds=seconds, embedded=settings.embedded_stream
        )


def _conclude(tallies: Sequence[Tally], url: str, *, wait: bool, as_json: bool) -> None:
    whole = Tally("all files", rejected=[one for tally in tallies for one in tally.rejected])
    whole.traces_accepted = sum(tally.traces_accepted for tally in tallies)
    whole.otlp_requests_accepted = sum(tally.otlp_requests_accepted for tally in tallies)
    if as_json:
        print_json(
            {
                "url": url,
                "traces_accepted": whole.traces_accepted,
                "otlp_requests_accepted": whole.otlp_requests_accepted,
                "rejected": whole.rejected,
                "files": tallies,
                "reached_store": wait and bool(whole.accepted),
            }
        )
        return
    harmless = " Sending the same again is harmless: ids are derived." if whole.accepted else ""
    print(f"{url}: {whole.in_words}.{harmless}")
    if wait and whole.accepted:
        print(f"Everything has reached the store: see `{own_name()} cases list`.")
