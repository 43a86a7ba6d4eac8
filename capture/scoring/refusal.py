"""Scorer of answers that refuse."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import re2

from capture.events import Severity
from capture.scoring.endings import FINISH_REASON
from capture.scoring.refusal_phrases import PHRASES
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.scoring.wording import shown
from capture.trace import Trace, content_text

_BEGINNING = 240  # characters: a refusal stands at the beginning; later ones are about a detail
REFUSED = frozenset(
    {
        "content_filter",  # OpenAI, Azure
        "content-filter",  # Vercel AI SDK
        "content_filtered",  # Bedrock
        "guardrail_intervened",  # Bedrock
        "refusal",  # Anthropic
        "safety",  # Google
        "prohibited_content",
        "blocklist",
        "spii",
        "recitation",
        "image_safety",
        "error_toxic",  # Cohere
    }
)
_MARKERS = ("refusal", "gen_ai.response.refusal", "llm.refusal")


class RefusalScorer(LocalScorer, frozen=True, kw_only=True, tag="refusal"):
    """Fails a trace whose answer refuses: by the provider's own word for it, or by how it begins.

    `phrases` are more beginnings, as plain text, case and punctuation aside.
    """

    phrases: tuple[Annotated[str, msgspec.Meta(pattern=r"\S")], ...] = ()
    severity: Severity = "medium"

    def rule(self) -> Rule:
        """Look for the provider's marker, then at the beginning of the answer."""
        compiled = _compiled(self.phrases)

        def rule(trace: Trace) -> Sequence[Said]:
            if (marked := _marked(trace)) is not None:
                return (Finding(name="refusal", value=marked, reason=_said_by_provider(marked)),)
            text = _beginning(content_text(trace.output))
            if not text or (found := compiled.search(text)) is None:
                return ()
            phrase = shown(str(found.group()).strip())
            reason = f"The answer refuses: {phrase!r}."
            return (Finding(name="refusal", value=phrase, reason=reason),)

        return rule


def _marked(trace: Trace) -> str | None:
    stopped = trace.metadata.get(FINISH_REASON)
    if isinstance(stopped, str) and stopped.strip().lower() in REFUSED:
        return stopped
    marker = next((trace.metadata[key] for key in _MARKERS if trace.metadata.get(key)), None)
    if marker is None and isinstance(trace.output, dict):
        marker = trace.output.get("refusal")
    return shown(marker) if isinstance(marker, str) else None


def _said_by_provider(marked: str) -> str:
    return f"The provider says that the answer was refused: {marked!r}."


def _beginning(text: str) -> str:
    """The first characters in one line, apostrophes and spaces alike everywhere."""
    return " ".join(text[: 2 * _BEGINNING].replace("’", "'").replace("ʼ", "'").split())[:_BEGINNING]


def _compiled(more: Sequence[str]) -> Any:
    own = [str(re2.escape(" ".join(phrase.replace("’", "'").split()))) for phrase in more]
    options = re2.Options()
    options.case_sensitive = False
    return re2.compile("|".join(f"(?:{phrase})" for phrase in (*PHRASES, *own)), options)
