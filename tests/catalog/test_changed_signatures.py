"""Signatures by key and by certificate of which a part is another: none is believed but the one that was made, however
its bytes are written. Of those by identity see `test_keyless_stamped`."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from registry_mesh.catalog.cosign import check_bundle, check_simple
from registry_mesh.catalog.notation import check_jws
from registry_mesh.catalog.signer import CosignSigner, NotationSigner, NotSigned, authorities, public_key
from registry_mesh.oci.digest import Digest
from tests.simulators.changed import bytes_changed, decoded, mutated, signed_of
from tests.simulators.signatures import NOW, Authority, Cosign, Notation, simple_signing

DIGEST, OTHER = Digest.of(b"one"), Digest.of(b"other")
FUZZED = 500
"""Changed signatures of each kind that are tried."""
TEAM = Cosign()
KEYS = CosignSigner((public_key(TEAM.pem),)).keys
ROOT = Authority()
CA = Authority("CN=signing,O=CERN", issuer=ROOT)
NOTARY = NotationSigner(authorities(ROOT.pem))
RELEASERS = [
    Notation(CA),
    Notation(CA, key=rsa.generate_private_key(65537, 2048), algorithm="PS256"),
    Notation(CA, headers={"io.cncf.notary.expiry": "2027-01-01T00:00:00Z"}),
]


def written(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def believed(check: Callable[[], None]) -> bool:
    """Whether it is; where it is not, one sentence says why."""
    try:
        check()
    except NotSigned as refused:
        why = str(refused)
        assert 0 < len(why) <= 301
        assert why.isprintable(), why
        return False
    return True


def tried(change: Callable[[random.Random], bool]) -> None:
    """`change` makes one and tells whether it was believed, which fails itself where that was wrong."""
    seed = random.randrange(1 << 32)
    chance, taken = random.Random(seed), 0
    for number in range(FUZZED):
        try:
            taken += change(chance)
        except BaseException as fault:
            fault.add_note(f"seed {seed}, change {number}")
            raise
    assert taken < FUZZED / 2, seed


def test_simple_signing_as_the_tag_and_the_referrer_carry_it() -> None:
    good = simple_signing(DIGEST)
    made, others = TEAM.signature(good), [simple_signing(OTHER), simple_signing(DIGEST) + b" "]

    def change(chance: random.Random) -> bool:
        payload, signature = good, made
        match chance.randrange(5):
            case 0:
                payload = bytes_changed(good, chance)
            case 1:
                payload = written(mutated(json.loads(good), chance))
            case 2:
                signature = text(bytes_changed(base64.b64decode(made), chance))
            case 3:
                signature = bytes_changed(made.encode(), chance).decode("latin-1")
            case _:
                payload = chance.choice(others)
        if not believed(lambda: check_simple(payload, signature, DIGEST, KEYS)):
            return False
        assert (payload, decoded(signature)) == (good, decoded(made))
        return True

    assert believed(lambda: check_simple(good, made, DIGEST, KEYS))
    tried(change)


def test_bundles_by_key() -> None:
    good = json.loads(TEAM.bundled(DIGEST))
    other = json.loads(TEAM.bundled(OTHER))["dsseEnvelope"]
    assert believed(lambda: check_bundle(written(good), DIGEST, KEYS))

    def change(chance: random.Random) -> bool:
        bundle = json.loads(json.dumps(good))
        envelope = bundle["dsseEnvelope"]
        match chance.randrange(6):
            case 0:
                envelope["payload"] = text(bytes_changed(base64.b64decode(envelope["payload"]), chance))
            case 1:
                statement = mutated(json.loads(base64.b64decode(envelope["payload"])), chance)
                envelope["payload"] = text(written(statement))
            case 2:
                made = envelope["signatures"][0]
                made["sig"] = text(bytes_changed(base64.b64decode(made["sig"]), chance))
            case 3:
                part = chance.choice(["payload", "signatures"])
                envelope[part] = other[part]
            case _:
                bundle = mutated(bundle, chance)
        data = written(bundle)
        if not believed(lambda: check_bundle(data, DIGEST, KEYS)):
            return False
        assert signed_of(bundle["dsseEnvelope"]) == signed_of(good["dsseEnvelope"])
        return True

    tried(change)


@pytest.mark.parametrize("releaser", RELEASERS, ids=["ES256", "PS256", "expires"])
def test_envelopes_of_notation(releaser: Notation) -> None:
    good = json.loads(releaser.envelope(DIGEST))
    others = [json.loads(each.envelope(OTHER)) for each in (releaser, Notation(CA), Notation(Authority()))]

    def check(envelope: Any) -> bool:
        return believed(lambda: check_jws(written(envelope), DIGEST, NOTARY, NOW.timestamp()))

    def change(chance: random.Random) -> bool:
        envelope = changed_envelope(json.loads(json.dumps(good)), others, chance)
        if not check(envelope):
            return False
        parts = ("protected", "payload")
        assert [envelope[part] for part in parts] == [good[part] for part in parts]
        assert from_url(envelope["signature"]) == from_url(good["signature"])
        assert certified(envelope) == certified(good)
        return True

    assert check(good)
    tried(change)


def changed_envelope(envelope: Any, others: list[Any], chance: random.Random) -> Any:
    part, chain = chance.choice(["protected", "payload", "signature"]), envelope["header"]["x5c"]
    match chance.randrange(8):
        case 0:
            envelope[part] = url(bytes_changed(from_url(envelope[part]), chance))
        case 1:
            part = chance.choice(["protected", "payload"])
            envelope[part] = url(written(mutated(json.loads(from_url(envelope[part])), chance)))
        case 2 | 3:
            at = chance.randrange(len(chain))
            chain[at] = text(bytes_changed(base64.b64decode(chain[at]), chance))
        case 4:
            other = chance.choice(others)
            part = chance.choice([part, "header"])
            envelope[part] = other[part]
        case 5:
            chance.shuffle(chain)
            del chain[chance.randint(1, 3) :]
        case _:
            envelope = mutated(envelope, chance)
    return envelope


def certified(envelope: Any) -> bytes:
    """What the authority signed of the signer's certificate."""
    return signed_part(base64.b64decode(envelope["header"]["x5c"][0]))


def signed_part(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).tbs_certificate_bytes


@pytest.mark.parametrize(
    "part", ["protected", "payload", "signature"], ids=["the headers", "the payload", "the signature"]
)
def test_each_byte_of_an_envelope_counts(part: str) -> None:
    good = json.loads(RELEASERS[0].envelope(DIGEST))
    data = from_url(good[part])
    for at in range(len(data)):
        envelope = good | {part: url(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])}
        assert not believed(lambda e=envelope: check_jws(written(e), DIGEST, NOTARY, NOW.timestamp())), at


def test_each_byte_of_the_chain_counts() -> None:
    """Those of the last certificate too: it is the very one that is trusted. Of what stands around the signature of
    another the encoding may be lax, as it is in what the library reads."""
    good = json.loads(RELEASERS[0].envelope(DIGEST))
    for number, encoded in enumerate(good["header"]["x5c"]):
        data = base64.b64decode(encoded)
        for at in range(len(data)):
            envelope = json.loads(json.dumps(good))
            changed = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            envelope["header"]["x5c"][number] = text(changed)
            if believed(lambda e=envelope: check_jws(written(e), DIGEST, NOTARY, NOW.timestamp())):
                assert signed_part(changed) == signed_part(data), changed.hex()


def test_a_certificate_whose_names_are_no_text_is_refused_as_any_other() -> None:
    envelope = json.loads(RELEASERS[0].envelope(DIGEST))
    leaf = base64.b64decode(envelope["header"]["x5c"][0])
    at = leaf.index(b"\x0c\x0crelease team")  # a UTF-8 string
    envelope["header"]["x5c"][0] = text(
        leaf[:at] + b"\x03" + leaf[at + 1 : at + 2] + b"\x00" + leaf[at + 3 :]
    )
    with pytest.raises(NotSigned, match="has a certificate that cannot be read"):
        check_jws(written(envelope), DIGEST, NOTARY, NOW.timestamp())
