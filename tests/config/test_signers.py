"""`keys:`: whose signatures are believed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.catalog.signer import CosignSigner, NotationSigner
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import Loaded, parse
from registry_mesh.config.signers import read_signers
from tests.simulators.signatures import Authority, Cosign


def config_of(keys: dict[str, Any]) -> Loaded:
    document = {
        "role": "replica",
        "store": {"disk": {"path": "/tmp/x"}},
        "registries": {"h.example": {"parents": [["http://127.0.0.1:1"]]}},
        "rules": "/",
        "keys": keys,
    }
    return parse(json.dumps(document), "replica.yaml")


def on_a_curve_that_nobody_has(pem: bytes) -> bytes:
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    odd = der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f"))
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(odd) + b"-----END PUBLIC KEY-----\n"


def test_files_become_signers_and_are_read_anew(tmp_path: Path) -> None:
    key, authority = tmp_path / "key.pub", tmp_path / "ca.pem"
    key.write_bytes(Cosign().pem)
    authority.write_bytes(Authority().pem + Authority().pem)
    keys = {
        "team": {"cosign": [str(key), str(key)]},
        "notary": {"notation": str(authority), "subjects": "CN=release team, O=CERN"},
    }
    config = config_of(keys).config
    signers, faults = read_signers(config.keys)
    assert faults == {}
    assert isinstance(signers["team"], CosignSigner) and len(signers["team"].keys) == 2
    notary = signers["notary"]
    assert isinstance(notary, NotationSigner)
    assert (len(notary.authorities), len(notary.subjects)) == (2, 1)
    key.write_bytes(b"half a key")
    assert read_signers(config.keys)[1] == {
        "team": f"cannot be used: {key} holds no PEM public key that can be read"
    }
    key.unlink()
    signers, faults = read_signers(config.keys)
    assert (set(signers), faults) == (
        {"notary"},
        {"team": f"cannot be used: {key}: No such file or directory"},
    )


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ({"cosign": "{pem}", "notation": "{ca}"}, "cosign and notation exclude each other"),
        ({"subjects": "CN=x"}, "only certificates have subjects"),
        ({}, "no key"),
        ({"cosign": "{ca}"}, "ca.pem holds no PEM public key"),
        ({"notation": "{pem}"}, "key.pub holds no PEM certificate"),
        ({"notation": "{ca}", "subjects": "release team"}, "parts of a subject are written like"),
        ({"notation": "{ca}", "subjects": "x509.subject:"}, "parts of a subject are written like"),
        ({"identity": ""}, "is empty"),
        ({"identity": "x@cern.ch", "notation": "{ca}"}, "notation and identity exclude each other"),
        ({"identity": "x@cern.ch", "issuer": "https://x.example"}, "an identity without trusted_root"),
        ({"identity": "x@cern.ch", "trusted_root": "/nowhere"}, "an identity without issuer"),
        ({"cosign": "{pem}", "issuer": "https://x.example"}, "issuer: only an identity has issuer"),
        ({"identity": "https://**"}, "identity: takes anybody for whom the issuer vouches"),
        ({"cosign": "{odd}"}, "odd.pub holds no PEM public key that can be read"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, key: dict[str, str], fault: str) -> None:
    (tmp_path / "key.pub").write_bytes(Cosign().pem)
    (tmp_path / "ca.pem").write_bytes(Authority().pem)
    (tmp_path / "odd.pub").write_bytes(on_a_curve_that_nobody_has(Cosign().pem))
    files = {"pem": tmp_path / "key.pub", "ca": tmp_path / "ca.pem", "odd": tmp_path / "odd.pub"}
    filled = {name: text.format(**files) for name, text in key.items()}
    with pytest.raises(ConfigInvalid) as invalid:
        config_of({"team": filled})
    assert fault in str(invalid.value)


def test_a_file_that_is_not_there_keeps_the_node_from_starting() -> None:
    loaded = config_of({"team": {"cosign": "/nowhere/key.pub"}})
    assert any("/nowhere/key.pub: No such file" in str(each) for each in loaded.lacks)
