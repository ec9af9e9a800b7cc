"""Who pulled what: counted at a site, passed on to the origin, told there after the site is gone."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from click.testing import CliRunner, Result

from registry_mesh.assembly.access.pull_keeping import PullKeeping, day_of, pseudonym
from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.cli.main import main
from registry_mesh.config.load import parse
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.pulls import Pull
from registry_mesh.pulls.ledger import Asked
from registry_mesh.telemetry.logs import FIELDS
from tests.mesh.test_private_images import ALICE, CONFIG, LAYER, MANIFEST, OCI, REGISTRY, basic, users

PUSHER = basic("pusher", "pusher")
NOW = time.time()
TODAY = day_of(NOW)
"""Of records that are kept by `NOW`. Those of a node that runs have the day of then."""


def config(folder: Path, role: str, **more: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    whole = {"role": role, "name": role, "listen": {"port": 0}, "admin": {"port": 0}}
    pulls = {"file": str(folder / "pulls.db")} | more.pop("pulls", {})
    return whole | {"store": {"disk": {"path": str(folder / "store")}}, "pulls": pulls} | more


def loaded(document: Mapping[str, Any]) -> Any:
    return parse(json.dumps(document), "x").config


async def ask(url: str, who: str | None = None, method: str = "GET", body: bytes = b"", **fields: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in fields.items()} | (
        {"Authorization": who} if who else {}
    )
    async with aiohttp.request(method, url, data=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def push(origin: str, tag: str) -> None:
    for data in (LAYER, CONFIG):
        path = f"{origin}/v2/team/app/blobs/uploads/?digest={Digest.of(data)}"
        assert await ask(path, PUSHER, "POST", data) == 201
    assert (
        await ask(f"{origin}/v2/team/app/manifests/{tag}", PUSHER, "PUT", MANIFEST, Content_Type=OCI) == 201
    )


async def pull(site: str, times: int) -> None:
    """As alice does, who logs in, and somebody who does not."""
    for _ in range(times):
        for who in (ALICE, None):
            assert await ask(f"{site}/v2/team/app/manifests/1", who) == 200
            assert await ask(f"{site}/v2/team/app/manifests/1", who, "HEAD") == 200
            assert await ask(f"{site}/v2/team/app/blobs/{Digest.of(LAYER)}", who, Range="bytes=0-9") == 206
    assert await ask(f"{site}/v2/team/app/manifests/2") == 404


async def said(folder: Path, admin: str, *words: str) -> Result:
    """What `who-pulled` prints at the origin."""
    file = folder / "asked.yaml"
    document = config(
        folder / "origin", "origin", registry=REGISTRY, admin={"port": int(admin.rpartition(":")[2])}
    )
    file.write_text(yaml.safe_dump(document))
    return await asyncio.to_thread(CliRunner().invoke, main, ["who-pulled", str(file), *words])


async def test_the_origin_answers_for_a_site_that_is_gone(tmp_path: Path) -> None:
    access = {
        "anonymous": "pull",
        "authenticated": "push",
        "users": users(tmp_path, "pusher", "alice", "site"),
    }
    pulls, today = {"reporters": ["site"]}, day_of(time.time())
    origin_config = config(tmp_path / "origin", "origin", registry=REGISTRY, access=access, pulls=pulls)
    async with running(loaded(origin_config)) as origin:
        await push(origin.url, "1")
        await push(origin.url, "unused")
        login = tmp_path / "login"
        login.write_text("site:site")
        login.chmod(0o600)
        registry = {
            "parents": [[origin.url]],
            "credentials": f"file:{login}",
            "default": True,
            "readers": "everybody",
        }
        site_access = {"users": users(tmp_path / "of-site", "alice")}
        site_config = loaded(
            config(tmp_path / "site", "site", registries={REGISTRY: registry}, access=site_access)
        )
        async with running(site_config) as site:
            await pull(site.url, 3)
        keeping = PullKeeping(site_config.pulls)
        for _ in range(2):  # what was told is not told again, and told twice would not count twice
            async with Parents(site_config) as parents:
                await keeping.pass_on(parents)

        by_who = await said(
            tmp_path, origin.admin_url, "team/app:1", "--by", "site,who,kind", "--format", "json"
        )
        assert by_who.exit_code == 0, by_who.output
        at_site = [row for row in json.loads(by_who.output) if row["site"] == "site"]
        one = {"site": "site", "kind": "manifest", "pulls": 3, "bytes": 3 * len(MANIFEST)}
        assert at_site == [one | {"who": "127.0.0.1"}, one | {"who": "alice"}]

        layer = await said(
            tmp_path, origin.admin_url, str(Digest.of(LAYER)), "--format", "csv", "--who", "alice"
        )
        rows = list(csv.DictReader(io.StringIO(layer.output)))  # two where a day ended between the pulls
        assert {(row["site"], row["repository"]) for row in rows} == {("site", "team/app")}
        assert [sum(int(row[key]) for row in rows) for key in ("pulls", "bytes")] == [3, 30]
        unused = await said(tmp_path, origin.admin_url, "--unused", "7d", "--format", "json")
        assert json.loads(unused.stdout) == [], "the other tag points at the same manifest"
        note = re.fullmatch("note: records begin on (.*): nothing is known of pulls before\n", unused.stderr)
        assert note is not None, unused.stderr
        began = note[1]
        assert today <= began <= min(row["day"] for row in rows)
        assert max(row["day"] for row in rows) <= day_of(time.time())
        later = await said(tmp_path, origin.admin_url, "team/app:1", "--since", "2999-01-01")
        assert (later.exit_code, later.output) == (1, "no pull of team/app:1 is known since 2999-01-01\n")
        never = await said(tmp_path, origin.admin_url, "team/other", "--since", "2020-01-01", "--who", "bob")
        told = f"no pull of team/other by bob is known since 2020-01-01: records begin on {began}\n"
        assert never.output == told
        table = await said(tmp_path, origin.admin_url, "team/app:1", "--by", "who")
        assert "alice" in table.output

        report = json.dumps([[began, "evil", REGISTRY, "a/b", "blob", "sha256:x", "", "eve", 1, 1]]).encode()
        for who, status in ((None, 401), (PUSHER, 403), (basic("site", "site"), 204)):
            assert await ask(f"{origin.url}/v2/_mesh/pulls", who, "POST", report) == status
        forged = report.replace(b"evil", b"origin")
        assert await ask(f"{origin.url}/v2/_mesh/pulls", basic("site", "site"), "POST", forged) == 204
        eve = await said(tmp_path, origin.admin_url, "--who", "eve", "--by", "site", "--format", "json")
        assert [row["site"] for row in json.loads(eve.stdout)] == ["evil"], "nobody else speaks for this node"
        assert await ask(f"{origin.url}/v2/_mesh/pulls", basic("site", "site")) == 405


async def test_what_a_site_tells_a_replica_the_origin_hears_as_the_site_s(tmp_path: Path) -> None:
    """Later, and once: the site is gone by then, and what was told before is not told again."""
    access = {"users": users(tmp_path, "replica"), "anonymous": "nothing"}
    above = config(
        tmp_path / "origin", "origin", registry=REGISTRY, access=access, pulls={"reporters": ["replica"]}
    )

    def below(parent: str, name: str) -> dict[str, Any]:
        login = tmp_path / f"login-{name}"
        login.write_text(f"{name}:{name}")
        login.chmod(0o600)
        known = {"parents": [[parent]], "credentials": f"file:{login}", "readers": "everybody"}
        return {"registries": {REGISTRY: known}}

    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(
        f"schema: registry-mesh/rules/1\nrules: [{{name: all, from: {REGISTRY}, repos: ['**'], tags: ['*']}}]\n"
    )
    async with running(loaded(above)) as origin:
        middle = config(
            tmp_path / "replica",
            "replica",
            rules=str(tmp_path / "rules"),
            access={"users": users(tmp_path / "of-replica", "site"), "anonymous": "nothing"},
            pulls={"reporters": ["site"]},
            **below(origin.url, "replica"),
        )
        async with running(loaded(middle)) as replica:
            site = loaded(config(tmp_path / "site", "site", **below(replica.url, "site")))
            keeping = PullKeeping(site.pulls, lambda: NOW)
            await keeping.flush(
                lambda day: [Pull(day, "site", REGISTRY, "a/b", "blob", "sha256:x", "", "alice", 2, 9)]
            )
            async with Parents(site) as parents:
                await keeping.pass_on(parents)
        for _ in range(2):
            async with Parents(loaded(middle)) as parents:
                await PullKeeping(loaded(middle).pulls).pass_on(parents)
    (found,) = await PullKeeping(loaded(above).pulls).find(Asked(who="alice"))
    assert found == Pull(TODAY, "site", REGISTRY, "a/b", "blob", "sha256:x", "", "alice", 2, 9)


async def test_pseudonyms_tell_callers_apart_and_do_not_name_them(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    document = loaded(config(tmp_path / "site", "origin", registry=REGISTRY, pulls={"pseudonyms": str(key)}))
    keeping = PullKeeping(document.pulls, lambda: NOW)

    await keeping.flush(lambda day: [Pull(day, "s", REGISTRY, "a/b", "blob", "sha256:x", "", "alice", 1, 1)])
    (found,) = await keeping.find(Asked(who="alice"))
    assert found.who == pseudonym(b"0123456789abcdef0123456789abcdef", "alice")
    assert b"alice" not in (tmp_path / "site" / "pulls.db").read_bytes()
    assert await keeping.find(Asked(who="bob")) == []


async def test_a_node_whose_records_are_refused_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else shows it: its pulls are missing above, and all pulls go well."""
    access = {"users": users(tmp_path, "site"), "anonymous": "nothing"}

    def above(*reporters: str) -> Any:
        pulls = {"reporters": list(reporters)}
        return loaded(config(tmp_path / "origin", "origin", registry=REGISTRY, access=access, pulls=pulls))

    login = tmp_path / "login"
    login.write_text("site:site")
    login.chmod(0o600)
    caplog.set_level("INFO", logger="registry_mesh.assembly.access.pull_keeping")

    def told() -> list[tuple[str, str]]:
        return [(each.levelname, each.message) for each in caplog.records if "records of" in each.message]

    async def pass_on_twice(origin: Any) -> None:
        async with running(origin) as node:
            known = {"parents": [[node.url]], "credentials": f"file:{login}", "readers": "everybody"}
            site = loaded(config(tmp_path / "site", "site", registries={REGISTRY: known}))
            async with Parents(site) as parents:
                for _ in range(2):
                    await keeping.pass_on(parents)

    keeping = PullKeeping(loaded(config(tmp_path / "site", "origin", registry=REGISTRY)).pulls, lambda: NOW)
    await keeping.flush(lambda day: [Pull(day, "site", REGISTRY, "a/b", "blob", "sha256:x", "", "al", 2, 9)])
    await pass_on_twice(above("robot:other"))
    assert told() == [("WARNING", "no parent takes records of pulls: they wait here")]
    fields = caplog.records[-1].__dict__[FIELDS]
    assert "pulls.reporters" in fields["next"]
    assert [*fields["why"].values()] == ["answered 403"]
    await pass_on_twice(above("site"))
    assert told()[1:] == [("INFO", "records of pulls are passed on again")]
    assert len(await PullKeeping(above("site").pulls).find(Asked(who="al"))) == 1


@pytest.mark.parametrize("pseudonyms", [True, False])
async def test_what_nodes_below_copy_is_not_used_by_that(tmp_path: Path, pseudonyms: bool) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    pulls = {"reporters": ["robot:site"]} | ({"pseudonyms": str(key)} if pseudonyms else {})
    document = loaded(config(tmp_path / "origin", "origin", registry=REGISTRY, pulls=pulls))
    keeping = PullKeeping(document.pulls, lambda: NOW)
    copied = Pull(TODAY, "origin", REGISTRY, "a/b", "manifest", "sha256:x", "1", "robot:site", 1, 1)
    await keeping.flush(lambda day: [copied])
    assert await keeping.last_days() == {}
    await keeping.flush(lambda day: [replace(copied, who="alice")])
    assert await keeping.last_days() == {(REGISTRY, "a/b", "1", "sha256:x"): TODAY}


async def test_what_is_being_written_when_a_node_ends_is_counted_once(tmp_path: Path) -> None:
    document = loaded(config(tmp_path / "site", "origin", registry=REGISTRY))
    keeping = PullKeeping(document.pulls, lambda: NOW)
    counted = [Pull(TODAY, "s", REGISTRY, "a/b", "blob", "sha256:x", "", "alice", 1, 1)]
    await keeping.flush(lambda day: [replace(counted[0], who="bob")])
    with closing(sqlite3.connect(document.pulls.file)) as other:
        other.execute("BEGIN IMMEDIATE")
        following = asyncio.create_task(keeping.flush(lambda day: counted))
        await asyncio.sleep(0)
        following.cancel()
        other.rollback()
    await asyncio.wait([following])
    assert following.cancelled()
    await keeping.flush(lambda day: [])
    (found,) = await keeping.find(Asked(who="alice"))
    assert found.pulls == 1
