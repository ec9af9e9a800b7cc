"""Whether a certificate file and a key file can serve TLS together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

PairFault = tuple[str, str, str]
"""Which of the two keys is at fault, what, how to mend."""


def check_pair(certificate: str, key: str, now: datetime | None = None) -> Iterator[PairFault]:
    """Faults of the pair of files at `now` (UTC; the clock's where None)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    certificate_data, key_data = _read(certificate), _read(key)
    for part, data in (("certificate", certificate_data), ("key", key_data)):
        if isinstance(data, str):
            yield part, data, ""
    leaf = private = None
    if isinstance(certificate_data, bytes):
        try:
            leaf = x509.load_pem_x509_certificates(certificate_data)[0]
        except (ValueError, IndexError):
            yield "certificate", f"{certificate} holds no PEM certificate", "begin it with the server's own"
    if isinstance(key_data, bytes):
        try:
            private = load_pem_private_key(key_data, None)
        except (ValueError, TypeError):
            yield "key", f"{key} holds no PEM private key that opens without a password", ""
    if leaf is None:
        return
    now = now or datetime.now(UTC)
    if leaf.not_valid_after_utc <= now:
        yield "certificate", f"{certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}", "renew it"
    elif leaf.not_valid_before_utc > now:
        yield (
            "certificate",
            f"{certificate} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "",
        )
    if private is not None:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
            yield (
                "key",
                f"{key} is not the key of {certificate}",
                "the leaf must be the first in the certificate file",
            )


def names_of(certificate: str) -> tuple[str, ...]:
    """Names and addresses that the first certificate of the file is for; none where nothing can be read there."""
    from cryptography import x509

    data = _read(certificate)
    try:
        leaf = x509.load_pem_x509_certificates(data if isinstance(data, bytes) else b"")[0]
        said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, IndexError, x509.ExtensionNotFound):
        return ()
    dns = said.get_values_for_type(x509.DNSName)
    return (*dns, *map(str, said.get_values_for_type(x509.IPAddress)))


def is_for(names: Sequence[str], host: str) -> bool:
    """Whether a client that asks `host` takes a certificate with these names; `*` is all of one label."""
    wild = "*." + host.partition(".")[2]
    return any(each.lower() in (host.lower(), wild.lower()) for each in names)


def authorities_fault(path: str) -> str | None:
    """What is wrong with a file of certificate authorities."""
    from cryptography import x509

    data = _read(path)
    if isinstance(data, str):
        return data
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        return f"{path} holds no PEM certificates"
    return None if found else f"{path} holds no PEM certificates"


def ends_at(certificate: Path) -> datetime:
    """Until when the leaf of a PEM file is valid. OSError, ValueError."""
    from cryptography import x509

    return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc


def _read(path: str) -> bytes | str:
    try:
        return Path(path).read_bytes()
    except OSError as fault:
        return f"{path}: {fault.strerror}"
