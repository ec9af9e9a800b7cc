"""`verify`: what is not signed by one of the keys is not taken, and the former value stays."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from registry_mesh.catalog.signer import CosignSigner, NotationSigner, authorities, public_key
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.signatures import MAX_SIGNATURES, Signatures
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.replication.terms import Verify
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import Content
from tests.simulators.replica import Replica
from tests.simulators.signatures import NOW, Authority, Cosign, Notation, bundled_with, enveloped

TEAM, FOREIGN, CA = Cosign(), Cosign(), Authority()
SIGNERS = {
    "team": CosignSigner((public_key(TEAM.pem),)),
    "notary": NotationSigner(authorities(CA.pem)),
}
Sign = Callable[[Content, Manifest], Manifest]


def verifying(*rules: str) -> Replica:
    replica = replica_of(*rules)
    replica.signers = SIGNERS
    replica.now = NOW.timestamp()
    return replica


SIGNED: list[tuple[str, Sign]] = [
    ("team", TEAM.tag),
    ("team", TEAM.refer),
    ("team", TEAM.bundle),
    ("notary", Notation(CA).refer),
    ("[notary, team]", TEAM.tag),
]
OTHER = Digest.of(b"other")
NOT_SIGNED: list[tuple[str, Sign | None, str]] = [
    ("team", None, "no signature of its kind is there"),
    ("team", FOREIGN.tag, "a signature is by another key"),
    ("team", FOREIGN.refer, "a signature is by another key"),
    ("team", FOREIGN.bundle, "a signature is by another key"),
    ("team", lambda content, image: TEAM.tag(content, image, OTHER), f"a signature is of {OTHER}"),
    ("team", lambda content, image: TEAM.bundle(content, image, "https://slsa.dev/x"), "signs nothing"),
    ("team", Notation(CA).refer, "no signature of its kind is there"),
    ("notary", Notation(Authority()).refer, "foreign authority"),
    ("notary", TEAM.tag, "no signature of its kind is there"),
]


@pytest.mark.parametrize(("by", "sign"), SIGNED)
async def test_what_is_signed_comes_with_its_signature(by: str, sign: Sign) -> None:
    replica = verifying(f"repos: a, tags: v1, verify: {by}")
    content = replica.source["a"]
    image = content.image("one", "v1")
    signature = sign(content, image)
    outcome = await replica.run()
    assert (troubles(outcome), (await digests(replica))["v1"]) == ([], image.digest)
    assert await replica.has("a", signature)


@pytest.mark.parametrize(("by", "sign", "why"), NOT_SIGNED)
async def test_what_is_not_signed_is_named_and_the_former_value_stays(
    by: str, sign: Sign | None, why: str
) -> None:
    replica = verifying(f"repos: a, tags: v1, verify: [{by}]")
    content = replica.source["a"]
    first = content.image("one", "v1")
    (TEAM.tag if by == "team" else Notation(CA).refer)(content, first)
    assert troubles(await replica.run()) == []
    second = content.image("two", "v1")
    if sign is not None:
        sign(content, second)
    outcome = await replica.run()
    assert (await digests(replica))["v1"] == first.digest
    (told,) = troubles(outcome)
    assert told.startswith(f"a:v1 ({second.digest}) is not signed by {by} (") and why in told
    assert told.endswith(f"not taken, v1 stays at {first.digest}")
    assert not await replica.has("a", second)


async def test_nothing_of_an_unsigned_image_is_asked_for() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    image = replica.source["a"].image("one", "v1")
    assert len(troubles(await replica.run())) == 1
    assert (replica.source.sent, replica.source.asked[f"manifest {image.digest}"]) == (0, 0)


async def test_a_broad_rule_beside_a_strict_one_does_not_loosen_it() -> None:
    replica = verifying('repos: a, tags: "*"', "repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    content.image("one", "v1")
    other = content.image("two", "v2")
    assert len(troubles(await replica.run())) == 1
    assert await digests(replica) == {"v2": other.digest}


async def test_a_companion_tag_comes_with_what_it_is_of_and_never_by_itself() -> None:
    replica = verifying('repos: a, tags: "*", verify: team')
    content = replica.source["a"]
    image, unsigned = content.image("one", "v1"), content.image("two", "v2")
    TEAM.tag(content, image)
    FOREIGN.tag(content, unsigned)
    content.image("disguised", f"sha256-{64 * '0'}.sig")
    (told,) = troubles(await replica.run())
    assert told.startswith("a:v2")
    assert set(await digests(replica)) == {"v1", f"sha256-{image.digest.hex}.sig"}


async def test_every_strict_rule_has_to_be_content() -> None:
    replica = verifying("repos: a, tags: v1, verify: notary", "repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    image = content.image("one", "v1")
    TEAM.tag(content, image)
    (told,) = troubles(await replica.run())
    assert "is not signed by notary" in told
    Notation(CA).refer(content, image)
    assert troubles(await replica.run()) == []
    assert (await digests(replica))["v1"] == image.digest


async def test_a_good_signature_counts_beside_bad_ones() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    image = content.image("one", "v1")
    broken = content.image("broken", subject=image)
    FOREIGN.tag(content, image)
    TEAM.refer(content, image)
    replica.source.lies[broken.digest] = image
    TEAM.tag(content, image, OTHER)
    await replica.run()
    assert (await digests(replica))["v1"] == image.digest


UNPRINTABLE = b'{"dsseEnvelope": {"payload": "", "payloadType": "\\ud800", "signatures": [{"sig": ""}]}}'
ODD: list[tuple[str, Callable[[Content, Manifest], object]]] = [
    (
        "team",
        lambda content, image: bundled_with(content, image, UNPRINTABLE),
    ),
    ("notary", lambda content, image: enveloped(content, image, odd_envelope(image, payload="\ud800"))),
    ("notary", Notation(CA, headers={"crit": ["io.cncf.notary.signingScheme", {}]}).refer),
]


def odd_envelope(image: Manifest, **parts: object) -> bytes:
    return json.dumps(json.loads(Notation(CA).envelope(image.digest)) | parts).encode()


@pytest.mark.parametrize(("by", "hang"), ODD)
async def test_what_is_made_to_break_the_check_ends_no_run_and_hides_no_good_signature(
    by: str, hang: Callable[[Content, Manifest], object]
) -> None:
    replica = verifying(f'repos: a, tags: "*", verify: {by}', "repos: b, tags: v1")
    content = replica.source["a"]
    bad, good = content.image("one", "bad"), content.image("two", "good")
    other = replica.source["b"].image("other", "v1")
    hang(content, bad)
    hang(content, good)
    (TEAM.tag if by == "team" else Notation(CA).refer)(content, good)
    (told,) = troubles(await replica.run())
    assert told.startswith(f"a:bad ({bad.digest}) is not signed by {by} (a signature ")
    assert ((await digests(replica))["good"], await replica.has("b", other)) == (good.digest, True)


def flood(content: Content, image: Manifest, count: int) -> None:
    """A referrer with so many signatures of a stranger."""
    layers = [FOREIGN.layer(content, Digest.of(b"%d" % n)) for n in range(count)]
    first = json.loads(FOREIGN.refer(content, image).data)
    content.put(first | {"layers": [*layers, *first["layers"]]})


def read(replica: Replica) -> int:
    """Blobs that were asked for."""
    return sum(count for kind, count in replica.source.asked.items() if kind.startswith("blob "))


async def test_so_many_signatures_are_looked_at_and_no_more() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    image = content.image("one", "v1")
    flood(content, image, 80)
    flood(content, image, 90)
    assert len(troubles(await replica.run())) == 1
    assert read(replica) == MAX_SIGNATURES


async def test_a_layer_that_is_lost_hides_no_good_signature_of_the_same_manifest() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    image = content.image("one", "v1")
    lost = FOREIGN.tag(content, image, OTHER)
    TEAM.tag(content, image)
    del content.blobs[lost.layers[0].digest]
    signed = await Signatures(Asking(1), SIGNERS).look(
        replica.source.repository("a"), image.digest, list(content.tags), [Verify(("team",))], replica.now
    )
    assert signed.by == {"team"}


async def test_companions_that_are_demanded_have_to_exist() -> None:
    replica = verifying("repos: a, tags: v1, verify: {by: team, having: [sboms]}")
    content = replica.source["a"]
    image = content.image("one", "v1")
    TEAM.tag(content, image)
    (told,) = troubles(await replica.run())
    assert told.endswith("a:v1 has no sboms: not taken")
    content.image("sbom", f"sha256-{image.digest.hex}.sbom")
    assert troubles(await replica.run()) == []
    assert (await digests(replica))["v1"] == image.digest


async def test_a_source_that_cannot_tell_is_not_one_without_a_signature() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    image = content.image("one", "v1")
    TEAM.refer(content, image)
    replica.source.always["referrers"] = SourceUnavailable("connection refused")
    (told,) = troubles(await replica.run())
    assert (told, await digests(replica)) == ("connection refused", {})
    replica.source.always.clear()
    assert troubles(await replica.run()) == []


async def test_a_key_that_cannot_be_used_is_named() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    image = replica.source["a"].image("one", "v1")
    TEAM.tag(replica.source["a"], image)
    replica.signers, replica.unusable = {}, {"team": "cannot be used: team.pub: No such file or directory"}
    (told,) = troubles(await replica.run())
    assert "not signed by team (team cannot be used: team.pub: No such file or directory)" in told


async def test_what_is_held_is_not_asked_about_again() -> None:
    replica = verifying("repos: a, tags: v1, verify: team")
    content = replica.source["a"]
    TEAM.tag(content, content.image("one", "v1"))
    await replica.run()
    outcome = await replica.run()
    assert (outcome.complete, replica.source.asked["referrers"]) == (True, 0)
