"""Checks of `webhooks:` that no single key can make."""

from __future__ import annotations

import os
from pathlib import Path

from registry_mesh.config.checking.client_tls import check_client_tls
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path as KeyPath
from registry_mesh.config.places import table_fault
from registry_mesh.webhooks.signature import SecretInvalid, key_of

_MEND = "make one: echo whsec_$(openssl rand -base64 32)"


def check_webhooks(document: Document) -> None:
    """Add what is wrong to the document's findings, also with the key of events that this node is told of."""
    _check_secret(document, ("replication", "webhook_secret"))
    receivers = mapping(document.find("webhooks", "receivers"))
    queue = document.find("webhooks", "queue")
    if receivers and queue is None:
        document.report(("webhooks",), "receivers without a queue", "add queue: FILE", key=True)
    if isinstance(queue, str) and queue and (fault := table_fault(Path(queue))) is not None:
        document.lack(("webhooks", "queue"), *fault)
    for name in receivers:
        _check_secret(document, ("webhooks", "receivers", name, "secret"))
        check_client_tls(document, ("webhooks", "receivers", name))


def _check_secret(document: Document, path: KeyPath) -> None:
    secret = document.find(*path)
    kind, _, target = secret.partition(":") if isinstance(secret, str) else ("", "", "")
    try:
        if kind == "env":
            key_of(os.environ[target])
        elif kind == "file" and target:
            key_of(Path(target).read_text(errors="replace"))
    except KeyError:
        document.lack(path, f"{target} is not in this environment", _MEND)
    except OSError as fault:
        document.lack(path, f"{target}: {fault.strerror}", _MEND)
    except SecretInvalid as fault:
        document.lack(path, f"{target}: {fault}", _MEND)
