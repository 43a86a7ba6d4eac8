"""Whether the process is alive and ready, told from what its loops really did."""

import time
from collections.abc import Callable
from typing import Literal

import msgspec

State = Literal[
    "running",  # its loop turned lately
    "stuck",  # its loop has not turned for too long
    "halted",  # it stopped itself; the detail says why
]

STUCK_SECONDS = 600.0  # twice the longest wait of any batch: a model that loads from a cold disk


class StageHealth(msgspec.Struct, frozen=True):
    """One loop's state, and a sentence where there is more to say."""

    state: State
    detail: str = ""


class Health:
    """Collects what every loop last did. Liveness is progress, not the absence of a crash."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._turned: dict[str, float] = {}
        self._halted: dict[str, str] = {}
        self._stopping = False
        self._notes: dict[str, str] = {}

    def expect(self, stage: str) -> None:
        """A loop of this name is being started."""
        self._turned[stage] = self._clock()

    def touch(self, stage: str) -> None:
        """The loop turned."""
        self._turned[stage] = self._clock()

    def halt(self, stage: str, detail: str) -> None:
        """The loop stopped itself."""
        self._halted[stage] = detail

    def stop(self) -> None:
        """The process is being stopped: it answers what it has and takes nothing new."""
        self._stopping = True

    def ready(self) -> bool:
        """Whether the process takes requests."""
        return not self._stopping

    def note(self, what: str, text: str | None) -> None:
        """Say something about a part that is no loop; None when there is nothing to say any more."""
        if text is None:
            self._notes.pop(what, None)
        else:
            self._notes[what] = text

    def notes(self) -> dict[str, str]:
        """What there is to say, by part."""
        return dict(self._notes)

    def stages(self) -> dict[str, StageHealth]:
        """The state of every loop."""
        now = self._clock()
        return {stage: self._stage(stage, now - turned) for stage, turned in self._turned.items()}

    def live(self) -> bool:
        """Whether the process should be left alone: no loop is stuck. Halted is for people."""
        return all(stage.state != "stuck" for stage in self.stages().values())

    def _stage(self, stage: str, idle_seconds: float) -> StageHealth:
        if stage in self._halted:
            return StageHealth("halted", self._halted[stage])
        if idle_seconds > STUCK_SECONDS:
            return StageHealth("stuck", f"its loop last turned {idle_seconds:.0f} s ago")
        return StageHealth("running")
