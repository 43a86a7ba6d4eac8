"""What happened in one conversation, step by step, on a clock that only this advances."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from supportdesk.chance import draw
from supportdesk.tools import ToolResult

CHARACTERS_A_TOKEN = 4
SYSTEM_PROMPT_TOKENS = 410
MS_BEFORE_FIRST_TOKEN = 320
MS_A_TOKEN = 13
USD_A_MILLION_TOKENS = (0.15, 0.60)  # read, written: what a small hosted model costs
TYPING = timedelta(seconds=25)


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    return max(1, len(text) // CHARACTERS_A_TOKEN)


def timestamp(moment: datetime) -> str:
    """The moment in ISO 8601, UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Transcript:
    """The steps of a conversation and what they took. Times are simulated: nothing waits."""

    key: str
    seed: int
    now: datetime
    steps: list[dict[str, Any]] = field(default_factory=list)
    latency_ms: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    _context: int = SYSTEM_PROMPT_TOKENS

    @property
    def cost_usd(self) -> float:
        """What the model's work cost."""
        read, written = USD_A_MILLION_TOKENS
        return round((self.tokens_in * read + self.tokens_out * written) / 1e6, 7)

    @property
    def failed_tools(self) -> list[str]:
        """The tools whose call failed."""
        return [step["name"] for step in self.steps if step.get("error")]

    def user(self, text: str) -> None:
        """The customer wrote this; what they take to type is nobody's latency."""
        if self.steps:
            self.now += TYPING
        self._step("user", 0.0, content=text)

    def assistant(self, text: str) -> None:
        """The agent answered this."""
        self._step("assistant", self._think(text), content=text)

    def retrieval(self, query: str, found: str | None) -> None:
        """The agent searched the help centre."""
        self._step("retrieval", 38.0, name="search_help", arguments={"query": query}, content=found)

    def tool(self, name: str, arguments: dict[str, Any], result: ToolResult) -> None:
        """The agent called a tool, and this came back."""
        call_id = f"call_{draw(self.seed, self.key, len(self.steps)):016x}"
        thinking = self._think(f"{name}{arguments}")
        self._step("tool_call", thinking, name=name, call_id=call_id, arguments=arguments)
        outcome: dict[str, Any] = {"content": result.content, "error": False}
        if result.failed:
            outcome = {"error": result.content}
        self._step("tool_result", result.latency_ms, name=name, call_id=call_id, **outcome)

    def _think(self, written: str) -> float:
        """One call of the model that writes this: its tokens, and its time in milliseconds."""
        count = tokens(written)
        self.tokens_in += self._context
        self.tokens_out += count
        jitter = draw(self.seed, self.key, "think", len(self.steps)) % 280
        return float(MS_BEFORE_FIRST_TOKEN + MS_A_TOKEN * count + jitter)

    def _step(self, kind: str, latency_ms: float, **fields: Any) -> None:
        step = {"type": kind, **fields, "started_at": timestamp(self.now)}
        if kind != "user":
            step["latency_ms"] = latency_ms
        self.steps.append(step)
        self._context += sum(tokens(str(v)) for k, v in fields.items() if k != "call_id")
        self.latency_ms += latency_ms
        self.now += timedelta(milliseconds=latency_ms)
