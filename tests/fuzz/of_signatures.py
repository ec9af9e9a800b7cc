"""Parsers of signatures and of the keys that prove them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry_mesh.catalog import cosign, keyless, notation, signer
from tests.fuzz.parser import DIGEST, Parser, json_of, text
from tests.simulators.keyless import ISSUER, Sigstore, Workflow

_EC: Final = ec.generate_private_key(ec.SECP256R1()).public_key()

_PEM: Final = _EC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

_KEYS: Final = (_EC,)

_SIGSTORE: Final = Sigstore()

_JWS: Final = json_of({"payload": "e30", "protected": "e30", "signature": "AA", "header": {"x5c": ["AA=="]}})


@cache
def _identity() -> signer.IdentitySigner:
    return signer.IdentitySigner("**", ISSUER, keyless.trusted_root(_SIGSTORE.trusted_root()))


SIGNATURES: Final[Sequence[Parser]] = (
    Parser(
        "pem",
        signer.public_key,
        (ValueError,),
        [_PEM],
    ),
    Parser(
        "authorities",
        signer.authorities,
        (ValueError,),
        [trustme.CA().cert_pem.bytes()],
    ),
    Parser("subject", text(signer.subject), (ValueError,), [b"CN=release team, O=CERN"]),
    Parser(
        "cosign",
        lambda data: cosign.check_simple(data, "AAAA", DIGEST, _KEYS),
        (signer.NotSigned,),
        [
            json_of(
                {
                    "critical": {
                        "image": {"docker-manifest-digest": str(DIGEST)},
                        "type": "cosign container image signature",
                    }
                }
            )
        ],
    ),
    Parser(
        "cosign-bundle",
        lambda data: cosign.check_bundle(data, DIGEST, _KEYS),
        (signer.NotSigned,),
        [
            json_of(
                {
                    "dsseEnvelope": {
                        "payload": "e30=",
                        "payloadType": "application/vnd.in-toto+json",
                        "signatures": [{"sig": "AA=="}],
                    }
                }
            )
        ],
    ),
    Parser("trusted-root", keyless.trusted_root, (ValueError,), [_SIGSTORE.trusted_root()], examples=15),
    Parser(
        "identity-bundle",
        lambda data: keyless.check_identity(data, DIGEST, _identity()),
        (signer.NotSigned,),
        [Workflow(_SIGSTORE).bundled(DIGEST)],
    ),
    Parser(
        "notation",
        lambda data: notation.check_jws(data, DIGEST, signer.NotationSigner(()), 0.0),
        (signer.NotSigned,),
        [_JWS],
    ),
)
