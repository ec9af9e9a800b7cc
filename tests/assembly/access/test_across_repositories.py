"""Nothing of a private repository is had through one's own: by mounts, manifests, referrers, or by its digest."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.oci.digest import Digest
from tests.assembly.access.test_policy_in_force import config
from tests.mesh.test_private_images import CONFIG, LAYER, MANIFEST, OCI, basic

POLICY = """
schema: registry-mesh/access/1
policies:
  - {name: owner, repos: "team/**", subjects: alice, allow: push}
  - {name: neighbour, repos: "own/**", subjects: carol, allow: push}
"""
ALICE, CAROL = basic("alice", "alice"), basic("carol", "carol")
ABOUT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": str(Digest.of(b"{}")),
            "size": 2,
        },
        "layers": [],
        "subject": {"mediaType": OCI, "digest": str(Digest.of(MANIFEST)), "size": len(MANIFEST)},
    }
).encode()


class Origin:
    def __init__(self, url: str) -> None:
        self.url = url

    async def ask(
        self, method: str, path: str, who: str, data: bytes = b"", kind: str = OCI
    ) -> tuple[int, bytes]:
        headers = {"Authorization": who, "Content-Type": kind}
        async with aiohttp.request(method, f"{self.url}/v2/{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.read()

    async def token(self, *scopes: str) -> str:
        """Carol's, for whatever of these she may have."""
        params = [("scope", scope) for scope in scopes]
        headers = {"Authorization": CAROL}
        async with aiohttp.request("GET", f"{self.url}/token", params=params, headers=headers) as answer:
            return "Bearer " + (await answer.json())["token"]


@pytest.mark.parametrize("shown", ["a password", "a token"])
async def test_a_neighbour_gets_nothing_that_is_not_its_own(tmp_path: Path, shown: str) -> None:
    salt = bcrypt.gensalt(4)
    hashes = [f"{name}:{bcrypt.hashpw(name.encode(), salt).decode()}\n" for name in ("alice", "carol")]
    (tmp_path / "users").write_text("".join(hashes))
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "a.yaml").write_text(POLICY)
    access = {"users": str(tmp_path / "users"), "policies": str(tmp_path / "access")}
    async with running(config(tmp_path, registry="r.example", access=access)) as node:
        origin = Origin(node.url)
        layer, empty = Digest.of(LAYER), Digest.of(CONFIG)
        for data in (LAYER, CONFIG):
            path = f"team/app/blobs/uploads/?digest={Digest.of(data)}"
            assert (await origin.ask("POST", path, ALICE, data))[0] == 201
        assert (await origin.ask("PUT", "team/app/manifests/1", ALICE, MANIFEST))[0] == 201

        scopes = ("repository:own/app:pull,push", "repository:team/app:pull")
        who = CAROL if shown == "a password" else await origin.token(*scopes)
        for source in ("&from=team/app", ""):
            status, _ = await origin.ask("POST", f"own/app/blobs/uploads/?mount={layer}{source}", who)
            assert status == 202, "an upload is begun: as if the blob were nowhere"
        for path in (f"blobs/{layer}", f"manifests/{Digest.of(MANIFEST)}"):
            assert (await origin.ask("GET", f"own/app/{path}", who))[0] == 404
            assert (await origin.ask("HEAD", f"own/app/{path}", who))[0] == 404
        status, said = await origin.ask("PUT", "own/app/manifests/1", who, MANIFEST)
        assert status in (400, 404) and b"MANIFEST_BLOB_UNKNOWN" in said

        path = f"own/app/blobs/uploads/?digest={empty}"
        assert (await origin.ask("POST", path, who, CONFIG))[0] == 201
        about = f"referrers/{Digest.of(MANIFEST)}"
        assert (await origin.ask("PUT", "own/app/manifests/about", who, ABOUT))[0] == 201
        for name, reader, found in (("own/app", who, 1), ("team/app", ALICE, 0)):
            status, said = await origin.ask("GET", f"{name}/{about}", reader)
            assert (status, len(json.loads(said)["manifests"])) == (200, found), "each repository has its own"
        assert (await origin.ask("GET", f"team/app/{about}", who))[0] in (401, 403)
