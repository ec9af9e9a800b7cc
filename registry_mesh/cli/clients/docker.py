"""Docker Engine: `registry-mirrors` in daemon.json. It mirrors docker.io only, and names no registry in requests:
the site's default registry must be docker.io, on the listener or host name that Docker is given."""

from __future__ import annotations

import json
from typing import Any, Final

from registry_mesh.cli.clients.edit import Edit, EditRefused
from registry_mesh.cli.clients.mirror import Mirror

DIRECTORY: Final = "/etc/docker"
NOTE: Final = """\
systemctl reload docker. Docker mirrors docker.io alone, and always asks docker.io itself where the site does not
answer. It names no registry: docker.io must be the site's default registry."""
FILE: Final = "daemon.json"


def edits(mirror: Mirror) -> list[Edit]:
    """The one file, whose other keys stay. JSON knows no comments: our entries are known by the site's address."""
    wanted = {"registry-mirrors": mirror.url}
    if mirror.plain:
        wanted["insecure-registries"] = mirror.address

    def apply(before: str) -> str:
        document = _document(before)
        for key, value in wanted.items():
            known = [each for each in _list(document, key) if each.rstrip("/") != value]
            document[key] = [value, *known]
        return before if before.strip() and document == _document(before) else _text(document)

    def revert(before: str) -> str:
        document = _document(before)
        if mirror.url not in _list(document, "registry-mirrors"):
            return before
        for key, value in wanted.items():
            document[key] = [each for each in _list(document, key) if each != value]
            if not document[key]:
                del document[key]
        return _text(document) if document else ""

    return [Edit(FILE, apply, revert)]


def _document(text: str) -> dict[str, Any]:
    """Any: JSON, of which we know two keys."""
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as fault:
        raise EditRefused(f"{FILE} is not JSON: {fault}") from None
    if not isinstance(document, dict):
        raise EditRefused(f"{FILE} is not a JSON object")
    return document


def _list(document: dict[str, Any], key: str) -> list[str]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise EditRefused(f"{FILE}: {key} is not a list of texts")
    return value


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
