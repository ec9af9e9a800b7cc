"""What a node tells of its last 24 hours is there after a restart, and is its own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.watch.figures import Figures
from registry_mesh.config.schema import Config
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.telemetry.events import Events, Kept, decode
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.telemetry.names import CACHE_BYTES, FAILURES
from tests.clients import nodes
from tests.eventually import eventually, eventually_here
from tests.simulators.parent import plain_parent


async def told(client: aiohttp.ClientSession, admin: str) -> dict[str, Any]:
    async with client.get(f"{admin}/status") as answer:
        day: dict[str, Any] = json.loads(await answer.read())["last_day"]
        return day


async def test_figures_outlive_a_restart(tmp_path: Path) -> None:
    async with plain_parent() as parent, aiohttp.ClientSession() as client:
        blob = parent.add(b"a layer" * 100)
        parent.add_image("1", b"a layer" * 100)
        config = Config.model_validate(
            {
                "role": "site",
                "name": "a site/of.ours",
                "listen": {"address": "127.0.0.1", "port": 0},
                "admin": {"address": "127.0.0.1", "port": 0},
                "store": {"disk": {"path": str(tmp_path / "store")}},
                "registries": {"registry.example": {"default": True, "parents": [[parent.url]]}},
            }
        )
        for times in (1, 2):
            async with running(config) as node:
                for path in ("manifests/1", f"blobs/{blob}", f"blobs/{blob}"):
                    async with client.get(f"{node.url}/v2/team/app/{path}") as answer:
                        assert answer.status == 200
                        await answer.read()
                day = await eventually(
                    lambda node=node: told(client, node.admin_url),
                    "what was answered to be counted",
                    until=lambda day, times=times: day["requests"] == 3 * times,
                )
            assert day["sent_bytes"] >= 1400 * times
            assert day["saved_bytes"] > 0
            assert 0 < day["hit_ratio_requests"] < 1
            assert day["upstream_bytes"] >= 700
            assert day["failures"] == 0


def asked_in_vain(events: Iterable[Kept]) -> int:
    """How often, whatever the reason was: on a busy machine a parent may be late once."""
    return sum(each.event.count for each in events if each.event.subject.endswith("team/none"))


def test_figures_and_refusals_outlive_a_signal_of_either_kind(tmp_path: Path) -> None:
    """SIGTERM loses nothing; kill -9 what came since the last time of saving, five seconds before at most."""
    with nodes.origin(tmp_path / "origin") as origin:
        site = nodes.site(tmp_path / "site", origin.url)
        for times, end in enumerate((site.stop, site.kill, site.stop), 1):
            site.start()
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{site.url}/v2/team/none/manifests/1", timeout=60)

            def kept(times: int = times) -> bool:
                """Whether it is on the disk: it would be shown without that."""
                texts = [file.read_text() for file in (site.folder / "store").rglob("events/site.rec")]
                return bool(texts) and asked_in_vain(decode(texts[0].encode())) == times

            if end == site.kill:
                eventually_here(kept, lambda: f"it to be saved; {site.log.read_text()[-2000:]}")
            end()
        site.start()
        with urllib.request.urlopen(f"{site.admin}/status", timeout=60) as answer:
            day = json.load(answer)["last_day"]
        with urllib.request.urlopen(f"{site.admin}/api/1/events", timeout=60) as answer:
            events = json.load(answer)["events"]
        site.stop()
    told = [each for each in events if each["subject"].endswith("team/none")]
    assert sum(each["count"] for each in told) == 3
    assert min(each["first"] for each in told) < max(each["last"] for each in told)
    assert day["requests"] >= 3


async def test_each_node_of_a_bucket_has_its_own() -> None:
    records, tables = MemoryRecords(), [Table(Layout(), 1) for _ in "ab"]
    both = [Figures(records, name, table) for name, table in zip(("a.b", "a/b"), tables, strict=True)]
    tables[0].row(0).counter(CACHE_BYTES, "other", "blob", "hit").add(5)
    tables[1].row(0).counter(FAILURES, "other", "parent", "down").add(2)
    tables[1].row(0).counter(FAILURES, "other", "caller", "denied").add(9)
    for each in both:
        await each.save()
    assert [each.status().saved_bytes for each in both] == [5, 0]
    assert [each.status().failures for each in both] == [0, 2]


async def test_what_is_refused_before_the_first_saving_is_added_to_what_was_kept() -> None:
    """As where it is saved seldom, in a bucket: what the process before and this one counted are two things."""
    records, shown = MemoryRecords(), []
    for lived in range(12):
        events = Events()
        figures = Figures(records, "n", Table(Layout(), 1), events=events)
        for at in range(3):
            events.add("parent", "down", "r/a", "gone", 10.0 * lived + at)
        await figures.save()
        events.add("parent", "down", "r/a", "gone", 10.0 * lived + 5)
        await figures.save()
        await figures.save()
        shown += [(each.count, each.first) for each in events.newest_first()]
    assert shown == [(4 * (lived + 1), 0.0) for lived in range(12)]


async def test_two_processes_that_save_in_turn_count_each_refusal_once() -> None:
    """As while a new configuration takes over."""
    records = MemoryRecords()
    both = [Events(), Events()]
    figures = [Figures(records, "n", Table(Layout(), 1), events=each) for each in both]
    for turn in range(20):
        both[turn % 2].add("caller", "denied", "r/a", "no", float(turn))
        await figures[turn % 2].save()
        await figures[turn % 3 % 2].save()
    await figures[0].save()
    assert [each.count for each in both[0].newest_first()] == [20]


async def test_a_new_configuration_counts_nothing_twice() -> None:
    records = MemoryRecords()
    old = Table(Layout(), 1)
    old.row(0).counter(CACHE_BYTES, "other", "blob", "hit").add(5)
    before = Figures(records, "n", old)
    await before.save()
    new = Table(Layout(), 1, [old])
    after = Figures(records, "n", new)
    await after.save()
    new.row(0).counter(CACHE_BYTES, "other", "blob", "hit").add(2)
    await after.save()
    await before.save()
    await after.save()
    assert after.status().saved_bytes == 7
