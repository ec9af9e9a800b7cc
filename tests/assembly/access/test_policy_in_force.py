"""The access of a whole node: files that change, registries that need a line."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from registry_mesh.access.tokens import new_key
from registry_mesh.assembly.access.policy_in_force import LOOK, NodeAccess
from registry_mesh.assembly.node.build import Node, running
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from tests.eventually import eventually
from tests.simulators.alike import write_alike
from tests.simulators.parent import plain_parent
from tests.simulators.whole import write_whole

HASH = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
ALICE = "Basic " + base64.b64encode(b"alice:wonder").decode()


def config(folder: Path, role: str = "origin", **more: Any) -> Config:
    whole = {
        "role": role,
        "name": "node",
        "listen": {"port": 0},
        "admin": {"port": 0, "address": "127.0.0.2"},
        "store": {"disk": {"path": str(folder / "store")}},
        **more,
    }
    return parse(json.dumps(whole), "node.yaml").config


async def status(url: str, authorization: str | None = None, method: str = "GET") -> int:
    headers = {"Authorization": authorization} if authorization else {}
    async with aiohttp.request(method, url, headers=headers) as answer:
        return answer.status


async def test_changes_of_the_files_take_effect_and_faults_do_not(tmp_path: Path) -> None:
    users, policies, audit = tmp_path / "users", tmp_path / "access", tmp_path / "audit.log"
    users.write_text(f"alice:{HASH}\n")
    policies.mkdir()
    head = "schema: registry-mesh/access/1\npolicies:\n"
    rule = '  - {name: all, repos: "**", subjects: users, allow: push}\n'
    (policies / "a.yaml").write_text(head + rule)
    access = {"users": str(users), "policies": str(policies)}
    async with running(
        config(tmp_path, registry="r.example", access=access, log={"audit": str(audit)})
    ) as node:
        push = f"{node.url}/v2/a/b/blobs/uploads/"

        async def answers(wanted: int) -> None:
            await eventually(
                lambda: status(push, ALICE, "POST"),
                f"{wanted}",
                pause=0.05,
                until=lambda answer: answer == wanted,
            )

        assert await status(push, None, "POST") == 401
        await answers(202)
        (policies / "a.yaml").write_text(head + rule.replace("push", "pull"))
        await answers(403)
        write_whole(policies / "a.yaml", head + rule)
        await answers(202)
        (policies / "b.yaml").write_text("nonsense")  # with it, nothing of the folder is believed
        await eventually(
            lambda: "b.yaml" in audit.read_text(), "it to be seen: not the other file without it"
        )
        (policies / "a.yaml").write_text(head + rule.replace("push", "pull"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * LOOK):
                await answers(403)
        (policies / "b.yaml").unlink()
        await answers(403)
        users.write_text("")
        await answers(401)
        async with aiohttp.request(
            "POST", f"{node.admin_url}/api/1/images/evict", json={"images": ["x"]}
        ) as answer:
            assert answer.status == 404
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    told = [
        (line["event"], line["reason"] or line["reference"])
        for line in lines
        if line["event"][:2] in ("ac", "ad")
    ]
    says = ("access-changed", "policy all says something else")
    assert [each for each in told if each[0] != "access-invalid"] == [
        *[says] * told.count(says),
        ("access-changed", "user alice went"),
        ("admin", "x"),
    ]
    assert told.count(says) == 3
    assert any(event == "access-invalid" and "b.yaml" in str(why) for event, why in told)


async def test_an_old_password_is_refused_though_its_file_looks_as_before(tmp_path: Path) -> None:
    """Hashes are of one length, and what unpacks a file gives it the time that it likes."""
    users = tmp_path / "users"
    users.write_text(f"alice:{HASH}\n")
    async with running(config(tmp_path, registry="r.example", access={"users": str(users)})) as node:
        assert await status(f"{node.url}/v2/", ALICE) == 200
        write_alike(users, f"alice:{bcrypt.hashpw(b'another', bcrypt.gensalt(4)).decode()}\n")
        await eventually(
            lambda: status(f"{node.url}/v2/", ALICE), "401", pause=0.05, until=lambda answer: answer == 401
        )


async def test_a_change_that_could_not_be_taken_over_is_taken_over_later(tmp_path: Path) -> None:
    """Else a login that was taken away would stay, until the next change."""
    users = tmp_path / "users"
    users.write_text(f"alice:{HASH}\n")
    access = NodeAccess(config(tmp_path, registry="r.example", access={"users": str(users)}), new_key())
    told: list[str] = []

    def audit(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            raise OSError("no room for the audit log")

    access.audit = audit
    users.write_text("no login at all\n")
    with pytest.raises(OSError, match="no room"):
        await access.watch()
    watching = asyncio.create_task(access.watch())
    await eventually(lambda: len(told) == 2, "it to be looked at again")
    watching.cancel()


async def finding(node: Node, name: str) -> str:
    """What the node says of it to its operator, once it does."""

    async def told() -> str:
        async with aiohttp.request("GET", f"{node.admin_url}/api/1/findings") as answer:
            found = (await answer.json())["findings"]
        return next((each["sentence"] for each in found if each["name"] == name), "")

    return str(await eventually(told, name, pause=0.1))


async def test_a_private_upstream_is_served_to_nobody_without_a_line(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("user:password")
    (tmp_path / "login").chmod(0o600)
    async with plain_parent() as parent:
        parent.add_image("1", b"layer")
        registry = {
            "parents": [[f"http://127.0.0.1:{parent.port}"]],
            "credentials": f"file:{tmp_path / 'login'}",
        }
        for number, (readers, wanted) in enumerate([(None, 403), ("everybody", 200)]):
            known = registry | ({"readers": readers} if readers else {})
            site = config(tmp_path / str(number), "site", registries={"r.example": known})
            async with running(site) as node:
                assert await status(f"{node.url}/v2/") == 200
                url = f"{node.url}/v2/team/app/manifests/1"
                async with aiohttp.request("GET", url) as answer:
                    assert answer.status == wanted
                    if wanted == 403:
                        said = (await answer.json())["errors"][0]["message"]
                        assert "nothing says who may read it" in said
                        assert (
                            "readers: everybody, users, names or @groups below registries.r.example" in said
                        )
                        assert await finding(node, "readers-missing") == (
                            "r.example is served to nobody: no line says who may read it."
                        )


async def test_keys_at_an_address_are_believed_and_kept_over_a_restart(tmp_path: Path) -> None:
    issuer = "https://gitlab.example"
    private = ec.generate_private_key(ec.SECP256R1())
    public = {**json.loads(ECAlgorithm.to_jwk(private.public_key())), "kid": "a", "alg": "ES256"}
    claims = {"iss": issuer, "aud": "r.example", "sub": "job", "exp": int(time.time()) + 600}
    bearer = "Bearer " + jwt.encode(claims, private, "ES256", {"kid": "a"})
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "a.yaml").write_text(
        "schema: registry-mesh/access/1\npolicies:\n"
        '  - {name: jobs, repos: "**", subjects: "gitlab:job", allow: pull}\n'
    )

    async def keys(request: web.BaseRequest) -> web.Response:
        return web.json_response({"keys": [public]})

    runner = web.ServerRunner(web.Server(keys))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    known = {"issuer": issuer, "audience": "r.example", "keys": f"http://127.0.0.1:{runner.addresses[0][1]}/"}
    access = {"issuers": {"gitlab": known}, "policies": str(tmp_path / "access")}
    for reachable in (True, False):
        async with running(config(tmp_path, registry="r.example", access=access)) as node:
            url = f"{node.url}/v2/a/b/tags/list"
            await eventually(
                lambda: status(url, bearer),  # noqa: B023 - it is waited for here
                "it to be let in, and there is no such repository",
                pause=0.05,
                until=lambda answer: answer == 404,
            )
            assert await status(url) == 401
        if reachable:
            await runner.cleanup()
