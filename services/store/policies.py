"""Policies: every version, who made it and why."""

from datetime import datetime

from sqlalchemy import select

from services.policy import Policy, PolicyChange
from services.store.database import Database
from services.store.tables import policy_change
from services.store.upsert import absorbing

_add = absorbing(policy_change).returning(policy_change.c.version)


class PolicyVersions:
    """`services.policy.PolicyStore`."""

    def __init__(self, database: Database) -> None:
        """Keep policies in `database`."""
        self._database = database

    async def current(self, project: str) -> tuple[int, Policy]:
        """The version in force and the policy; (0, defaults) when none was set."""
        newest = (
            select(policy_change.c.version, policy_change.c.after)
            .where(policy_change.c.project == project)
            .order_by(policy_change.c.version.desc())
            .limit(1)
        )
        row = await self._database.read(lambda connection: connection.execute(newest).first())
        return (0, Policy()) if row is None else (row.version, row.after)

    async def change(
        self, project: str, policy: Policy, *, by: str, reason: str, at: datetime, expected: int
    ) -> PolicyChange | None:
        """Put a new version in force after version `expected`; None when another came between."""
        version, before = await self.current(project)
        if version != expected:
            return None
        row = {
            "project": project,
            "version": expected + 1,
            "changed_by": by,
            "changed_at": at,
            "reason": reason,
            "before": before,
            "after": policy,
        }
        # the version is unique, so of two changes that looked at the same moment one is kept
        kept = await self._database.write(lambda connection: connection.execute(_add, row).first())
        if kept is None:
            return None
        return PolicyChange(
            project=project,
            version=expected + 1,
            changed_by=by,
            changed_at=at,
            reason=reason,
            before=before,
            after=policy,
        )

    async def history(self, project: str) -> list[PolicyChange]:
        """Every change, oldest first."""
        every = (
            select(policy_change)
            .where(policy_change.c.project == project)
            .order_by(policy_change.c.version)
        )
        rows = await self._database.read(lambda connection: connection.execute(every).all())
        return [PolicyChange(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name
