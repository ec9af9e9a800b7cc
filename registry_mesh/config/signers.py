"""`keys:`, whose signatures are believed: the keys of one signer, and reading their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator

from registry_mesh.catalog.signer import (
    CosignSigner,
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
    """`keys.NAME:`: one signer, by whose name rules say `verify`; exactly one of `cosign` and `notation`."""

    cosign: Annotated[tuple[FilePath, ...], BeforeValidator(listed)] = ()
    """PEM files of public keys, as `cosign generate-key-pair` writes them; of several one is enough."""
    notation: Annotated[tuple[FilePath, ...], BeforeValidator(listed)] = ()
    """PEM files of certificate authorities whose signers are believed."""
    subjects: Annotated[tuple[Text, ...], BeforeValidator(listed)] = ()
    """With `notation`: parts of a certificate's subject, `CN=release team, O=CERN`, one of which it must have; any
    certificate of the authorities where absent."""


def check_keys(document: Document) -> None:
    """Add what is wrong with the signers to the document's findings."""
    for name, entry in mapping(document.find("keys")).items():
        entry = mapping(entry)
        at = ("keys", name)
        if bool(entry.get("cosign")) == bool(entry.get("notation")):
            both = "cosign and notation exclude each other" if entry.get("cosign") else "no key"
            document.report(at, both, "say cosign: FILE, or notation: FILE of the authority")
        if entry.get("subjects") and not entry.get("notation"):
            document.report((*at, "subjects"), "only certificates have subjects", "leave it out")
        for text in _texts(entry.get("subjects")):
            try:
                subject(text)
            except ValueError as fault:
                document.report((*at, "subjects"), str(fault))
        for kind, parse in (("cosign", public_key), ("notation", authorities)):
            for file in _texts(entry.get(kind)):
                _check_file(document, (*at, kind), file, parse)


def _check_file(
    document: Document, at: tuple[str | int, ...], file: str, parse: Callable[[bytes], object]
) -> None:
    try:
        _read(file, parse)
    except OSError as fault:
        document.lack(at, f"{file}: {fault.strerror}", "name a PEM file that the node's user can read")
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
    trusted = [each for file in key.notation for each in _read(file, authorities)]
    return NotationSigner(tuple(trusted), tuple(map(subject, key.subjects)))


def _read(file: str, parse: Callable[[bytes], T]) -> T:
    """What a file holds; `ValueError` names it."""
    try:
        return parse(Path(file).read_bytes())
    except ValueError as fault:
        raise ValueError(f"{file} {fault}") from None
