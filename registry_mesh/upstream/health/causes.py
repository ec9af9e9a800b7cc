"""Why a server cannot be spoken to, in words that say where to look."""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final

import aiohttp

_ERRNOS: Final = {
    errno.ECONNREFUSED: "refuses connections",
    errno.ECONNRESET: "resets connections",
    errno.EPIPE: "resets connections",
    errno.EHOSTUNREACH: "cannot be reached: no route to the host",
    errno.ENETUNREACH: "cannot be reached: no route to its network",
    errno.ETIMEDOUT: "timed out",
    errno.EMFILE: "cannot be asked: this process has no file descriptors left",
    errno.ENFILE: "cannot be asked: this machine has no file descriptors left",
    errno.ENOBUFS: "cannot be asked: this machine has no memory left for connections",
    errno.ENOMEM: "cannot be asked: this machine has no memory left for connections",
}
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What this node lacks for a connection, whoever is at its other end."""
_CERTIFICATES: Final = {
    9: "is not valid yet",
    10: "has expired",
    62: "is for another name",
    64: "is for another address",
    **dict.fromkeys((18, 19, 20, 21), "is signed by nobody that this node trusts"),
}
"""By OpenSSL's verify codes (x509_vfy.h)."""
_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


_TWO_LENGTHS: Final = "sends Content-Length twice, or a list of lengths"

_REFUSED_LENGTHS: Final = ("Duplicate Content-Length", "Invalid character in Content-Length")
"""How the parser begins to say so."""

_LONGEST: Final = 200
"""Characters of a library's words: bytes of the server may be among them."""


def is_ours(fault: BaseException) -> bool:
    """Return whether nobody was asked, for this node lacks what a connection takes: that says nothing of a server."""
    if isinstance(fault, aiohttp.ClientConnectorDNSError):  # the resolver does not say why
        return _has_no_descriptor()
    return isinstance(fault, OSError) and fault.errno in _OURS


def _has_no_descriptor() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return True
    return False


def cause(fault: BaseException) -> str:
    """Return what is amiss, after the server's name: "refuses connections", "timed out". What is not known is given in
    the library's words, on one line."""
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        if is_ours(fault):
            return _ERRNOS[errno.EMFILE]
        return f"cannot be resolved by DNS: {fault.host}"
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return cause(fault.certificate_error)
    if isinstance(fault, aiohttp.ClientProxyConnectionError):
        return f"its proxy {fault.host}:{fault.port} {cause(fault.os_error)}"
    if isinstance(fault, aiohttp.ClientConnectorError):
        return cause(fault.os_error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        told = _CERTIFICATES.get(fault.verify_code, f"is not good: {fault.verify_message}")
        return f"its TLS certificate {told}"
    if isinstance(fault, ssl.SSLError):
        return (
            "speaks no TLS: plain HTTP on an https port?"
            if fault.reason in _NO_TLS
            else f"TLS: {fault.reason}"
        )
    if isinstance(fault, aiohttp.ServerDisconnectedError | aiohttp.ClientConnectionResetError):
        return "closes the connection without an answer"
    if isinstance(fault, OSError) and fault.errno in _ERRNOS:
        return _ERRNOS[fault.errno]
    if isinstance(fault, aiohttp.ClientResponseError):  # its words are the bytes that came, however many
        return _TWO_LENGTHS if fault.message.startswith(_REFUSED_LENGTHS) else "sends what is no HTTP"
    told = "".join(each for each in str(fault).partition("\n")[0] if each.isprintable())[:_LONGEST]
    return told or ("timed out" if isinstance(fault, TimeoutError) else type(fault).__name__)
