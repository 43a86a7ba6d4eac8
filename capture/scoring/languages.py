"""Scorer of the language an answer is in."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import re2

from capture.events import Severity
from capture.scoring.scorer import Finding, LocalScorer, Rule, Said
from capture.trace import Trace, content_text

Language = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,3}\Z")]
"""An ISO 639-1 code, e.g. `en`."""

_LOOKED_AT = 2000  # characters: the language of a text shows in its first lines
_NOT_PROSE: Any = re2.compile(
    r"(?s)```.*?(?:```|$)|`[^`]*`|https?://\S+|\S+@\S+|<[^>]{0,200}>|\S*[\d_/\\{}\[\]=|#]\S*"
)
_NEIGHBOURS = (
    # languages that are one, or nearly, in a few lines of writing: no verdict between them
    frozenset({"no", "nb", "nn", "da", "sv"}),
    frozenset({"hr", "sr", "bs", "sl", "mk", "bg"}),
    frozenset({"id", "ms", "jv"}),
    frozenset({"cs", "sk"}),
    frozenset({"es", "gl", "pt", "ca", "an", "oc"}),
    frozenset({"ru", "uk", "be"}),
    frozenset({"hi", "mr", "ne"}),
    frozenset({"nl", "af"}),
    frozenset({"fa", "ar", "ur", "ps", "ug"}),
    frozenset({"zh", "ja"}),
    frozenset({"xh", "zu"}),
    frozenset({"de", "lb"}),
    frozenset({"it", "la", "co"}),
)


_CODES = """
ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa
fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka
kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc
om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt
ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx
"""
RECOGNISED = frozenset(_CODES.split())
"""What py3langid tells apart; here, so that a policy can be read without loading its model."""


class LanguageScorer(LocalScorer, frozen=True, kw_only=True, tag="language"):
    """Fails a trace whose answer is in another language than its question, or in none of `allowed`.

    Code, addresses and numbers are left out. Nothing is said about a text with fewer than
    `min_characters` letters, one whose language is less sure than `min_confidence`, and, without
    `allowed`, of two languages that are hard to tell apart.
    """

    allowed: tuple[Language, ...] = ()
    min_characters: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 40
    min_confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.95
    severity: Severity = "medium"

    def __post_init__(self) -> None:
        """Refuse a language that would never be recognised."""
        unknown = sorted(set(self.allowed) - RECOGNISED)
        if unknown:
            message = (
                f"`allowed` has {', '.join(unknown)}; write ISO 639-1 codes of languages that can be "
                f"recognised: {', '.join(sorted(RECOGNISED))}"
            )
            raise ValueError(message)

    def rule(self) -> Rule:
        """Recognise the language of the output and, where it matters, of the input."""
        _identifier()

        def rule(trace: Trace) -> Sequence[Said]:
            answered = self._language(content_text(trace.output))
            if answered is None:
                return ()
            if self.allowed:
                wrong = answered not in self.allowed
                expected = f"not in {', '.join(self.allowed)}"
            else:
                asked = self._language(content_text(trace.input))
                wrong = asked is not None and not _alike(asked, answered)
                expected = f"the question in {asked!r}"
            if not wrong:
                return ()
            reason = f"The answer is in {answered!r}, {expected}."
            return (Finding(name="language", value=answered, reason=reason),)

        return rule

    def _language(self, text: str) -> str | None:
        prose = _prose(text)
        if sum(map(str.isalpha, prose)) < self.min_characters:
            return None
        language, confidence = _identifier().classify(prose)
        return str(language) if confidence >= self.min_confidence else None


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= near for near in _NEIGHBOURS)


def _prose(text: str) -> str:
    if not text.strip():
        return ""
    return " ".join(str(_NOT_PROSE.sub(" ", text[: 2 * _LOOKED_AT])).split())[:_LOOKED_AT]


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """The identifier, loaded when the first scorer of this kind is: it takes memory and a moment."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - as above

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
