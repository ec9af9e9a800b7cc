"""Whose certificates are believed, asked of connections that were made before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # 10 MB of each process: only where a listener believes clients' certificates
    from cryptography import x509


class Authorities:
    """Those of a PEM file that have not ended."""

    def __init__(self, pem: bytes, now: float) -> None:
        """`now`: seconds of the clock. ValueError where the file holds none."""
        from cryptography import x509

        ends = {each: _end(each) for each in x509.load_pem_x509_certificates(pem)}
        self._all = frozenset(each for each, end in ends.items() if now < end)
        self.until = min((ends[each] for each in self._all), default=math.inf)
        """When the first of them ends, in seconds of the clock."""

    def __ge__(self, other: Authorities) -> bool:
        """Whether all the others are among these."""
        return self._all >= other._all

    def believe(self, certificate: bytes) -> bool:
        """Whether a certificate (DER) is one of these, or was made by one of them itself: of one that another
        certificate stands between, the next handshake decides."""
        from cryptography import x509

        shown = x509.load_der_x509_certificate(certificate)
        return any(shown == each or _has_made(each, shown) for each in self._all)


def _end(authority: x509.Certificate) -> float:
    return authority.not_valid_after_utc.timestamp()


def _has_made(authority: x509.Certificate, shown: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        shown.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):  # another name, a key that makes none, another key
        return False
    return True
