"""`verify`, and signatures of which a part is another: each is told in one sentence, and the former value stays."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from registry_mesh.oci.manifest import Manifest
from tests.content.snapshot.finding.test_verify import CA, TEAM, verifying
from tests.content.snapshot.test_rule_keys import digests, troubles
from tests.simulators.changed import bytes_changed
from tests.simulators.images import Content
from tests.simulators.signatures import Cosign, Notation, bundled_with, enveloped

TRIED = 30
"""Changed signatures of each kind, each on an image of its own."""
NOTARY = Notation(CA)


@dataclass
class Changed(Cosign):
    """Signs, and one byte of what it made is another."""

    chance: random.Random = field(default_factory=random.Random)

    def signature(self, data: bytes) -> str:
        made = base64.b64decode(super().signature(data))
        return base64.b64encode(bytes_changed(made, self.chance)).decode()


def tagged(content: Content, image: Manifest, chance: random.Random) -> None:
    Changed(TEAM.key, chance).tag(content, image)


def referring(content: Content, image: Manifest, chance: random.Random) -> None:
    Changed(TEAM.key, chance).refer(content, image)


def bundled(content: Content, image: Manifest, chance: random.Random) -> None:
    bundle = json.loads(TEAM.bundled(image.digest))
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(
        bytes_changed(base64.b64decode(envelope["payload"]), chance)
    ).decode()
    bundled_with(content, image, json.dumps(bundle).encode())


def notarised(content: Content, image: Manifest, chance: random.Random) -> None:
    envelope = json.loads(NOTARY.envelope(image.digest))
    x5c = envelope["header"]["x5c"]
    changed = bytes_changed(base64.b64decode(x5c[-1]), chance)  # the very one that is trusted
    x5c[-1] = base64.b64encode(changed).decode()
    enveloped(content, image, json.dumps(envelope).encode())


@pytest.mark.parametrize(
    ("by", "hang"), [("team", tagged), ("team", referring), ("team", bundled), ("notary", notarised)]
)
async def test_a_changed_signature_is_told_and_the_former_value_stays(
    by: str, hang: Callable[[Content, Manifest, random.Random], None]
) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    replica = verifying(f'repos: a, tags: "v*", verify: [{by}]')
    content = replica.source["a"]
    for number in range(TRIED):
        first = content.image(f"{number} one", f"v{number}")
        (TEAM.refer if by == "team" else NOTARY.refer)(content, first)
    assert troubles(await replica.run()) == []
    before = await digests(replica)
    for number in range(TRIED):
        hang(content, content.image(f"{number} two", f"v{number}"), chance)
    told = troubles(await replica.run())
    after = await digests(replica)
    assert {tag: after[tag] for tag in before} == before, seed
    assert len(told) == TRIED, seed
    for each in told:
        assert f" is not signed by {by} (a signature " in each, seed
        assert each.isprintable(), seed
