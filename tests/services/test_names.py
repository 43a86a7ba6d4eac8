"""Names by a model: a tiny one, made on the spot, so that only what is ours is tested."""

from pathlib import Path

import pytest

from services.errors import Unavailable
from services.names import WorkerNames

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "ada",
    "met",
    "grace",
    "in",
    "paris",
    "warm",
    "up",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classification model of one layer that calls every word a person."""
    import torch  # noqa: PLC0415 - seconds, and only here
    import transformers  # noqa: PLC0415 - the same

    folder = tmp_path_factory.mktemp("ner")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, num_labels=2, id2label={0: "O", 1: "B-PER"}, label2id={"O": 0, "B-PER": 1},
    )  # fmt: skip
    made = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        made.classifier.weight.zero_()
        made.classifier.bias.copy_(torch.tensor([-9.0, 9.0]))
    made.save_pretrained(folder)
    return folder


@pytest.mark.slow
async def test_names_are_found_where_they_stand_also_in_long_texts(model: Path) -> None:
    names = WorkerNames(str(model))
    try:
        long = " ".join(["in"] * 400) + " Ada"
        found = await names.find(["Ada met", "1234", long])
        assert set(found) == {"Ada met", long}
        assert {"Ada met"[f.start : f.end] for f in found["Ada met"]} == {"Ada", "met"}
        assert any(long[f.start : f.end] == "Ada" and f.kind == "person" for f in found[long])
        assert await names.find(["Ada met"]) == {"Ada met": found["Ada met"]}
    finally:
        await names.close()


@pytest.mark.slow
async def test_a_model_that_cannot_be_loaded_fails_closed(tmp_path: Path) -> None:
    names = WorkerNames(str(tmp_path / "nothing"))
    try:
        with pytest.raises(
            Unavailable, match=r"EVALRATCHET_REDACTION_NER=.*nothing.* taken unredacted"
        ):
            await names.find(["Ada Lovelace"])
    finally:
        await names.close()
