from importlib.metadata import distribution, packages_distributions

import pytest


@pytest.mark.parametrize("name", ["capture", "dedup", "grade", "promote", "services"])
def test_no_other_installed_distribution_ships_one_of_our_top_level_names(name: str) -> None:
    """The packages are flat: whichever were installed last would silently win."""
    others = set(packages_distributions().get(name, [])) - {"evalratchet"}
    assert others == set(), f"{name}/ is also shipped by {', '.join(sorted(others))}"


def test_ours_is_installed_under_the_name_that_the_check_excuses() -> None:
    assert distribution("evalratchet").metadata["Name"] == "evalratchet"
