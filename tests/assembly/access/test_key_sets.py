"""Key sets of issuers: when they are asked for, and which holds."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from registry_mesh.assembly.access.key_sets import AT_MOST, EVERY, KeySets
from registry_mesh.config.callers import Access
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.memory.records import MemoryRecords

URL = "https://gitlab.example/keys"


def key_set(name: str) -> bytes:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return json.dumps(
        {"keys": [{**json.loads(ECAlgorithm.to_jwk(public)), "kid": name, "alg": "ES256"}]}
    ).encode()


OLD, NEW = key_set("old"), key_set("new")


class Records(MemoryRecords):
    """A disk that may be full."""

    full = False

    async def put(self, key: str, data: bytes) -> None:
        if self.full:
            raise SourceUnavailable("no space left")
        await super().put(key, data)


@dataclass
class World:
    """An issuer at an address, records, and a clock."""

    now: float = 1000.0
    says: bytes | None = OLD
    asked: int = 0
    records: Records = field(default_factory=Records)

    async def fetch(self, url: str, ca: str | None, bearer: str | None) -> bytes:
        assert (url, ca, bearer) == (URL, None, None)
        self.asked += 1
        if self.says is None:
            raise SourceUnavailable("answered 503")
        return self.says

    def key_sets(self, url: str = URL) -> KeySets:
        issuer = {"issuer": "https://gitlab.example", "audience": "r.example", "keys": url}
        file = issuer | {"keys": "/etc/keys.json"}
        access = Access.model_validate({"issuers": {"gitlab": issuer, "other": file}})
        return KeySets(access, self.records, self.fetch, lambda: self.now)


async def test_it_is_asked_for_every_five_minutes_and_the_last_good_one_holds() -> None:
    world = World()
    sets = world.key_sets()
    assert [await sets.refresh(), await sets.refresh(), world.asked] == [True, False, 1]
    for said, changed in (
        (OLD, False),
        (NEW, True),
        (None, False),
        (b"<html>", False),
        (b"[" * 99_999, False),
    ):
        world.says, world.now = said, world.now + EVERY
        assert await sets.refresh() is changed
    assert sets.documents == {"gitlab": NEW}


async def test_a_new_key_is_asked_for_at_once_and_no_flood_asks_more_often() -> None:
    world = World()
    sets = world.key_sets()
    await sets.refresh()
    world.says = NEW
    assert [await sets.renew("gitlab") for _ in range(3)] == [False] * 3, "it was asked just now"
    world.now += AT_MOST
    assert [await sets.renew("gitlab") for _ in range(3)] == [True, False, False]
    assert [await sets.renew(name) for name in ("other", "nobody")] == [False, False]
    assert world.asked == 2


async def test_what_was_good_last_is_kept_over_a_restart_but_not_for_another_address() -> None:
    world = World()
    await world.key_sets().refresh()
    world.says = None
    sets = world.key_sets()
    await sets.recall()
    assert (await sets.refresh(), sets.documents) == (False, {"gitlab": OLD})
    moved = world.key_sets("https://elsewhere.example/keys")
    await moved.recall()
    assert moved.documents == {}
    for damaged in (b"", b"{", b'{"address":"' + URL.encode() + b'","keys":"{}"}', b"[]"):
        await world.records.put("issuers/gitlab", damaged)
        await (sets := world.key_sets()).recall()
        assert sets.documents == {}


async def test_what_another_process_of_the_node_fetched_holds_in_an_outage_too() -> None:
    world = World()
    one, other = world.key_sets(), world.key_sets()
    for sets in one, other:
        await sets.refresh()
    world.says, world.now = NEW, world.now + AT_MOST
    assert await one.renew("gitlab"), "its token was the first with the new key"
    world.says = None
    assert (await other.renew("gitlab"), other.documents) == (True, {"gitlab": NEW})
    world.now += AT_MOST
    assert not await other.renew("gitlab"), "nothing was kept since"


async def test_what_could_not_be_kept_is_not_lost_to_what_was_kept_before() -> None:
    world = World()
    sets = world.key_sets()
    await sets.refresh()
    world.records.full = True
    for said in (NEW, None):
        world.says, world.now = said, world.now + EVERY
        await sets.refresh()
    assert sets.documents == {"gitlab": NEW}


async def test_it_is_said_once_when_keys_cannot_be_had_and_when_they_can(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(says=None)
    sets = world.key_sets()
    with caplog.at_level(logging.INFO, "registry_mesh.assembly.access.key_sets"):
        for said in (None, None, OLD, OLD, None):
            world.says, world.now = said, world.now + EVERY
            await sets.refresh()
    assert [record.message for record in caplog.records] == [
        "an issuer's keys cannot be fetched: its tokens are refused",
        "an issuer's keys can be fetched again",
        "an issuer's keys cannot be fetched: the last good ones hold",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://gitlab.example/keys",
        "ftp://gitlab.example/keys",
        "https://user@gitlab.example/keys",
        "https:///keys",
        "http://169.254.169.254/keys",
        "http://localhost.example/keys",
    ],
)
def test_addresses_that_anybody_on_the_way_could_answer_for(url: str) -> None:
    with pytest.raises(ValueError, match="keys"):
        World().key_sets(url)
