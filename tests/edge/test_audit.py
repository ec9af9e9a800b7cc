"""The audit log: every event has its line, and no line can be forged."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest_asyncio

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import EVERYTHING, PULLING
from registry_mesh.auth.book import Book
from registry_mesh.auth.policies import Entry, Policies
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.telemetry.audit import EVENTS, FIELDS
from tests.edge.conftest import Edge, Start
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole

KEY = new_key()
HASHES = {user: bcrypt.hashpw(user.encode(), bcrypt.gensalt(4)).decode() for user in ("alice", "bob")}
POLICIES = Policies(
    (Entry("alice", frozenset({"alice"}), allow=EVERYTHING), Entry("bob", frozenset({"bob"}), allow=PULLING)),
    {},
)
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()


def basic(user: str, password: str | None = None) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password or user}".encode()).decode()


@pytest_asyncio.fixture
async def edge(start: Start, tmp_path: Path) -> Edge:
    authorizer = Authorizer(Book(POLICIES, HASHES), Tokens(KEY, "node", "node", 300), time.time)
    settings = Settings(
        name="node", policy=authorizer, tokens=authorizer, audit_log=str(tmp_path / "audit.log")
    )
    return await start(SimulatedRole(), settings)


async def lines(edge: Edge, tmp_path: Path) -> list[dict[str, Any]]:
    await edge.server.close()
    found = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    for line in found:
        assert tuple(line) == FIELDS
        assert line["event"] in EVENTS
        assert (line["node"], line["client"]) == ("node", "127.0.0.1")
    return found


async def test_each_event_has_its_line(edge: Edge, tmp_path: Path) -> None:
    data = b"blob"
    digest = str(Digest.of(data))
    alice, bob = basic("alice"), basic("bob")
    await edge.ask("GET", "/token", Authorization=alice)
    await edge.ask("GET", "/token", Authorization=basic("alice", "wrong"))
    await edge.ask("POST", f"/v2/a/b/blobs/uploads/?digest={digest}", data, Authorization=alice)
    await edge.ask("GET", f"/v2/a/b/blobs/{digest}", Authorization=alice)
    await edge.ask("POST", "/v2/a/b/blobs/uploads/", Authorization=bob)
    await edge.ask("GET", "/v2/a/b/tags/list")
    await edge.ask("GET", "/v2/a/b/tags/list", Authorization=basic("bob", "wrong"))
    await edge.ask("DELETE", f"/v2/a/b/blobs/{digest}", Authorization=alice)
    found = await lines(edge, tmp_path)
    assert [(line["event"], line["subject"], line["status"], line["repository"]) for line in found] == [
        ("login", "alice", 200, None),
        ("login-refused", "alice", 401, None),
        ("upload", "alice", 201, "a/b"),
        ("refused", "bob", 403, "a/b"),
        ("login-refused", "bob", 401, "a/b"),
        ("delete", "alice", 202, "a/b"),
    ]
    assert found[5]["digest"] == digest
    assert found[3]["reason"] == "bob may not push here"


async def test_a_name_of_any_length_fills_no_disk(edge: Edge, tmp_path: Path) -> None:
    """A refused login costs its sender nothing: it must not cost the log a line as long as a form may be."""
    await edge.ask("POST", "/token", "grant_type=password&password=x&username=" + "u" * 60_000)
    for long in (basic("u" * 3_000), basic("u" * 9_000), "Basic !", "Basic dTo=x", "Bearer x"):
        await edge.ask("GET", "/token", Authorization=long)
    found = await lines(edge, tmp_path)
    assert [line["event"] for line in found] == ["login-refused"] * 6
    assert all(len(json.dumps(line)) < 1000 for line in found)


async def test_a_push_says_which_tags_point_at_what(edge: Edge, tmp_path: Path) -> None:
    fields = {"Authorization": basic("alice"), "Content-Type": INDEX}
    answer = await edge.ask("PUT", "/v2/a/b/manifests/1.0", MANIFEST, **fields)
    found = await lines(edge, tmp_path)
    assert answer.status == 201
    assert [(line["event"], line["tags"], line["reference"]) for line in found] == [("push", ["1.0"], "1.0")]
    assert found[0]["digest"] == answer.headers["docker-content-digest"]


async def test_no_line_is_forged_and_no_secret_told(edge: Edge, tmp_path: Path) -> None:
    evil = 'x\n{"event":"login","subject":"root"}\n\x1b[31m'
    form = "grant_type=password&username=" + "%0A".join(["a", "{}"]) + "&password=hunter2"
    await edge.ask("POST", "/token", form)
    await edge.ask(
        "GET", "/token?scope=repository:a:pull&account=hunter2", Authorization=basic("alice", "hunter2")
    )
    await edge.ask(
        "GET", "/v2/a/tags/list?hunter2", Authorization=basic(evil.replace("\n", " ").strip(), "hunter2")
    )
    found = await lines(edge, tmp_path)
    assert [line["event"] for line in found] == ["login-refused", "login-refused", "refused"]
    assert found[0]["subject"] == "a\n{}"
    text = (tmp_path / "audit.log").read_text()
    assert "hunter2" not in text
    assert text.isascii() and text.replace("\n", "").isprintable()


async def test_a_log_that_was_moved_away_is_opened_anew(edge: Edge, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    await edge.ask("GET", "/token", Authorization=basic("alice"))
    await eventually(lambda: log.read_text(), "the first line")
    log.rename(tmp_path / "audit.log.1")
    edge.server.reopen_log()
    await edge.ask("GET", "/token", Authorization=basic("bob"))
    assert [line["subject"] for line in await lines(edge, tmp_path)] == ["bob"]


async def test_who_a_client_says_it_is_is_not_believed(edge: Edge, tmp_path: Path) -> None:
    said = {"X_Forwarded_For": "192.0.2.1", "X_Real_IP": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    await edge.ask("GET", "/token", Authorization=basic("alice"), **said)
    assert [line["client"] for line in await lines(edge, tmp_path)] == ["127.0.0.1"]
