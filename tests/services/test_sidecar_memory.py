"""What a sidecar remembers of a real store that is taken away."""

import asyncio
import json

import pytest

from capture.redaction.policy import RedactionPolicy
from services.errors import Unavailable
from services.policy import Policy
from services.sidecar_memory import RememberedPolicies, RememberedSecrets
from services.store.open import Store
from services.store.schema import upgrade

STRICT = Policy(redaction=RedactionPolicy(enabled=False))  # anything that differs from the default


class Line:
    """The line to a real store, which can be cut, and hang."""

    def __init__(self, store):
        self._store = store
        self.cut = False
        self.hangs = False
        self.policies = {}
        self.asked = 0

    async def of(self, project):
        await self._look()
        return self.policies.get(project) or (await self._store.policies.current(project))[1]

    async def get_or_make(self, name):
        await self._look()
        return await self._store.secrets.get_or_make(name)

    async def _look(self):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.cut:
            text = "the store is away"
            raise Unavailable(text)


@pytest.fixture
async def line(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    await upgrade(url)
    store = Store(url)
    yield Line(store)
    await store.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "remembered"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


async def test_a_policy_is_the_stores_while_it_is_there(line, folder):
    remembered = RememberedPolicies(line, folder)
    assert await remembered.of("p") == Policy()
    line.policies["p"] = STRICT
    assert await remembered.of("p") == STRICT


async def test_without_the_store_the_last_known_policy_holds_also_after_a_restart(line, folder):
    line.policies["p"] = STRICT
    await RememberedPolicies(line, folder).of("p")
    line.cut = True
    assert await RememberedPolicies(line, folder).of("p") == STRICT


async def test_a_policy_that_was_never_known_is_unavailable_and_never_the_default(line, folder):
    await RememberedPolicies(line, folder).of("known")
    line.cut = True
    with pytest.raises(Unavailable, match=r"policy of other is not known here.*store is away"):
        await RememberedPolicies(line, folder).of("other")


async def test_a_store_that_does_not_answer_is_left_alone_for_a_while(line, folder):
    clock = Clock()
    remembered = RememberedPolicies(line, folder, clock)
    await remembered.of("p")
    line.cut = True
    asked = line.asked
    for _ in range(10):
        assert await remembered.of("p") == Policy()
    assert line.asked == asked + 1
    line.cut, line.policies["p"] = False, STRICT
    clock.now += 5.1
    assert await remembered.of("p") == STRICT


async def test_a_store_that_hangs_is_not_waited_for(line, folder, monkeypatch):
    remembered = RememberedPolicies(line, folder)
    await remembered.of("p")
    monkeypatch.setattr("services.sidecar_memory._ASK_SECONDS", 0.05)
    line.hangs = True
    assert await remembered.of("p") == Policy()
    with pytest.raises(Unavailable, match="within"):
        await RememberedPolicies(line, folder).of("new")


async def test_a_store_that_is_not_migrated_is_unavailable_and_no_crash(tmp_path, folder):
    store = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(Unavailable):
        await RememberedPolicies(Line(store), folder).of("p")
    await store.close()


async def test_what_is_remembered_survives_concurrent_questions(line, folder):
    remembered = RememberedPolicies(line, folder)
    await asyncio.gather(*(remembered.of(f"project-{n}") for n in range(30)))
    line.cut = True
    again = RememberedPolicies(line, folder)
    for n in range(30):
        assert await again.of(f"project-{n}") == Policy()


async def test_names_without_end_do_not_fill_the_disk(line, folder, monkeypatch):
    monkeypatch.setattr("services.sidecar_memory._PROJECTS", 3)
    remembered = RememberedPolicies(line, folder)
    for n in range(10):
        await remembered.of(f"project-{n}")
    assert len(json.loads((folder / "policies.json").read_bytes())) == 3


async def test_a_secret_is_the_stores_and_is_asked_for_once(line, folder):
    first = await RememberedSecrets(line, folder).get_or_make("redaction")
    assert first == await line.get_or_make("redaction")
    line.cut = True
    assert await RememberedSecrets(line, folder).get_or_make("redaction") == first
    assert (folder / "secrets.json").stat().st_mode & 0o077 == 0
    with pytest.raises(Unavailable):
        await RememberedSecrets(line, folder).get_or_make("another")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"p": {"unheard": 1}}', b"\xff\xfe"])
async def test_a_file_that_cannot_be_read_is_as_if_nothing_was_remembered(line, folder, content):
    folder.mkdir()
    (folder / "policies.json").write_bytes(content)
    line.cut = True
    with pytest.raises(Unavailable):
        await RememberedPolicies(line, folder).of("p")
    line.cut = False
    assert await RememberedPolicies(line, folder).of("p") == Policy()
