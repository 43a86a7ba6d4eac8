"""Modes, what belongs to them, and which merges were proposed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from services.mode_store import (
    Grown,
    MergeProposal,
    Mode,
    ModeMember,
    ModeRefit,
    ProposalState,
    Refitted,
    Told,
)
from services.store.database import Database
from services.store.medoids import shown_text
from services.store.mode_tables import merge_proposal, mode, mode_refit, pattern_mode
from services.store.pattern_tables import pattern
from services.store.upsert import absorbing, merging

_MANY = 500  # values of one IN: SQLite takes 32,766 variables, PostgreSQL plans best with fewer

_add_refit = absorbing(mode_refit)
_put_mode = merging(
    mode, name="excluded.name", size="excluded.size", gone_refit="NULL", terms="excluded.terms"
)
_put_proposal = merging(
    merge_proposal,
    evidence="CASE WHEN merge_proposal.state = 'open' THEN excluded.evidence "
    "ELSE merge_proposal.evidence END",
    refit="CASE WHEN merge_proposal.state = 'open' THEN excluded.refit ELSE merge_proposal.refit END",
)


class Modes:
    """`services.mode_store.ModeStore`."""

    def __init__(self, database: Database) -> None:
        """Keep modes in `database`."""
        self._database = database

    async def grown(self) -> Sequence[Grown]:
        """Every project with patterns. Raises `Unavailable`."""
        counted = (
            select(pattern.c.project, func.count().label("patterns"))
            .where(pattern.c.root == pattern.c.pattern_id)
            .group_by(pattern.c.project)
            .order_by(pattern.c.project)
        )
        last = (
            select(mode_refit.c.project, func.max(mode_refit.c.number).label("number"))
            .group_by(mode_refit.c.project)
            .subquery()
        )
        latest = select(mode_refit).join(
            last,
            (mode_refit.c.project == last.c.project) & (mode_refit.c.number == last.c.number),
        )

        def work(connection: Connection) -> list[Grown]:
            refits = {row.project: _refit(row) for row in connection.execute(latest)}
            return [
                Grown(row.project, row.patterns, refits.get(row.project))
                for row in connection.execute(counted)
            ]

        return await self._database.read(work)

    async def occurrences(self, project: str) -> Mapping[str, int]:
        """How often each pattern was seen. Raises `Unavailable`."""
        asked = select(pattern.c.pattern_id, pattern.c.occurrences).where(
            pattern.c.project == project, pattern.c.root == pattern.c.pattern_id
        )
        return await self._database.read(
            lambda connection: {
                row.pattern_id: row.occurrences for row in connection.execute(asked)
            }
        )

    async def memberships(self, project: str) -> Mapping[str, str]:
        """The mode of each pattern that has one now. Raises `Unavailable`."""
        asked = select(pattern_mode.c.pattern_id, pattern_mode.c.mode_id).where(
            pattern_mode.c.project == project, pattern_mode.c.mode_id.is_not(None)
        )
        return await self._database.read(
            lambda connection: {row.pattern_id: row.mode_id for row in connection.execute(asked)}
        )

    async def told(self, project: str, pattern_ids: Sequence[str]) -> Mapping[str, Told]:
        """Texts and counts of these patterns. Raises `Unavailable`."""
        found: dict[str, Told] = {}
        for start in range(0, len(pattern_ids), _MANY):
            text = shown_text(pattern).label("text")
            asked = select(pattern.c.pattern_id, text, pattern.c.occurrences).where(
                pattern.c.project == project,
                pattern.c.pattern_id.in_(pattern_ids[start : start + _MANY]),
            )
            rows = await self._database.read(_all(asked))
            found |= {row.pattern_id: Told(row.text, row.occurrences) for row in rows}
        return found

    async def refused(self, project: str) -> Sequence[tuple[str, ...]]:
        """The patterns of every proposal that was rejected. Raises `Unavailable`."""
        asked = select(merge_proposal.c.patterns).where(
            merge_proposal.c.project == project, merge_proposal.c.state == "rejected"
        )
        return [tuple(row.patterns) for row in await self._database.read(_all(asked))]

    async def keep(self, refitted: Refitted) -> bool:
        """Keep a refit, whole. Raises `Unavailable`."""
        # not under dedup's lock: a hundred thousand rows would keep failures waiting for seconds
        return await self._database.write(lambda connection: _keep(connection, refitted))

    async def modes(self, project: str | None, *, gone: bool = False) -> Sequence[Mode]:
        """Modes, the largest first. Raises `Unavailable`."""
        asked = select(mode).order_by(
            mode.c.gone_refit.is_not(None), mode.c.size.desc(), mode.c.project, mode.c.mode_id
        )
        if project is not None:
            asked = asked.where(mode.c.project == project)
        if not gone:
            asked = asked.where(mode.c.gone_refit.is_(None))
        return [
            Mode(
                project=row.project,
                mode_id=row.mode_id,
                name=row.name,
                size=row.size,
                born_refit=row.born_refit,
                gone_refit=row.gone_refit,
                parents=tuple(row.parents),
                terms=tuple(row.terms),
            )
            for row in await self._database.read(_all(asked))
        ]

    async def members(self, project: str, mode_id: str, *, limit: int) -> Sequence[ModeMember]:
        """A mode's patterns, the ones farthest inside first. Raises `Unavailable`."""
        asked = (
            select(
                pattern_mode,
                shown_text(pattern).label("text"),
                pattern.c.name,
                pattern.c.occurrences,
            )
            .join(
                pattern,
                (pattern.c.project == pattern_mode.c.project)
                & (pattern.c.pattern_id == pattern_mode.c.pattern_id),
            )
            .where(
                pattern_mode.c.project == project,
                pattern_mode.c.mode_id == mode_id,
                pattern.c.root == pattern.c.pattern_id,
            )
            .order_by(
                pattern_mode.c.membership.desc(),
                pattern.c.occurrences.desc(),
                pattern.c.pattern_id,
            )
            .limit(limit)
        )
        return [
            ModeMember(
                pattern_id=row.pattern_id,
                occurrences=row.occurrences,
                membership=row.membership,
                outlier=row.outlier,
                text=row.text,
                name=row.name,
            )
            for row in await self._database.read(_all(asked))
        ]

    async def refits(self, project: str, *, limit: int) -> Sequence[ModeRefit]:
        """Refits, the latest first. Raises `Unavailable`."""
        asked = (
            select(mode_refit)
            .where(mode_refit.c.project == project)
            .order_by(mode_refit.c.number.desc())
            .limit(limit)
        )
        return [_refit(row) for row in await self._database.read(_all(asked))]

    async def proposals(
        self, project: str | None, *, state: ProposalState | None, limit: int
    ) -> Sequence[MergeProposal]:
        """Proposals, those of the latest refit first. Raises `Unavailable`."""
        asked = select(merge_proposal).order_by(
            merge_proposal.c.refit.desc(), merge_proposal.c.project, merge_proposal.c.proposal_id
        )
        if project is not None:
            asked = asked.where(merge_proposal.c.project == project)
        if state is not None:
            asked = asked.where(merge_proposal.c.state == state)
        rows = await self._database.read(_all(asked.limit(limit)))
        return [_proposal(row) for row in rows]

    async def proposal(self, proposal_id: str) -> Sequence[MergeProposal]:
        """The proposals whose ids start so. Raises `Unavailable`."""
        asked = select(merge_proposal).where(
            merge_proposal.c.proposal_id.startswith(proposal_id, autoescape=True)
        )
        return [_proposal(row) for row in await self._database.read(_all(asked))]

    async def decide(
        self, project: str, proposal_id: str, state: ProposalState, *, by: str, at: datetime
    ) -> bool:
        """Decide about a proposal. False where it is not open any more. Raises `Unavailable`."""
        change = (
            update(merge_proposal)
            .where(
                merge_proposal.c.project == project,
                merge_proposal.c.proposal_id == proposal_id,
                merge_proposal.c.state == "open",
            )
            .values(state=state, decided_by=by, decided_at=at)
        )
        changed: int = await self._database.write(
            lambda connection: connection.execute(change).rowcount
        )
        return changed > 0


def _all(asked: Select[Any]) -> Any:
    return lambda connection: connection.execute(asked).all()


def _keep(connection: Connection, refitted: Refitted) -> bool:
    refit = refitted.refit
    project = refit.project
    added = connection.execute(
        _add_refit,
        {
            "project": project,
            "number": refit.number,
            "refit_at": refit.at,
            "patterns": refit.patterns,
            "modes": refit.modes,
            "seconds": refit.seconds,
            "space": refit.space,
            "detail": refit.detail,
        },
    )
    if not added.rowcount:
        return False
    if refitted.gone:
        connection.execute(
            update(mode)
            .where(mode.c.project == project, mode.c.mode_id.in_(refitted.gone))
            .values(gone_refit=refit.number)
        )
    if refitted.modes:
        connection.execute(_put_mode, [_mode_row(one) for one in refitted.modes])
    connection.execute(delete(pattern_mode).where(pattern_mode.c.project == project))
    if refitted.patterns:
        connection.execute(
            insert(pattern_mode),
            [
                {
                    "project": project,
                    "pattern_id": one.pattern_id,
                    "mode_id": one.mode_id,
                    "membership": one.membership,
                    "outlier": one.outlier,
                }
                for one in refitted.patterns
            ],
        )
    _keep_proposals(connection, refitted)
    return True


def _keep_proposals(connection: Connection, refitted: Refitted) -> None:
    rows = [
        {
            "project": one.project,
            "proposal_id": one.proposal_id,
            "patterns": list(one.patterns),
            "evidence": one.evidence,
            "state": one.state,
            "refit": one.refit,
        }
        for one in refitted.proposals
    ]
    if rows:
        connection.execute(_put_proposal, rows)
    connection.execute(  # what nobody decided about and is no longer found
        delete(merge_proposal).where(
            merge_proposal.c.project == refitted.refit.project,
            merge_proposal.c.state == "open",
            merge_proposal.c.refit < refitted.refit.number,
        )
    )


def _mode_row(one: Mode) -> dict[str, Any]:
    return {
        "project": one.project,
        "mode_id": one.mode_id,
        "name": one.name,
        "size": one.size,
        "born_refit": one.born_refit,
        "gone_refit": None,
        "parents": list(one.parents),
        "terms": list(one.terms),
    }


def _refit(row: Row[Any]) -> ModeRefit:
    return ModeRefit(
        project=row.project,
        number=row.number,
        at=row.refit_at,
        patterns=row.patterns,
        modes=row.modes,
        seconds=row.seconds,
        space=row.space,
        detail=row.detail,
    )


def _proposal(row: Row[Any]) -> MergeProposal:
    return MergeProposal(
        project=row.project,
        proposal_id=row.proposal_id,
        patterns=tuple(row.patterns),
        evidence=row.evidence,
        state=row.state,
        refit=row.refit,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
