"""What the pages point to is there."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(
    r"`((?:capture|dedup|grade|promote|services|deploy|benchmarks|tests|docs|requirements)/"
    r"[A-Za-z0-9_./-]+)`"
)
_CODE = re.compile(r"`[^`\n]+`|^```.*?^```", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"\bmake ([a-z-]+)")


def _anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {_anchor(heading) for heading in _HEADING.findall(text)}


def test_every_relative_link_leads_to_a_file_and_its_heading(pages: Sequence[Path]) -> None:
    broken = []
    for page in pages:
        for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists():
                broken.append(f"{page.name}: {link} is not there")
            elif anchor and anchor not in _anchors(target):
                broken.append(f"{page.name}: {link} has no such heading")
    assert not broken


def test_every_file_of_the_project_that_a_page_names_is_there(
    root: Path, pages: Sequence[Path]
) -> None:
    named = {
        (page.name, file)
        for page in pages
        if page.is_relative_to(root / "docs") or page.parent == root
        for file in _FILE.findall(page.read_text(encoding="utf-8"))
    }
    missing = [f"{page}: {file}" for page, file in named if not (root / file).exists()]
    assert not missing


def test_every_decision_is_in_the_list_of_decisions(root: Path) -> None:
    folder = root / "docs/decisions"
    listed = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in folder.glob("[0-9]*.md")} <= listed


def test_every_make_target_that_a_page_names_exists(root: Path, pages: Sequence[Path]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, target)
        for page in pages
        for code in _CODE.findall(page.read_text(encoding="utf-8"))
        for target in _TARGET.findall(code)
    }
    assert {(page, target) for page, target in named if target not in targets} == set()


def test_the_changelog_begins_with_the_version_of_the_project(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?(\d[^\]\s]*)", changelog, re.MULTILINE)
    assert versions[0] == project["version"]
