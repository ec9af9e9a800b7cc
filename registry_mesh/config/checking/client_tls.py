"""The files by which the servers that a node asks are believed, and which it shows them."""

from __future__ import annotations

import ssl

from registry_mesh.config.checking.certificates import check_pair
from registry_mesh.config.document import Document
from registry_mesh.config.finding import Path


def check_client_tls(document: Document, path: Path) -> None:
    """Report what is wrong with `ca`, `certificate` and `key` below `path`."""
    certificate, key = (document.find(*path, name) for name in ("certificate", "key"))
    check_authorities(document, (*path, "ca"))
    if isinstance(certificate, str) and isinstance(key, str):
        for part, what, how in check_pair(certificate, key):
            document.report_file((*path, part), certificate if part == "certificate" else key, what, how)
    elif isinstance(certificate, str) or isinstance(key, str):
        lone, lacking = ("certificate", "key") if isinstance(certificate, str) else ("key", "certificate")
        document.report((*path, lone), f"{lone} without {lacking}", f"add {lacking}: FILE", key=True)


def check_authorities(document: Document, path: Path) -> None:
    """Report what is wrong with the file of authorities that the key at `path` names, if it names one."""
    file = document.find(*path)
    if not isinstance(file, str) or not file:
        return
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        document.report(path, f"{file} holds no PEM certificate", "name one of certificate authorities")
    except OSError as fault:
        document.report_file(
            path, file, f"{file}: {fault.strerror}", "name a PEM file of certificate authorities"
        )
