import msgspec
import pytest

from dedup.policy import DedupPolicy


@pytest.mark.parametrize("distance", [-0.01, 2.01])
def test_a_dedup_distance_that_no_cosine_can_have_is_refused(distance: float) -> None:
    with pytest.raises(msgspec.ValidationError, match="distance"):
        msgspec.convert({"distance": distance}, DedupPolicy)
