"""Who may not read a repository cannot tell either what is in it: there and not there are answered alike.

Each request is made twice: for what is there, and for what is not. Whatever a tier holds of a private image, through
the private repository's name or that of one which everybody may read, both answers are one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.test_private_images import users
from tests.mesh.test_private_states import ALICE, LAYERS, LOGINS, MANIFESTS, OCI, Tier, Tree, tree

__all__ = ["tree"]
pytestmark = [pytest.mark.s3, pytest.mark.slow]

NOWHERE = str(Digest.of(b"nowhere"))
PUBLIC = "public/N"
"""What everybody may read names none of it. N is another one each time: what was answered before is remembered."""
NUMBERS = count()
SPAN = {"Range": "bytes=0-9"}
HELD = {"Cache-Control": "only-if-cached"}
CHANGING = {"Date", "Content-Length", "X-Request-ID"}
"""Fields that are never the same."""
REFUSED = {401, 403}
Answer = tuple[int, tuple[tuple[str, str], ...], str]


@dataclass(frozen=True)
class Pair:
    """A request for what is there, and the same for what is not."""

    there: str
    not_there: str
    method: str = "GET"
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def pairs(tag: str) -> Iterator[Pair]:
    """All ways to ask about an image."""
    layer, manifest = Digest.of(LAYERS[tag]), Digest.of(MANIFESTS[tag])
    for method in "GET", "HEAD":
        yield Pair(f"team/app/manifests/{tag}", "team/app/manifests/other", method)
        yield Pair(f"team/app/manifests/{tag}", f"team/none/manifests/{tag}", method)
        yield Pair(f"team/app/manifests/{manifest}", f"team/app/manifests/{NOWHERE}", method)
        yield Pair(f"team/app/blobs/{layer}", f"team/app/blobs/{NOWHERE}", method)
    yield Pair(f"team/app/blobs/{layer}", f"team/app/blobs/{NOWHERE}", fields=SPAN)
    yield Pair("team/app/tags/list", "team/none/tags/list")
    yield Pair(f"team/app/referrers/{manifest}", f"team/app/referrers/{NOWHERE}")
    yield Pair(f"team/app/manifests/{tag}", f"team/none/manifests/{tag}", "DELETE")
    yield Pair(f"team/app/blobs/{layer}", f"team/app/blobs/{NOWHERE}", "DELETE")
    yield Pair("team/app/blobs/uploads/", "team/none/blobs/uploads/", "POST")
    put = {"Content-Type": OCI}
    yield Pair(f"team/app/manifests/{tag}", f"team/none/manifests/{tag}", "PUT", put, MANIFESTS[tag])
    for fields in {}, HELD:
        for method in "GET", "HEAD":
            yield Pair(f"{PUBLIC}/blobs/{layer}", f"{PUBLIC}/blobs/{NOWHERE}", method, fields)
            yield Pair(f"{PUBLIC}/manifests/{manifest}", f"{PUBLIC}/manifests/{NOWHERE}", method, fields)
            yield Pair(f"{PUBLIC}/blobs/{manifest}", f"{PUBLIC}/blobs/{NOWHERE}", method, fields)
        yield Pair(f"{PUBLIC}/blobs/{layer}", f"{PUBLIC}/blobs/{NOWHERE}", fields=SPAN | fields)
        yield Pair(f"{PUBLIC}/_mesh/chunks/{layer}", f"{PUBLIC}/_mesh/chunks/{NOWHERE}", fields=fields)
    yield Pair(f"{PUBLIC}/referrers/{manifest}", f"{PUBLIC}/referrers/{NOWHERE}")


def alike(said: str) -> str:
    """Without what the request itself said, and why a parent does not answer: whether it was asked just now, or is
    known to be down, goes by the clock."""
    words = (
        r"sha256:[0-9a-f]{64}|team/(app|none)|public/\d+|manifests/\w+|(?<=127\.0\.0\.1:)\d+: .*|\bttl=\d+"
    )
    return re.sub(words, "", said)


def told(body: str) -> str:
    """Code and words of a refusal: what is known of a failure beside them changes with the time."""
    if not body.startswith('{"errors"'):
        return body
    (error,) = json.loads(body)["errors"]
    return f"{error['code']} {error['message']}"


@dataclass
class Asking:
    """Compares, at a tier, what callers are answered."""

    tree: Tree
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    async def answer(self, tier: Tier, pair: Pair, path: str, who: str | None) -> Answer:
        fields = {**pair.fields, **({"Authorization": who} if who else {})}
        url = f"{tier.node.url}/v2/{path.replace(PUBLIC, f'public/{next(NUMBERS)}')}"
        async with self.tree.client.request(
            pair.method, url, headers=fields, data=pair.body or None, allow_redirects=False
        ) as answer:
            said = (await answer.read()).decode("latin-1")
            shown = [
                (name, "seconds" if name == "Retry-After" else alike(value))
                for name, value in answer.headers.items()
                if name not in CHANGING
            ]
            return answer.status, tuple(sorted(shown)), alike(told(said))

    async def compare(self, state: str, tier: Tier, tag: str, callers: Mapping[str, str | None]) -> None:
        for name, who in callers.items():
            for pair in pairs(tag):
                private = pair.there.startswith("team/")
                if name == "alice" and private:
                    continue
                there = await self.answer(tier, pair, pair.there, who)
                absent = await self.answer(tier, pair, pair.not_there, who)
                if there != absent or (private and there[0] not in REFUSED):
                    what = f"{state} {tier.name} {name} {pair.method} {pair.there} {pair.fields}"
                    self.wrong.append(f"{what}: {there} / {absent}")

    async def listing(self, tier: Tier, callers: Mapping[str, str | None]) -> None:
        """Who may read it finds it there, and nobody else."""
        for name, who in callers.items():
            fields = {"Authorization": who} if who else {}
            async with self.tree.client.get(f"{tier.node.url}/v2/_catalog?n=100", headers=fields) as answer:
                said = await answer.text()
            if ("team/app" in said) != (name == "alice"):
                self.wrong.append(f"{tier.name} {name}: {answer.status} {said}")

    async def token(self, tier: Tier, repository: str) -> str:
        url = f"{tier.node.url}/token?scope=repository:{repository}:pull"
        async with self.tree.client.get(url, headers={"Authorization": ALICE}) as answer:
            return "Bearer " + str((await answer.json())["token"])

    async def status(self, tier: Tier, path: str, span: str = "") -> int:
        headers = {"Authorization": ALICE} | ({"Range": span} if span else {})
        url = f"{tier.node.url}/v2/team/app/{path}"
        async with self.tree.client.get(url, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            return answer.status


async def test_what_is_there_and_what_is_not_are_answered_alike(tree: Tree, tmp_path: Path) -> None:
    asking = Asking(tree)
    strangers = {name: who for name, who in LOGINS.items() if name != "alice"}
    callers: dict[str, dict[str, str | None]] = {}
    for tier in tree.tiers[:2]:
        for tag in LAYERS:
            path = f"manifests/{tag}"
            await eventually(
                lambda at=tier, path=path: asking.status(at, path),
                path,
                60,
                pause=0.1,
                until=lambda now: now == 200,
            )
    for tier in tree.tiers:
        elsewhere = await asking.token(tier, "public/other")
        callers[tier.name] = {**strangers, "elsewhere": elsewhere, "alice": ALICE}
        await asking.compare("never asked for", tier, "whole", callers[tier.name])
        for path in "manifests/whole", f"blobs/{Digest.of(LAYERS['whole'])}", "manifests/part":
            assert await asking.status(tier, path) in (200, 307)
        assert await asking.status(tier, f"blobs/{Digest.of(LAYERS['part'])}", "bytes=0-9") in (206, 307)
        await asking.compare("held", tier, "whole", callers[tier.name])
        await asking.listing(tier, callers[tier.name])
    await tree.origin.close()
    await tree.tiers[0].node.close()
    below = tree.tiers[1:]
    for tier in below:
        await asking.compare("offline", tier, "whole", callers[tier.name])
        await asking.compare("a part, offline", tier, "part", callers[tier.name])

    late = {
        tier.name: {"revoked": ALICE, "its token": await asking.token(tier, "team/app")} for tier in below
    }
    users(tmp_path / "logins", "bob", "site")
    for tier in below:
        await eventually(
            lambda at=tier: asking.status(at, "manifests/whole"),
            "a refusal",
            pause=0.1,
            until=lambda now: now == 401,
        )
        await asking.compare("revoked, offline", tier, "whole", late[tier.name])
    assert asking.wrong == []
