"""The store as the processes open it."""

from services.settings import Settings
from services.store import schema
from services.store.archive import TraceArchive
from services.store.archive_reader import ArchiveReader
from services.store.attempts import StageAttempts
from services.store.cases import Cases
from services.store.embeddings import Embeddings
from services.store.engines import open_database
from services.store.grades import Grades
from services.store.grey_decisions import GreyDecisions
from services.store.held import HeldRecords
from services.store.idempotency import IdempotencyKeys
from services.store.judgements import Judgements
from services.store.keys import ApiKeys
from services.store.knob import Knob
from services.store.labels import Calibrations, Labels
from services.store.medoids import Medoids
from services.store.modes import Modes
from services.store.pattern_changes import PatternChanges
from services.store.patterns import Patterns
from services.store.policies import PolicyVersions
from services.store.reader import StoreReader
from services.store.replays import Replays
from services.store.rescoring import Rescoring
from services.store.secrets import Secrets
from services.store.spaces import SpaceRecords


class Store:
    """Everything that is remembered, by who asks for it."""

    def __init__(self, url: str) -> None:
        """Nothing is opened before it is used. `url` as SQLAlchemy reads it."""
        self._url = url
        self._database, claims = open_database(url)
        self.archive = TraceArchive(self._database, claims)
        self.traces = ArchiveReader(self._database)
        self.patterns = Patterns(self._database)
        self.embeddings = Embeddings(self._database)
        self.spaces = SpaceRecords(self._database)
        self.changes = PatternChanges(self._database)
        self.knob = Knob(self._database)
        self.labels = Labels(self._database)
        self.grey = GreyDecisions(self._database)
        self.calibrations = Calibrations(self._database)
        self.modes = Modes(self._database)
        self.medoids = Medoids(self._database)
        self.grades = Grades(self._database)
        self.cases = Cases(self._database)
        self.policies = PolicyVersions(self._database)
        self.attempts = StageAttempts(self._database)
        self.held = HeldRecords(self._database)
        self.replays = Replays(self._database)
        self.reader = StoreReader(self._database)
        self.judgements = Judgements(self._database)
        self.rescoring = Rescoring(self._database)
        self.secrets = Secrets(self._database)
        self.keys = ApiKeys(self._database)
        self.idempotency = IdempotencyKeys(self._database)

    @property
    def name(self) -> str:
        """Where the store is, as it may be shown."""
        return self._database.name

    async def start(self) -> None:
        """Return when the store can be used.

        Raises:
            Unavailable: the database is not there.
            services.store.schema.StoreNotReady: it is not migrated, or it refuses us.
        """
        await schema.check(self._database)

    async def upgrade(self) -> None:
        """Bring the tables to this version's revision; make them when there are none.

        Raises `Unavailable`.
        """
        await schema.upgrade(self._url)

    async def close(self) -> None:
        """Let go of everything."""
        await self.archive.close()
        await self._database.close()


def open_store(settings: Settings) -> Store:
    """The store of these settings. Nothing is opened yet."""
    return Store(settings.store_url)
