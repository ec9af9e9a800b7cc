"""Signatures of an identity without a key: Sigstore bundles with a certificate of minutes and an entry in a log.

Sigstore's library judges them, without a network, by a trusted root that is a file (formats: bundle v0.3, trusted root
v0.1). It is imported where a trusted root is read: that takes a second, and most nodes have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from registry_mesh.catalog.signer import IdentitySigner, NotSigned
from registry_mesh.catalog.statement import demand_statement
from registry_mesh.oci.digest import Digest

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore.verify import Verifier

CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
"""The annotation of a layer of cosign's older form that holds the certificate of its signer."""
OLDER_FORM: Final = (
    "is in cosign's older form, with no proof of the log, and a bundle is read: "
    "sign with cosign 3, or 2.6 and --new-bundle-format"
)
_ISSUER, _ISSUER_DER = "1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.8"
"""Extensions with who vouched for the identity: as bare text, and as Fulcio writes it since 2023."""


def trusted_root(data: bytes) -> Verifier:
    """What believes the authorities and logs of a trusted root in JSON; `ValueError`."""
    from sigstore.errors import Error
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

    try:
        document = Document.from_json(data)
        verifier = Verifier(trusted_root=TrustedRoot(document))
    except Error as fault:
        raise ValueError(f"cannot be used: {fault}") from None
    except ValueError:
        raise ValueError("holds no trusted root of Sigstore in JSON (version 0.1)") from None
    if not document.ctlogs:
        raise ValueError("names no log of certificates (ctlogs)")
    return verifier


def check_identity(bundle: bytes, digest: Digest, signer: IdentitySigner) -> None:
    """`NotSigned` unless `signer` signed the statement of a bundle when its certificate counted, and that signs
    `digest`."""
    from sigstore.errors import CertValidationError, VerificationError
    from sigstore.models import Bundle, InvalidBundle

    try:
        kind, payload = signer.verifier.verify_dsse(Bundle.from_json(bundle), _Policy(signer))
    except NotSigned:
        raise
    except CertValidationError as fault:
        why = "is of no authority of the trusted root, or was not valid when it was logged"
        raise NotSigned(f"has a certificate that {why}: {fault}") from None
    except VerificationError as fault:
        raise NotSigned(f"cannot be verified: {fault}") from None
    except InvalidBundle as fault:
        raise NotSigned(f"is no bundle of an identity: {fault}") from None
    except Exception as fault:  # whatever somebody's bytes lead to in its parts: it is not verified
        raise NotSigned(f"cannot be read as a bundle ({type(fault).__name__})") from None
    demand_statement(kind, payload, digest)


class _Policy:
    """Whose certificate has to be: called by the library once the certificate itself is believed."""

    def __init__(self, signer: IdentitySigner) -> None:
        self._signer = signer

    def verify(self, cert: x509.Certificate) -> None:
        """`NotSigned` unless it is the signer's."""
        names, issuer = _names(cert), _issuer(cert)
        if issuer != self._signer.issuer:
            raise NotSigned(f"is by {_told(names)} of the issuer {issuer or 'that is not named'}")
        if not any(map(self._signer.is_named, names)):
            raise NotSigned(f"is by {_told(names)}")


def _names(certificate: x509.Certificate) -> list[str]:
    """Who it is of: addresses of mail and of workflows."""
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]


def _told(names: list[str]) -> str:
    return " or ".join(names) or "nobody that is named"


def _issuer(certificate: x509.Certificate) -> str | None:
    """Who vouched for the identity when the certificate was asked for."""
    from cryptography import x509
    from cryptography.hazmat import asn1

    found = {
        each.oid.dotted_string: each.value.value
        for each in certificate.extensions
        if isinstance(each.value, x509.UnrecognizedExtension)
    }
    if _ISSUER_DER in found:
        return asn1.decode_der(str, found[_ISSUER_DER])
    return found[_ISSUER].decode() if _ISSUER in found else None
