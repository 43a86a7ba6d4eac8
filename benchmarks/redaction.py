"""What redaction costs a span: clean, with one e-mail address, and as Presidio's own engine does it.

    python benchmarks/redaction.py [--data FOLDER]

Prints microseconds of processor time a span. Spans have about 2.7 kB and 30 text attributes, made of
sentences of the sample traces. "New text" is every span for the first time, after as many others:
RE2 builds its automaton as it meets text. Presidio's engine runs without a language model.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from capture.events import Span, SpansReceived
from capture.redaction import recognisers
from capture.redaction.placeholder import project_key
from capture.redaction.policy import RedactionPolicy
from capture.redaction.redactor import Redactor
from capture.redaction.rules import Rules

SPANS, TEXTS, CHARACTERS = 400, 30, 48
DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
PERSONAL = re.compile(r"@|\d[\d \-()]{6,}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the sample traces")
    sentences = _sentences(parser.parse_args().data)
    loaded = recognisers.load()
    rng = random.Random(4)
    rules = _rules(loaded)
    plain = [sentence for sentence in sentences if _plain(rules, sentence)]
    warm, clean = (_spans(rng, plain, "") for _ in range(2))
    hard = _spans(rng, sentences, "")
    dirty = _spans(rng, plain, " Write to user{}@example.com.")
    _run(rules, warm)
    print(f"{SPANS} spans of {_size(clean) / SPANS:,.0f} bytes, {TEXTS} texts each")
    _say("clean, new text", lambda: _run(rules, clean))
    _say("clean, seen before", lambda: _run(rules, clean))
    _run(rules, hard)
    _say("words like passport and numbers in it", lambda: _run(rules, hard))
    _run(rules, dirty)
    fresh = _rules(loaded)  # remembers no text; the patterns' automata are warm
    _say("one address each, texts not remembered", lambda: _run(fresh, dirty))
    _say("one address each, texts remembered", lambda: _run(fresh, dirty))
    engine = _engine()
    few = clean[:10]
    _say("Presidio's engine, clean", lambda: _presidio(engine, few), count=len(few))


def _rules(loaded: recognisers.Recognisers) -> Rules:
    return Rules(RedactionPolicy(), project_key(b"k" * 32, "bench"), lambda: loaded)


def _sentences(data: Path) -> list[str]:
    """Sentences without anything personal."""
    said: list[str] = []
    for name in ("airline", "rag"):
        for line in (data / "traces" / f"{name}.jsonl").read_text().splitlines():
            trace = json.loads(line)
            texts = [trace["input"], trace["output"], *(s.get("content") for s in trace["steps"])]
            for text in texts:
                if isinstance(text, str):
                    said += re.split(r"(?<=[.?!])\s+", text)
    return [s[:CHARACTERS] for s in said if len(s) > CHARACTERS and not PERSONAL.search(s)]


def _plain(rules: Rules, sentence: str) -> bool:
    """Whether no gate opens: words that name identity documents count when numbers are near."""
    return rules.marks(sentence) is None and rules.marks(f"{sentence} 12345 7") is None


def _spans(rng: random.Random, sentences: Sequence[str], more: str) -> list[Span]:
    spans = []
    for number in range(SPANS):
        attributes: dict[str, Any] = {
            f"llm.input_messages.{n}.content": rng.choice(sentences) for n in range(TEXTS)
        }
        attributes["llm.input_messages.0.content"] += more.format(number)
        attributes["gen_ai.usage.input_tokens"] = rng.randrange(5000)
        start = 1_749_650_492_000_000_000 + number
        span_id = f"{rng.getrandbits(64):016x}"
        spans.append(
            Span(
                span_id=span_id,
                name="chat",
                start_ns=start,
                end_ns=start + 5,
                attributes=attributes,
            )
        )
    return spans


def _size(spans: Sequence[Span]) -> int:
    return sum(len(msgspec.json.encode(span)) for span in spans)


def _run(rules: Rules, spans: Sequence[Span]) -> None:
    for start in range(0, len(spans), 100):
        piece = SpansReceived(
            event_id="", project="bench", trace_id="a" * 32, spans=tuple(spans[start : start + 100])
        )
        Redactor(rules).redact(piece)


def _engine() -> Any:
    """Presidio's engine with its own pattern recognisers and an engine for words that does nothing."""
    import spacy  # noqa: PLC0415 - Presidio's, and only here
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415 - the same
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415 - the same

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])


def _presidio(engine: Any, spans: Sequence[Span]) -> None:
    for span in spans:
        for value in span.attributes.values():
            if isinstance(value, str):
                engine.analyze(value, language="en")


def _say(what: str, work: Callable[[], None], *, count: int = SPANS) -> None:
    begun = time.process_time()
    work()
    print(f"  {what:<42}{(time.process_time() - begun) / count * 1e6:>12,.1f} us a span")


if __name__ == "__main__":
    main()
