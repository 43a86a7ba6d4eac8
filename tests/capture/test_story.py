"""What makes two tellings of a step the same."""

from hypothesis import given
from hypothesis import strategies as st

from capture.story import Story
from capture.trace import Step

pieces = st.lists(
    st.sampled_from(["a", "é", " ", "  ", "\n", "\t", "\r\n", "\x1c", "\x1f", "\x85", "\u00a0"]),
    max_size=8,
)


@given(pieces.map("".join))
def test_steps_whose_words_are_the_same_are_one_however_they_are_spaced(text: str) -> None:
    story = Story()
    story.history([Step(type="user", content=text)])
    story.history([Step(type="user", content=" ".join(text.split()))])
    assert len(story.steps) == 1


@given(pieces.map("".join))
def test_steps_with_other_words_are_two(text: str) -> None:
    story = Story()
    story.history([Step(type="user", content=text)])
    story.history([Step(type="user", content=f"{text} b")])
    assert len(story.steps) == 2
