"""Names of callers beside a key for pseudonyms, and what nodes below say that is not believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from registry_mesh.assembly.access.pull_keeping import PullKeeping, day_of
from registry_mesh.config.pulls import Pulls
from registry_mesh.ports.pulls import Pull
from registry_mesh.pulls.ledger import Asked

NOW = 1_795_000_000.0
PULL = Pull(day_of(NOW), "site", "r.example", "a/b", "manifest", "sha256:x", "1", "alice", 2, 9)


@pytest.fixture
def plain(tmp_path: Path) -> Pulls:
    return Pulls(file=str(tmp_path / "pulls.db"), reporters=("alice",))


@pytest.fixture
def keyed(plain: Pulls, tmp_path: Path) -> Pulls:
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    return plain.model_copy(update={"pseudonyms": str(tmp_path / "key")})


async def test_a_name_from_below_is_not_written_down(keyed: Pulls, tmp_path: Path) -> None:
    """Sites may have no key: the origin's holds for all that it keeps."""
    keeping = PullKeeping(keyed, lambda: NOW)
    await keeping.take_over([PULL, replace(PULL, who="~0123456789abcdef")])
    assert b"alice" not in (tmp_path / "pulls.db").read_bytes()
    (found,) = await keeping.find(Asked(who="alice"))
    assert (found.who[0], found.pulls) == ("~", 2)
    assert len(await keeping.find(Asked(who="~0123456789abcdef"))) == 1, "another node's pseudonym stays one"


async def test_a_name_is_found_that_was_written_down_before(plain: Pulls, keyed: Pulls) -> None:
    await PullKeeping(plain, lambda: NOW).flush(lambda day: [PULL])
    keeping = PullKeeping(keyed, lambda: NOW)
    await keeping.flush(lambda day: [replace(PULL, tag="2")])
    assert sorted(each.tag for each in await keeping.find(Asked(who="alice"))) == ["1", "2"]
    assert await keeping.last_days() == {}, "what a reporter fetched is no use, by either name"


async def test_days_to_come_are_not_believed(plain: Pulls, caplog: pytest.LogCaptureFixture) -> None:
    """Whose clock is a few hours ahead has another day than we have, and nobody has one of next week."""
    keeping = PullKeeping(plain, lambda: NOW)
    tomorrow, later = (replace(PULL, tag=str(days), day=day_of(NOW + days * 86400)) for days in (1, 2))
    await keeping.take_over([PULL, tomorrow])
    assert not caplog.records
    await keeping.take_over([later, replace(later, day="2099-12-31")])
    assert sorted(each.day for each in await keeping.find(Asked())) == [PULL.day, tomorrow.day]
    assert [each.getMessage() for each in caplog.records] == [
        "records of pulls of days to come were not taken"
    ]
