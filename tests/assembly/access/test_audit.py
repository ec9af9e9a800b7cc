"""The audit log of a whole node: everything that is to be there, each line by the published schema."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.auth.robots import digest
from registry_mesh.cli.main import main
from registry_mesh.config.robot_files import write_robot
from registry_mesh.oci.digest import Digest
from registry_mesh.telemetry.audit import EVENTS, SCHEMA_ID, json_schema, line
from tests.assembly.access.test_policy_in_force import ALICE, config
from tests.eventually import eventually
from tests.simulators.whole import whole_lines, write_whole

SCHEMA = Path(__file__).parents[3] / "config" / "schema" / SCHEMA_ID
INDEX = "application/vnd.oci.image.index.v1+json"
DATA = b"blob"
POLICY = """
schema: registry-mesh/access/1
policies:
  - {name: team, repos: "**", subjects: users, allow: [push, delete]}
  - {name: closed, repos: "closed/**", subjects: users, deny: push}
"""


def manifest(n: int) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"n": str(n)}}
    ).encode()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in whole_lines(folder / "audit.log")]


async def ask(method: str, url: str, who: str | None = ALICE, data: bytes = b"", **fields: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    headers |= {"Authorization": who} if who else {}
    async with aiohttp.request(method, url, data=data, headers=headers) as answer:
        await answer.read()
        return answer.status


async def do_everything(node: Node, folder: Path) -> None:
    repository = f"{node.url}/v2/team/app"
    assert await ask("GET", f"{node.url}/token") == 200
    assert await ask("GET", f"{node.url}/token", "Basic eDp5") == 401
    assert await ask("GET", f"{repository}/tags/list", "Basic eDp5") == 401
    assert await ask("POST", f"{node.url}/v2/closed/app/blobs/uploads/") == 403
    assert await ask("POST", f"{repository}/blobs/uploads/?digest={Digest.of(DATA)}", data=DATA) == 201
    for n in range(2):
        assert await ask("PUT", f"{repository}/manifests/1.0", data=manifest(n), Content_Type=INDEX) == 201
    assert await ask("DELETE", f"{repository}/manifests/1.0") == 202
    await eventually(lambda: any(each["event"] == "delete" for each in lines(folder)), "what was gathered")
    undone = await asyncio.to_thread(
        CliRunner().invoke, main, ["tags", "undo", str(folder / "node.yaml"), "team/app:1.0"]
    )
    assert undone.exit_code == 0, undone.output
    assert await ask("DELETE", f"{repository}/manifests/{Digest.of(manifest(0))}") == 202
    assert await ask("DELETE", f"{repository}/blobs/{Digest.of(DATA)}") == 202
    more = '  - {name: more, repos: "**", subjects: users, allow: pull}\n'
    write_whole(folder / "access" / "a.yaml", POLICY + more)
    await eventually(lambda: any(each["event"] == "access-changed" for each in lines(folder)), "the change")
    write_whole(folder / "access" / "b.yaml", "nonsense")
    await eventually(lambda: any(each["event"] == "access-invalid" for each in lines(folder)), "the fault")
    images = f"{node.admin_url}/api/1/images/evict"
    assert await ask("POST", images, None, b'{"images": ["a\\nb"]}') in (400, 404)


async def test_a_login_is_the_callers_by_the_name_that_all_other_lines_have(tmp_path: Path) -> None:
    """Who looks for what `robot:ci` did finds its logins, and those that were refused by what was written there."""
    (tmp_path / "robots").mkdir()
    now = datetime.now(UTC)
    times = now, now + timedelta(days=1)
    write_robot(tmp_path / "robots", "ci", digest("rmr_secret"), times, ["push"], ["**"], [])
    access = {"robots": str(tmp_path / "robots"), "anonymous": "nothing"}
    log = {"audit": str(tmp_path / "audit.log")}
    async with running(config(tmp_path, registry="r.example", access=access, log=log)) as node:
        for secret, status in (("rmr_secret", 200), ("rmr_wrong", 401)):
            login = "Basic " + base64.b64encode(f"robot$ci:{secret}".encode()).decode()
            assert await ask("GET", f"{node.url}/token", login) == status
    told = [(each["event"], each["subject"]) for each in lines(tmp_path)]
    assert told == [("login", "robot:ci"), ("login-refused", "robot$ci")]


async def test_whatever_is_to_be_in_it_is_and_fits_the_schema(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n")
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "a.yaml").write_text(POLICY)
    access = {"users": str(tmp_path / "users"), "policies": str(tmp_path / "access")}
    log = {"audit": str(tmp_path / "audit.log")}
    document = {"role": "origin", "name": "node", "registry": "r.example", "access": access, "log": log}
    (tmp_path / "node.yaml").write_text(
        json.dumps({**document, "store": {"disk": {"path": str(tmp_path / "store")}}})
    )
    async with running(config(tmp_path, registry="r.example", access=access, log=log)) as node:
        await do_everything(node, tmp_path)
    found = lines(tmp_path)
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    for each in found:
        validator.validate(each)
        assert each["node"] == "node" and (each["reason"] or each["event"] != "refused")
    assert [each["event"] for each in found] == [
        "login",
        "login-refused",
        "login-refused",
        "refused",
        "upload",
        "push",
        "push",
        "delete",
        "undo",
        "delete",
        "delete",
        "access-changed",
        "access-invalid",
        "admin",
    ]
    elsewhere = {
        "admin-refused",
        "gc",
        "retention",
        "lost",
    }  # admin/test_server, runs/test_audited, edge/test_access_log
    assert {each["event"] for each in found} | elsewhere == set(EVENTS)
    first, second = (each for each in found if each["event"] == "push")
    assert first["moved"] is None and second["moved"] == {"1.0": str(Digest.of(manifest(0)))}
    (undone,) = (each for each in found if each["event"] == "undo")
    assert (undone["digest"], undone["tags"], undone["moved"]) == (str(Digest.of(manifest(1))), ["1.0"], None)
    assert all(
        each["client"] == "127.0.0.1"
        for each in found
        if each["event"] != "undo" and each["event"][:6] != "access"
    )
    assert all(each["subject"] == "alice" for each in found if each["event"] in ("push", "upload", "delete"))


def test_the_schema_is_published_as_it_is() -> None:
    assert json.loads(SCHEMA.read_text()) == json_schema()
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\x1b[2J", "\x00", "\u2028", "\x85", "\u202e", "\ud800", '"}\n{']
)
def test_no_text_ends_a_line_or_hides_one(text: str) -> None:
    said = line("login", "node", subject=text, reason=text)
    assert said.count("\n") == 1 and said.endswith("\n")
    assert said[:-1].isascii() and said[:-1].isprintable() and len(said.splitlines()) == 1
    assert json.loads(said)["subject"] == text
