import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path


def _copied(dockerfile: list[list[str]]) -> list[str]:
    return [
        source
        for words in dockerfile
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    ]


def test_everything_that_is_copied_is_there_and_not_ignored(
    dockerfile: list[list[str]], root: Path
) -> None:
    ignore = [line for line in (root / ".dockerignore").read_text().splitlines() if line]
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    assert "*" in ignore, "nothing is sent to the builder that is not named"
    for source in _copied(dockerfile):
        assert (root / source).exists(), source
        top = Path(source).parts[0]
        assert any(fnmatch(top, pattern) for pattern in allowed), source


def test_every_package_that_the_project_ships_is_in_the_image(
    dockerfile: list[list[str]], root: Path
) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(_copied(dockerfile))


def test_only_pinned_and_hashed_requirements_are_installed(dockerfile: list[list[str]]) -> None:
    """What is installed without hashes is the project itself; its builder is held to them too."""
    runs = [" ".join(words) for words in dockerfile if words[0] == "RUN"]
    installs = [run for run in runs if re.search(r"pip (install|sync)", run)]
    assert len(installs) == 3
    for run in installs:
        hashed = "--require-hashes" in run
        assert hashed or ("--no-deps" in run and "--build-constraints" in run), run


def test_the_image_has_one_entry_and_runs_as_nobody_special(dockerfile: list[list[str]]) -> None:
    last = {words[0]: words[1:] for words in dockerfile}
    assert last["ENTRYPOINT"] == ['["evalratchet"]']
    user, group = last["USER"][0].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert "HEALTHCHECK" not in last, "whoever runs a service says how it is looked at"


def test_both_stages_have_the_same_pinned_python(dockerfile: list[list[str]], root: Path) -> None:
    """An environment only works with the interpreter that it was made for."""
    bases = [words[1] for words in dockerfile if words[0] == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    project = tomllib.loads((root / "pyproject.toml").read_text())
    lowest = project["project"]["requires-python"].removeprefix(">=")
    assert bases[0].startswith(f"python:{lowest}-slim")
