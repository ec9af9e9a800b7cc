"""Statements of in-toto, as bundles hold them: what is said, of which digests (in-toto's Statement v1)."""

from __future__ import annotations

from typing import Final

from registry_mesh.catalog.envelope import demand_digest, document, mapping
from registry_mesh.catalog.signer import NotSigned
from registry_mesh.oci.digest import Digest

IN_TOTO: Final = "application/vnd.in-toto+json"
_SIGNS: Final = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a statement that signs; statements with others attest something, good or bad."""


def demand_in_toto(kind: object) -> None:
    """`NotSigned` unless a payload is of the type of statements."""
    if kind != IN_TOTO:
        raise NotSigned(f"is a bundle of {kind!r}, and {IN_TOTO} is read")


def demand_statement(kind: object, payload: bytes, digest: Digest) -> None:
    """`NotSigned` unless a payload of this type is a statement that signs `digest`."""
    demand_in_toto(kind)
    statement = document(payload)
    if statement.get("predicateType") != _SIGNS:
        raise NotSigned(f"is a statement of {statement.get('predicateType')!r}, which signs nothing")
    subjects = statement.get("subject")
    named = [mapping(each).get("digest") for each in subjects] if isinstance(subjects, list) else []
    told = [f"{name}:{value}" for each in named for name, value in mapping(each).items()]
    if str(digest) not in told:
        demand_digest(told[0] if told else None, digest)
