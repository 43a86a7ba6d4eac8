"""`patterns proposals`: merges that the modes' refit proposes."""

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime

from services.cli.known import check_project
from services.cli.opened import effective_settings, opened_store, run
from services.cli.output import full, one_line, print_json, print_table
from services.cli.patterns import called
from services.cli.problem import ExitCode, misused, note, refuse
from services.mode_store import MergeProposal, ProposalState
from services.pattern_store import NotPossible
from services.store.open import Store

_SHOWN = 20
_EVERYTHING = 1_000_000


def list_proposals(*, project: str | None, state: ProposalState | None, as_json: bool) -> None:
    """Print proposals with their evidence."""
    found, names = run(_list(project, state, _EVERYTHING if as_json else _SHOWN + 1))
    if as_json:
        print_json([full(one) for one in found])
        return
    if not found:
        note("Nothing is proposed. Proposals come from `evalratchet modes refit`.")
        return
    for one in found[:_SHOWN]:
        _print(one, names)
    if len(found) > _SHOWN:
        note(f"The first {_SHOWN} are shown; --json has all.")
    note("`--accept ID` merges the patterns into the first, `--reject ID` leaves them apart.")


def decide_proposal(
    proposal_id: str, state: ProposalState, *, by: str | None, reason: str, as_json: bool
) -> None:
    """Accept or reject one proposal."""
    if not proposal_id.strip():
        misused(
            "Say which proposal: its id, or enough of its beginning.",
            "See `evalratchet patterns proposals`.",
        )
    decided = run(_decide(proposal_id, state, by or getpass.getuser(), reason))
    if as_json:
        print_json(full(decided))
    elif state == "accepted":
        into, *merged = decided.patterns
        print(f"Merged {', '.join(merged)} into {into}. `evalratchet patterns undo` takes it back.")
    else:
        print(f"Rejected: {', '.join(decided.patterns)} stay apart and are not proposed again.")


def _print(one: MergeProposal, names: Mapping[tuple[str, str], str]) -> None:
    evidence = one.evidence
    print(
        f"{one.proposal_id}  {one.state}  {one.project}  mode {evidence['mode']} "
        f"({one_line(evidence['mode_name'], 60)}), nearer than {evidence['distance']:g}"
    )
    rows = [
        [
            pattern["pattern_id"],
            str(pattern["occurrences"]),
            f"{pattern['distance']:.4f}",
            one_line(called(names.get((one.project, pattern["pattern_id"])), pattern["text"])),
        ]
        for pattern in evidence["patterns"]
    ]
    print_table(["pattern", "seen", "distance", "text"], rows, flexible="text")
    print()


async def _list(
    project: str | None, state: ProposalState | None, limit: int
) -> tuple[list[MergeProposal], dict[tuple[str, str], str]]:
    """Proposals, and the names that their patterns have now, by project and pattern id."""
    async with opened_store(effective_settings()) as store:
        await check_project(store, project)
        found = list(await store.modes.proposals(project, state=state, limit=limit))
        names: dict[tuple[str, str], str] = {}
        for one in found[:_SHOWN]:
            named = await store.knob.called(one.project, one.patterns)
            names |= {(one.project, pattern_id): name for pattern_id, name in named.items()}
        return found, names


async def _decide(proposal_id: str, state: ProposalState, by: str, reason: str) -> MergeProposal:
    async with opened_store(effective_settings()) as store:
        one = await _found(store, proposal_id)
        if one.state != "open":
            refuse(f"Proposal {one.proposal_id} was {one.state} by {one.decided_by} already.")
        now = datetime.now(UTC)
        if state == "accepted":
            into, *merged = one.patterns
            why = reason or f"proposal {one.proposal_id}"
            try:
                await store.changes.merge(one.project, into, merged, by=by, reason=why, at=now)
            except NotPossible as error:
                refuse("These patterns cannot be merged.", str(error))
        if not await store.modes.decide(one.project, one.proposal_id, state, by=by, at=now):
            note("Somebody else decided about this proposal at the same moment.")
        return (await store.modes.proposal(one.proposal_id))[0]


async def _found(store: Store, proposal_id: str) -> MergeProposal:
    found = await store.modes.proposal(proposal_id)
    if not found:
        refuse(
            f"There is no proposal whose id starts with {proposal_id!r}.",
            "See `evalratchet patterns proposals`.",
        )
    if len(found) > 1:
        refuse(
            f"{len(found)} proposals have ids that start with {proposal_id!r}. Give more of it.",
            "\n".join(f"{one.proposal_id}  {one.project}" for one in found[:20]),
            code=ExitCode.USAGE,
        )
    return found[0]


def contradicting() -> None:
    """Say that accepting and rejecting contradict each other."""
    misused("--accept and --reject contradict each other.", "Decide about one proposal at a time.")
