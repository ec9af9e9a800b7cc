"""Findings of whole nodes: each made true by what really happens, and not there where it does not."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from registry_mesh.assembly.node.build import Node, build
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.findings.words import day
from registry_mesh.oci.digest import Digest
from registry_mesh.telemetry.names import FIRST_BYTE, SOURCES
from tests.eventually import eventually
from tests.simulators.link import Conditions, Link
from tests.simulators.parent import PlainParent, plain_parent
from tests.upstream.test_causes import certificate

MIB = 1 << 20
HOST = "registry.example"
OF_MACHINE = ("limits-low", "memory-low", "store-slow")


def named(node: Node) -> dict[str, str]:
    """The sentence of each finding, but for those of the machine that runs the tests."""
    found = node.keeper.findings().findings
    return {each.name: each.sentence for each in found if each.name not in OF_MACHINE}


async def says(node: Node, name: str) -> str:
    """The sentence of that finding, once it is there."""
    await eventually(lambda: name in named(node), lambda: f"{name} among {named(node)}")
    return named(node)[name]


@asynccontextmanager
async def site(
    folder: Path,
    *parents: str,
    store: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> AsyncIterator[Node]:
    config = {
        "role": "site",
        "name": "site",
        "listen": {"address": "127.0.0.1", "port": 0},
        "admin": {"port": 0},
        "store": {"disk": {"path": str(folder / "store"), **(store or {})}},
        "registries": {
            HOST: {
                "default": True,
                "parents": [[url] for url in parents],
                "hedge": "none",
                "tags": tags or {},
                **(more or {}),
            }
        },
    }
    node = build(Config.model_validate(config))
    await node.start()
    try:
        yield node
    finally:
        await node.close()


async def pull(node: Node, *blobs: bytes) -> None:
    async with aiohttp.ClientSession() as client:
        for blob in blobs:
            async with client.get(f"{node.url}/v2/team/app/blobs/{Digest.of(blob)}") as answer:
                assert (answer.status, await answer.read()) == (200, blob)


async def refusal(url: str) -> dict[str, str]:
    """The finding that a refusal names."""
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        told: dict[str, str] = (await answer.json())["errors"][0]["detail"]["finding"]
        return told


async def image(parent: PlainParent, node: Node, *layers: bytes) -> None:
    """Have the site know which blobs there are."""
    parent.add_image("1", *layers)
    async with aiohttp.ClientSession() as client, client.get(f"{node.url}/v2/team/app/manifests/1") as answer:
        assert answer.status == 200


async def test_a_parent_that_is_slower_than_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        slow = await stack.enter_async_context(Link("127.0.0.1", parent.port, Conditions(rate=100_000)))
        node = await stack.enter_async_context(site(tmp_path, f"http://127.0.0.1:{slow.port}", parent.url))
        layers = [os.urandom(8 * MIB), os.urandom(8 * MIB)]
        await image(parent, node, *layers)
        assert "parent-slow" not in named(node)
        await pull(node, *layers)
        await says(node, "parent-slow")
        quick = f"/s where 127.0.0.1:{parent.port} gives "
        await eventually(lambda: quick in named(node)["parent-slow"], lambda: named(node))
        assert named(node)["parent-slow"].startswith(f"127.0.0.1:{slow.port} gives ")
        assert set(named(node)) == {"parent-slow"}, "nothing is evicted, and the other parent is quick"


async def test_a_store_that_evicts_what_it_needs_again(tmp_path: Path) -> None:
    async with plain_parent() as parent, site(tmp_path, parent.url, store={"quota": "20MiB"}) as node:
        layers, larger = [os.urandom(7 * MIB) for _ in range(4)], os.urandom(21 * MIB)
        await image(parent, node, *layers, larger)
        for _ in range(3):
            await pull(node, *layers)
        await pull(node, larger)
        assert await says(node, "store-small") == (
            f"A blob of 22 MB of {HOST}/team/app is larger than the store (21 MB): each pull fetches it again."
        )
        said = await says(node, "store-thrash")
        assert said.endswith(
            "% of what was evicted within 24 h was fetched again: the store throws out what it needs."
        )


async def test_bytes_are_counted_by_registry_and_paid_for(tmp_path: Path) -> None:
    async with plain_parent() as parent:
        label, layer = f"127.0.0.1:{parent.port}", os.urandom(MIB)
        async with site(tmp_path, parent.url, more={"prices": {label: "1000 CHF/GB"}}) as node:
            await image(parent, node, layer)
            await pull(node, layer, layer)
            async with aiohttp.ClientSession() as client:
                async with client.get(f"{node.admin_url}/status") as answer:
                    day = (await answer.json())["last_day"]
                async with client.get(f"{node.admin_url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
            told = {
                name: float(value)
                for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
            }
            prefix, of = "registry_mesh_", f'parent="{label}",registry="{HOST}"'
            came = told[f"{prefix}upstream_bytes_total{{{of}}}"]
            assert came > MIB
            assert told[f'{prefix}parent_price_per_byte{{currency="CHF",{of}}}'] == pytest.approx(1e-6)
            assert told[f'{prefix}parent_state{{{of},state="in_use"}}'] == 1
            served = {
                s: told[f'{prefix}served_bytes_total{{registry="{HOST}",source="{s}"}}'] for s in SOURCES
            }
            assert served["store"] >= MIB and served["parent"] >= MIB and served["sibling"] == 0
            assert sum(served.values()) == day["sent_bytes"]
            (money,) = day["money"]
            assert (money["currency"], money["spent"]) == ("CHF", pytest.approx(came / 1e6, abs=1e-3))
            assert money["not_spent"] == pytest.approx(day["saved_bytes"] / 1e6, abs=1e-3)


async def test_what_is_held_and_comes_late(tmp_path: Path) -> None:
    async with plain_parent() as parent, site(tmp_path, parent.url) as node:
        hits, lookout = node.table.row(0).histogram(FIRST_BYTE, "hit"), node.keeper.lookout
        lookout.look(time.time())
        hits.observe(0.001, 500)
        lookout.look(time.time())
        assert "hits-slow" not in named(node)
        hits.observe(0.3, 50)
        lookout.look(time.time())
        assert named(node)["hits-slow"].endswith(" ms to its first byte (p99).")


async def test_a_parent_that_is_gone_while_grace_is_short(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        leaving = await stack.enter_async_context(AsyncExitStack())
        parent = await leaving.enter_async_context(plain_parent())
        grace = {"offline_grace": "4d", "stale_if_error": "4d"}
        node = await stack.enter_async_context(site(tmp_path, parent.url, tags=grace))
        await image(parent, node)
        await leaving.aclose()
        async with aiohttp.ClientSession() as client:
            await client.get(f"{node.url}/v2/team/app/manifests/2")
        for ahead in (0, 6):  # it is said once it has held for five seconds
            assert "grace-ending" not in named(node)
            node.keeper.lookout.look(time.time() + ahead)
        assert named(node)["grace-ending"] == f"Tags of {HOST} are answered for 4 d more, then digests only."
        assert "offline" in named(node)


async def test_errors_of_all_parents_are_told_apart_from_silence(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        parents = [await stack.enter_async_context(plain_parent()) for _ in range(2)]
        node = await stack.enter_async_context(site(tmp_path, *(parent.url for parent in parents)))
        await image(parents[0], node)
        for parent in parents:
            parent.odd = lambda _: web.Response(status=500)
        async with aiohttp.ClientSession() as client:

            async def outage() -> Any:
                await client.get(f"{node.url}/v2/team/app/manifests/2")
                node.keeper.lookout.look(time.time())
                async with client.get(f"{node.admin_url}/status") as answer:
                    return (await answer.json())["registries"][HOST]["outage"]

            await eventually(outage, "no parent to be asked")
            told = await outage()
            assert told["parents"] == "failing"
            assert 6 * 86400 < told["tags_for_seconds"] <= 7 * 86400, "so long tags are answered among errors"
            node.keeper.lookout.look(time.time() + 6)
            ends = {day(time.time() + told["tags_for_seconds"] + seconds) for seconds in (-60, 60)}
            found = named(node)
            assert list(found) == ["offline"], "their errors show that the link is well"
            said, _, rest = found["offline"].partition(";")
            assert re.fullmatch(rf"No parent of {HOST} answers but with errors since .*\d\d:\d\d", said)
            assert rest in {f" what is held goes on, tags until {each}." for each in ends}


async def test_a_parent_that_does_not_take_our_login(tmp_path: Path) -> None:
    secret = tmp_path / "login.json"
    secret.touch(mode=0o600)

    def asks(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    async with plain_parent() as parent:
        parent.odd, more = asks, {"credentials": f"file:{secret}", "readers": "everybody"}
        secret.write_text(json.dumps({"auths": {f"127.0.0.1:{parent.port}": {"auth": "dTp3cm9uZw=="}}}))
        parent.add_image("1", b"layer")
        async with site(tmp_path, parent.url, more=more) as node, aiohttp.ClientSession() as client:
            url = f"{node.url}/v2/team/app/manifests/1"
            assert (await client.get(url)).status == 503
            said = f"127.0.0.1:{parent.port} does not take our credentials for {HOST}."
            node.keeper.lookout.look(time.time())
            assert "parent-denied" not in named(node)
            node.keeper.lookout.look(time.time() + 6)
            assert named(node)["parent-denied"] == said
            assert (await refusal(url))["name"] == "parent-denied"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, "text/html", "400, as an HTTPS port does to plain HTTP"),
        (404, "text/html", "404"),
        (200, "text/html", "a web page"),
        (401, "application/json", ""),
    ],
)
async def test_a_parent_that_is_no_registry(tmp_path: Path, status: int, kind: str, words: str) -> None:
    async with plain_parent() as parent:
        parent.odd = lambda _: web.Response(status=status, content_type=kind)
        async with site(tmp_path, parent.url) as node:
            sheet = node.board.sheet(parent.url.partition("//")[2])
            await eventually(lambda: sheet.standing(0.0).since, "a ping")
            for ahead in (0, 6):
                node.keeper.lookout.look(time.time() + ahead)
            said = f"127.0.0.1:{parent.port} is no registry: it answers /v2/ with {words}."
            assert named(node) == ({"parent-down": said} if words else {})
            if words:
                assert (await refusal(f"{node.url}/v2/team/app/manifests/1"))["sentence"] == said
                node.keeper.lookout.look(time.time() + 20)
                assert named(node) == {"parent-down": said}, "pages that it gives are no images"


async def test_a_parent_that_leads_where_nobody_follows(tmp_path: Path) -> None:
    """It gives manifests, and sends for layers to a host that nobody named: pulls fail, and say why."""

    def leads(request: web.BaseRequest) -> web.StreamResponse | None:
        away = {"Location": "https://cdn.example/layer"}
        return web.Response(status=307, headers=away) if "/blobs/" in request.path else None

    async with plain_parent() as parent:
        parent.odd = leads
        async with site(tmp_path, parent.url) as node, aiohttp.ClientSession(node.url) as client:
            await image(parent, node, b"layer")
            url = f"{node.url}/v2/team/app/blobs/{Digest.of(b'layer')}"
            answer = await client.get(url)
            assert answer.status == 503, await answer.text()
            for ahead in (0, 6):
                node.keeper.lookout.look(time.time() + ahead)
            said = (
                f"127.0.0.1:{parent.port} redirects to none of the registry's hosts, to cdn.example:443: "
                "this node does not follow."
            )
            assert named(node) == {"parent-down": said}
            assert (await refusal(url))["sentence"] == said
            found = next(each for each in node.keeper.findings().findings if each.name == "parent-down")
            assert f"name it in registries.{HOST}.redirects" in found.next


@pytest.mark.parametrize(
    ("status", "challenge"),
    [(403, ""), (403, 'Bearer realm="http://127.0.0.1:9/"'), (401, 'Basic realm="x"')],
)
async def test_a_parent_that_gives_a_node_without_a_login_nothing(
    tmp_path: Path, status: int, challenge: str
) -> None:
    """Until it gives something: its admin let the node in."""
    async with plain_parent() as parent:
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        parent.odd = lambda _: web.Response(status=status, headers=headers)
        parent.add_image("1", b"layer")
        async with site(tmp_path, parent.url) as node, aiohttp.ClientSession(node.url) as client:
            ((parent_and_login, _),) = node.board.welcomes.registries.items()
            sheet = node.board.welcomes.sheet(*parent_and_login)
            await eventually(lambda: sheet.welcome().denied_since, "a ping")
            for ahead in (0, 6):
                node.keeper.lookout.look(time.time() + ahead)
            said = (
                f"127.0.0.1:{parent.port} gives this node nothing of {HOST}: it answers /v2/ with {status}."
            )
            assert named(node) == {"parent-denied": said}
            if not challenge:
                assert (await refusal(f"{node.url}/v2/team/app/manifests/1"))["name"] == "parent-denied"
            parent.odd = lambda _: None
            assert (await client.get("/v2/team/app/manifests/1")).status == 200
            for ahead in (8, 20):
                node.keeper.lookout.look(time.time() + ahead)
            assert named(node) == {}


async def test_a_parent_that_refuses_one_repository_alone(tmp_path: Path) -> None:
    async with plain_parent() as parent:
        parent.odd = lambda request: web.Response(status=403) if "/secret/" in request.path else None
        async with site(tmp_path, parent.url) as node, aiohttp.ClientSession(node.url) as client:
            assert (await client.get("/v2/team/secret/manifests/1")).status == 403
            for ahead in (0, 6):
                node.keeper.lookout.look(time.time() + ahead)
            assert named(node) == {}


def page(_: web.BaseRequest) -> web.Response:
    return web.Response(text="<html>log in</html>", content_type="text/html")


async def test_a_parent_whose_images_a_web_page_takes_the_place_of(tmp_path: Path) -> None:
    """Before, it is a registry of files, whose folder /v2/ is a page."""
    async with plain_parent() as parent:
        parent.odd = lambda request: page(request) if request.path == "/v2/" else None
        parent.add_image("1", b"layer")
        async with site(tmp_path, parent.url) as node, aiohttp.ClientSession(node.url) as client:
            sheet = node.board.sheet(parent.url.partition("//")[2])
            await eventually(lambda: sheet.standing(0.0).no_registry, "a ping")
            assert (await client.get("/v2/team/app/manifests/1")).status == 200
            for ahead in (0, 20):
                node.keeper.lookout.look(time.time() + ahead)
            assert named(node) == {}
            parent.odd = page

            async def told() -> str:
                async with client.get(f"/v2/team/app/manifests/{time.monotonic_ns()}") as answer:
                    said = (await answer.json())["errors"][0]["message"]
                assert (answer.status, said.split(": ")[0]) == (503, f"127.0.0.1:{parent.port}")
                for ahead in (30, 40):
                    node.keeper.lookout.look(time.time() + ahead)
                return named(node).get("parent-down", "")

            words = "is no registry: it answers /v2/ with a web page."
            assert (await eventually(told, "it is said")).endswith(words)


async def test_a_parent_whose_certificate_nobody_signed(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path, "IP:127.0.0.1"))
    async with plain_parent(tls) as parent, site(tmp_path, f"https://127.0.0.1:{parent.port}") as node:
        await eventually(lambda: node.board.sheet(parent.url.partition("//")[2]).standing(0.0).why, "a ping")
        for ahead in (0, 6):  # it is said once it has held for five seconds
            node.keeper.lookout.look(time.time() + ahead)
        said = named(node)["tls-untrusted"]
        why = "its TLS certificate is signed by nobody that this node trusts"
        assert said == f"127.0.0.1:{parent.port} cannot be trusted: {why}."
        assert "offline" in named(node)


RULES = """schema: registry-mesh/rules/2
rules:
- {{name: all, from: {host}, repos: team/app, tags: "v*", delete: 0s}}
- {{name: idle, from: {host}, repos: team/app, tags: "release-*"}}
"""


async def test_rules_that_select_nothing_or_delete_too_much(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(RULES.format(host=HOST))
    async with plain_parent() as parent:
        for tag in range(20):
            parent.add_image(f"v{tag}", b"%d" % tag)
        file = tmp_path / "replica.yaml"
        file.write_text(
            f"role: replica\nname: replica\nlisten: {{address: 127.0.0.1, port: 0}}\nadmin: {{port: 0}}\n"
            f"store: {{disk: {{path: {tmp_path}/store}}}}\nrules: {rules}\nreplication: {{interval: 1s}}\n"
            f'registries: {{{HOST}: {{parents: [["{parent.url}"]]}}}}\n'
        )
        node = build(load(file).config)
        await node.start()
        try:
            assert await says(node, "rule-empty") == f"Rule idle selects nothing of {HOST}."
            (found,) = [each for each in node.keeper.findings().findings if each.name == "rule-empty"]
            assert found.next == f"mend it, or take it out: {rules}/a.yaml:4:3"
            assert "guard-stopped" not in named(node)
            for tag in range(15):
                del parent.manifests[f"v{tag}"]
            said = await says(node, "guard-stopped")
            assert said == (
                f"The rules would delete 75% of the tags of {HOST}; the guard is 10%. Nothing was deleted."
            )
            assert "replication-behind" not in named(node), "all that is wanted is held"
        finally:
            await node.close()
        (found,) = [each for each in node.keeper.findings().findings if each.name == "guard-stopped"]
        assert found.next.startswith("registry-mesh rules approve sha256:")


async def test_an_origin_that_rules_fill_and_that_deletes_by_rules_says_what_is_wrong_of_both(
    tmp_path: Path,
) -> None:
    for folder in ("rules", "retention"):
        (tmp_path / folder).mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES.format(host=HOST).replace(", delete: 0s", ""))
    (tmp_path / "retention" / "a.yaml").write_text("schema: registry-mesh/rules/2\nrules: [{}]\n")
    async with plain_parent() as parent:
        parent.add_image("v1", b"1")
        file = tmp_path / "origin.yaml"
        file.write_text(
            f"role: origin\nregistry: own.example\nlisten: {{address: 127.0.0.1, port: 0}}\nadmin: {{port: 0}}\n"
            f"store: {{disk: {{path: {tmp_path}/store}}}}\nrules: {tmp_path}/rules\n"
            f"retention: {{rules: {tmp_path}/retention, interval: 100ms}}\n"
            f'registries: {{{HOST}: {{parents: [["{parent.url}"]]}}}}\n'
        )
        node = build(load(file).config)
        await node.start()
        try:
            assert await says(node, "rule-empty") == f"Rule idle selects nothing of {HOST}."
            await says(node, "rules-invalid")
        finally:
            await node.close()


async def test_a_registry_that_clients_miss_is_named(tmp_path: Path) -> None:
    async with plain_parent() as parent, site(tmp_path, f"http://127.0.0.1:{parent.port}") as node:
        async with aiohttp.ClientSession() as client:
            for path in ("manifests/1", "blobs/sha256:" + "a" * 64) * 5:
                assert (await client.get(f"{node.url}/v2/a/{path}?ns=ghcr.io")).status == 404
            await client.get(f"{node.url}/v2/team/app/manifests/none?ns={HOST}")
        assert await says(node, "unknown-registry") == "One node asks for ghcr.io, which is not served here."
        assert set(named(node)) == {"unknown-registry"}
