"""`policy test`: which traces of a file the scorers would fail, and why."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from capture.assemble import assemble
from capture.events import Piece, TraceReceived
from capture.experiments import is_experiment
from capture.ids import sealed
from capture.malformed import Malformed
from capture.native import decode_captures
from capture.otlp import NotTraces, RejectedSpan, decode_json
from capture.policy import ScoringPolicy
from capture.redaction.placeholder import numbered
from capture.scoring.scorer import RemoteScorer
from capture.trace import Trace
from services.cli.opened import effective_settings, make_embedded_store, opened_store, run
from services.cli.policy import check_project_name
from services.cli.policy_edit import read_policy
from services.cli.problem import note
from services.cli.scorings import Scored, grades, print_as_json, print_by_scorer
from services.cli.trace_files import Found, TraceFile, Unreadable, check_files
from services.policy import Policy
from services.redaction import Redaction
from services.wiring import examiner_of, redaction_of


class Taken(msgspec.Struct):
    """What a file holds: pieces by trace, in order, with the line where each trace begins."""

    pieces: dict[str, list[Piece]] = {}
    where: dict[str, str] = {}
    refused: list[str] = []


class Tested(msgspec.Struct):
    """What the scorers of a policy said, and how many traces they were not asked about."""

    policy: ScoringPolicy
    scored: list[Scored] = []
    experiments: int = 0
    other_environments: int = 0


def test_policy(
    project: str, file: str, *, policy_file: Path | None, without_remote: bool, as_json: bool
) -> None:
    """Print what the scorers say of the traces in a file."""
    check_project_name(project)
    check_files([file])
    proposed = None if policy_file is None else read_policy(policy_file)
    taken = taken_from(file, project)
    started = time.monotonic()
    tested = run(_score(project, taken, proposed, without_remote=without_remote))
    seconds = time.monotonic() - started
    scored = tested.scored
    failing = [one for one in scored if one.signals]
    if as_json:
        print_as_json(
            scored,
            project=project,
            scorers=[scorer.versioned for scorer in tested.policy.scorers],
            tested=len(scored),
            failing=len(failing),
            experiments=tested.experiments,
            other_environments=tested.other_environments,
            refused=taken.refused,
        )
        return
    print_by_scorer(scored, would="fails")
    how = f" ({grades(scored)})" if failing else ""
    print(f"{len(failing)} of {len(scored)} traces would fail{how}, scored in {seconds:.1f} s.")
    if tested.experiments:
        note(f"{tested.experiments} are experiment traffic, which never fails.")
    if tested.other_environments:
        note(f"{tested.other_environments} are of environments that the policy leaves out.")
    for line in taken.refused[:10]:
        note(line)
    if len(taken.refused) > 10:  # noqa: PLR2004 - a screen's worth
        note(f"... and {len(taken.refused) - 10} more that could not be read.")


def taken_from(name: str, project: str) -> Taken:
    """The traces of a file: native lines and OTLP requests, whatever project they name."""
    taken = Taken()
    max_bytes = effective_settings().max_trace_bytes
    source = TraceFile(name)
    try:
        for found in source:
            if isinstance(found, Unreadable):
                taken.refused.append(f"{found.file}:{found.line}: {found.reason}")
            else:
                _take(found, project, max_bytes, taken)
    finally:
        source.close()
    return taken


def _take(found: Found, project: str, max_bytes: int, taken: Taken) -> None:
    place = f"{found.file}:{found.line}"
    try:
        if found.kind == "otlp":
            decoded = decode_json(found.body, header_project=project, max_bytes=max_bytes)
            items: Sequence[object] = (*decoded.pieces, *decoded.rejected)
        else:
            items = decode_captures(found.body, max_bytes=max_bytes)
    except (Malformed, NotTraces) as error:
        taken.refused.append(f"{place}: {error}")
        return
    for item in items:
        if isinstance(item, Piece):
            taken.pieces.setdefault(item.trace_id, []).append(item)
            taken.where.setdefault(item.trace_id, place)
        elif isinstance(item, RejectedSpan):
            taken.refused.append(f"{place}: {item.reason}")
        else:
            taken.refused.append(f"{place}: {getattr(item, 'message', item)}")


async def _score(
    project: str, taken: Taken, proposed: Policy | None, *, without_remote: bool
) -> Tested:
    settings = effective_settings()
    await make_embedded_store(settings)
    async with opened_store(settings) as store:
        policy = proposed
        if policy is None:
            _, policy = await store.policies.current(project)
        scoring = policy.scoring
        if without_remote:
            kept = tuple(one for one in scoring.scorers if not isinstance(one, RemoteScorer))
            scoring = msgspec.structs.replace(scoring, scorers=kept)
        tested = Tested(scoring)
        redaction, examiner = redaction_of(settings, store), examiner_of(settings, store)
        try:
            for trace_id, pieces in taken.pieces.items():
                trace = await _whole(pieces, project, redaction)
                if trace is None:
                    continue
                if is_experiment(trace):
                    tested.experiments += 1
                elif not policy.intake.environments.admits(trace.environment):
                    tested.other_environments += 1
                else:
                    examined = await examiner.examine(trace, scoring)
                    tested.scored.append(Scored.of(trace_id, taken.where[trace_id], examined))
        finally:
            await examiner.close()
            await redaction.close()
    return tested


async def _whole(pieces: Sequence[Piece], project: str, redaction: Redaction) -> Trace | None:
    """The trace as capture would score it in this project: redacted, since a judge may read it."""
    redacted = await redaction.redact([_of(piece, project) for piece in pieces])
    trace = assemble(
        [msgspec.structs.replace(piece, event_id=sealed(piece)[0]) for piece in redacted]
    )
    return None if trace is None else numbered(trace)


def _of(piece: Piece, project: str) -> Piece:
    """The piece, as one of this project."""
    if isinstance(piece, TraceReceived):
        return TraceReceived(
            event_id=piece.event_id, trace=msgspec.structs.replace(piece.trace, project=project)
        )
    return msgspec.structs.replace(piece, project=project)
