"""`keys:`, whose signatures are believed: the keys of one signer, and reading their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator

from registry_mesh.catalog.keyless import trusted_root
from registry_mesh.catalog.signer import (
    CosignSigner,
    IdentitySigner,
    NotationSigner,
    Signer,
    authorities,
    public_key,
    subject,
)
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.values import FilePath, Section, Text, listed

T = TypeVar("T")


class SigningKey(Section):
    """`keys.NAME:`: one signer, by whose name rules say `verify`; one of `cosign`, `notation` and `identity`."""

    cosign: Annotated[tuple[FilePath, ...], BeforeValidator(listed)] = ()
    """PEM files of public keys, as `cosign generate-key-pair` writes them; of several one is enough."""
    notation: Annotated[tuple[FilePath, ...], BeforeValidator(listed)] = ()
    """PEM files of certificate authorities whose signers are believed."""
    subjects: Annotated[tuple[Text, ...], BeforeValidator(listed)] = ()
    """With `notation`: parts of a certificate's subject, `CN=release team, O=CERN`, one of which it must have; any
    certificate of the authorities where absent."""
    identity: Text | None = None
    """Who signs without a key: the address of mail or of the workflow that the certificate names; `*` stands for any
    letters but `/`, `**` for any."""
    issuer: Text | None = None
    """With `identity`: who vouches for it, as the certificate says: https://token.actions.githubusercontent.com."""
    trusted_root: FilePath | None = None
    """With `identity`: file of Sigstore's trusted root in JSON, whose authorities and logs are believed."""


_KINDS: Final = ("cosign", "notation", "identity")
_PARSED: Final[Mapping[str, Callable[[bytes], object]]] = {
    "cosign": public_key,
    "notation": authorities,
    "trusted_root": trusted_root,
}
"""By key: how its files are read."""
_SAID: Final = {
    "issuer": "who vouches for it, such as https://token.actions.githubusercontent.com",
    "trusted_root": "FILE, as cosign trusted-root create writes it",
}


def check_keys(document: Document) -> None:
    """Add what is wrong with the signers to the document's findings."""
    for name, entry in mapping(document.find("keys")).items():
        entry = mapping(entry)
        at = ("keys", name)
        kinds = [kind for kind in _KINDS if entry.get(kind)]
        if len(kinds) != 1:
            what = f"{' and '.join(kinds)} exclude each other" if kinds else "no key"
            how = "say cosign: FILE, notation: FILE of the authority, or identity: WHO with issuer and trusted_root"
            document.report(at, what, how)
        if entry.get("subjects") and not entry.get("notation"):
            document.report((*at, "subjects"), "only certificates have subjects", "leave it out")
        _check_identity(document, at, entry)
        for text in _texts(entry.get("subjects")):
            try:
                subject(text)
            except ValueError as fault:
                document.report((*at, "subjects"), str(fault))
        for kind, parse in _PARSED.items():
            for file in _texts(entry.get(kind)):
                _check_file(document, (*at, kind), file, parse)


def _check_identity(document: Document, at: tuple[str | int, ...], entry: Mapping[str, Any]) -> None:
    identity = entry.get("identity")
    for key in ("issuer", "trusted_root"):
        if identity and not entry.get(key):
            document.report(at, f"an identity without {key}", f"say {key}: {_SAID[key]}")
        if entry.get(key) and not identity:
            document.report((*at, key), f"only an identity has {key}", "leave it out, or say identity: WHO")
    if isinstance(identity, str) and identity and not identity.removeprefix("https://").strip("*/@"):
        document.report((*at, "identity"), "takes anybody for whom the issuer vouches", "say who signs")


def _check_file(
    document: Document, at: tuple[str | int, ...], file: str, parse: Callable[[bytes], object]
) -> None:
    try:
        _read(file, parse)
    except OSError as fault:
        document.lack(at, f"{file}: {fault.strerror}", "name a file that the node's user can read")
    except ValueError as fault:
        document.report(at, str(fault))


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [each for each in several if isinstance(each, str) and each]


def read_signers(keys: Mapping[str, SigningKey]) -> tuple[dict[str, Signer], dict[str, str]]:
    """The signers by name, as their files are now, and why others cannot be used."""
    found: dict[str, Signer] = {}
    faults: dict[str, str] = {}
    for name, key in keys.items():
        try:
            found[name] = _signer(key)
        except OSError as fault:
            faults[name] = f"cannot be used: {fault.filename}: {fault.strerror}"
        except ValueError as fault:
            faults[name] = f"cannot be used: {fault}"
    return found, faults


def _signer(key: SigningKey) -> Signer:
    if key.cosign:
        return CosignSigner(tuple(_read(file, public_key) for file in key.cosign))
    if key.identity and key.issuer and key.trusted_root:
        return IdentitySigner(key.identity, key.issuer, _read(key.trusted_root, trusted_root))
    trusted = [each for file in key.notation for each in _read(file, authorities)]
    return NotationSigner(tuple(trusted), tuple(map(subject, key.subjects)))


def _read(file: str, parse: Callable[[bytes], T]) -> T:
    """What a file holds; `ValueError` names it."""
    try:
        return parse(Path(file).read_bytes())
    except ValueError as fault:
        raise ValueError(f"{file} {fault}") from None
