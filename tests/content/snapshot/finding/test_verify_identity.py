"""`verify` by an identity without a key: from the configuration to the tag that is taken, or stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import Loaded, parse
from registry_mesh.config.signers import read_signers
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.content.snapshot.test_rule_keys import digests, replica_of, troubles
from tests.simulators.images import Content, descriptor
from tests.simulators.keyless import ISSUER, Sigstore, Workflow, new_key
from tests.simulators.replica import Replica
from tests.simulators.signatures import Cosign, simple_signing

HERE = Sigstore()
OTHER = Digest.of(b"other")
WANTED = "https://github.com/atlas/**"
FOREIGN = "https://github.com/atlas-x/analysis/.github/workflows/release.yml@refs/tags/v1"
Sign = Callable[[Content, Manifest], Manifest]


def configured(root: Path) -> Loaded:
    document = {
        "role": "replica",
        "store": {"disk": {"path": "/tmp/x"}},
        "registries": {"h.example": {"parents": [["http://127.0.0.1:1"]]}},
        "rules": "/",
        "keys": {"ci": {"identity": WANTED, "issuer": ISSUER, "trusted_root": str(root)}},
    }
    return parse(json.dumps(document, indent=0), "replica.yaml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The file with the trusted root."""
    file = tmp_path / "trusted_root.json"
    file.write_bytes(HERE.trusted_root())
    return file


def verifying(root: Path) -> Replica:
    """A replica whose signers are as their files are now."""
    replica = replica_of("repos: a, tags: v1, verify: ci")
    replica.signers, replica.unusable = read_signers(configured(root).config.keys)
    return replica


def older_form(content: Content, image: Manifest) -> Manifest:
    """As cosign 2 signs without a key: by its tag, with a promise of the log in an annotation."""
    payload = content.blob(simple_signing(image.digest))
    signed = {
        "dev.cosignproject.cosign/signature": Cosign().signature(payload),
        "dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----",
        "dev.sigstore.cosign/bundle": "{}",
    }
    layer = descriptor("application/vnd.dev.cosign.simplesigning.v1+json", payload, annotations=signed)
    config = descriptor(OCI_CONFIG, content.blob(b'{"architecture": "", "os": ""}'))
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    return content.put(manifest, f"sha256-{image.digest.hex}.sig")


def other_log() -> Workflow:
    return Workflow(Sigstore(HERE.authority, HERE.certificates, new_key()))


NOT_SIGNED: list[tuple[Sign | None, str]] = [
    (None, "no signature of its kind is there"),
    (Workflow(HERE, FOREIGN).sign, f"a signature is by {FOREIGN}"),
    (Workflow(HERE, issuer="https://x.example").sign, "of the issuer https://x.example"),
    (lambda content, image: Workflow(HERE).sign(content, image, OTHER), f"a signature is of {OTHER}"),
    (Workflow(HERE, logged=timedelta(hours=1)).sign, "not valid when it was logged"),
    (Workflow(HERE, has_sct=False).sign, "signed certificate timestamp"),
    (lambda content, image: other_log().sign(content, image), "invalid log entry"),
    (Workflow(HERE, predicate="https://slsa.dev/x").sign, "signs nothing"),
    (Cosign().bundle, "is no bundle of an identity"),
    (Cosign().tag, "no signature of its kind is there"),
    (older_form, "sign with cosign 3"),
]


async def test_what_an_identity_signed_comes_with_its_signature(root: Path) -> None:
    replica = verifying(root)
    content = replica.source["a"]
    image = content.image("one", "v1")
    signature = Workflow(HERE).sign(content, image)
    assert troubles(await replica.run()) == []
    assert (await digests(replica))["v1"] == image.digest
    assert await replica.has("a", signature)


@pytest.mark.parametrize(("sign", "why"), NOT_SIGNED)
async def test_what_it_did_not_sign_is_named_and_the_former_value_stays(
    root: Path, sign: Sign | None, why: str
) -> None:
    replica = verifying(root)
    content = replica.source["a"]
    first = content.image("one", "v1")
    Workflow(HERE).sign(content, first)
    assert troubles(await replica.run()) == []
    second = content.image("two", "v1")
    if sign is not None:
        sign(content, second)
    (told,) = troubles(await replica.run())
    assert (await digests(replica))["v1"] == first.digest
    assert told.startswith(f"a:v1 ({second.digest}) is not signed by ci (") and why in told
    assert told.endswith(f"not taken, v1 stays at {first.digest}")
    assert not await replica.has("a", second)


async def test_a_good_signature_counts_beside_bad_ones(root: Path) -> None:
    replica = verifying(root)
    content = replica.source["a"]
    image = content.image("one", "v1")
    older_form(content, image)
    for bad in (other_log(), Workflow(HERE, FOREIGN), Workflow(HERE)):
        bad.sign(content, image)
    await replica.run()
    assert (await digests(replica))["v1"] == image.digest


async def test_the_trusted_root_is_read_anew(root: Path) -> None:
    """What its former authorities signed is not believed any more, and a broken file believes nobody."""
    content_of = Sigstore()
    root.write_bytes(content_of.trusted_root())
    replica = verifying(root)
    image = replica.source["a"].image("one", "v1")
    Workflow(HERE).sign(replica.source["a"], image)
    (told,) = troubles(await replica.run())
    assert "not valid when it was logged" in told
    config = configured(root).config
    root.write_bytes(b"half a fi")
    signers, faults = read_signers(config.keys)
    assert (signers, list(faults)) == ({}, ["ci"])
    assert faults["ci"] == f"cannot be used: {root} holds no trusted root of Sigstore in JSON (version 0.1)"


def test_a_file_that_is_no_trusted_root_is_a_fault_with_its_place(root: Path) -> None:
    root.write_bytes(b"{}")
    with pytest.raises(ConfigInvalid) as invalid:
        configured(root)
    (fault,) = invalid.value.findings
    assert str(fault).startswith("replica.yaml:") and fault.mark is not None
    assert f"keys.ci.trusted_root: {root} holds no trusted root" in str(fault)


def test_a_file_that_is_not_there_keeps_the_node_from_starting(root: Path) -> None:
    root.unlink()
    assert any(f"{root}: No such file" in str(each) for each in configured(root).lacks)
