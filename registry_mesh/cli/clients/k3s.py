"""k3s and RKE2: `registries.yaml`, out of which they write containerd's hosts.toml themselves."""

from __future__ import annotations

from typing import Any, Final

from registry_mesh.cli.clients.edit import Edit, EditRefused
from registry_mesh.cli.clients.mirror import Mirror
from registry_mesh.config.document import read_document
from registry_mesh.config.dump import dump
from registry_mesh.config.finding import ConfigInvalid

DIRECTORY: Final = "/etc/rancher/k3s"
NOTE: Final = """\
systemctl restart k3s (RKE2: the same file in /etc/rancher/rke2). Where the site does not answer, k3s asks the registry
itself, unless it was started with --disable-default-registry-endpoint."""
FILE: Final = "registries.yaml"


def edits(mirror: Mirror) -> list[Edit]:
    """The one file; other mirrors and configs in it stay (its comments do not: the copy beside it has them)."""
    hosts = [*mirror.registries, *(["*"] if mirror.every else [])]

    def apply(before: str) -> str:
        document = _document(before)
        mirrors = _mapping(document, "mirrors")
        for host in hosts:
            entry = _mapping(mirrors, host)
            entry["endpoint"] = [mirror.url, *(url for url in _endpoints(entry) if url != mirror.url)]
        if mirror.ca:
            _mapping(_mapping(_mapping(document, "configs"), mirror.address), "tls")["ca_file"] = mirror.ca
        return before if before.strip() and document == _document(before) else dump(document)

    def revert(before: str) -> str:
        document = _document(before)
        mirrors = _mapping(document, "mirrors")
        ours = [host for host in mirrors if mirror.url in _endpoints(_mapping(mirrors, host))]
        if not ours:
            return before
        for host in ours:
            entry = mirrors[host]
            entry["endpoint"] = [url for url in _endpoints(entry) if url != mirror.url]
            _prune(entry, "endpoint")
            _prune(mirrors, host)
        _mapping(document, "configs").pop(mirror.address, None)
        _prune(document, "mirrors")
        _prune(document, "configs")
        return dump(document) if document else ""

    return [Edit(FILE, apply, revert)]


def _document(text: str) -> dict[str, Any]:
    """Any: YAML, of which we know two keys."""
    try:
        document = read_document(text, FILE)
        if document.findings:
            raise ConfigInvalid(document.findings)
    except ConfigInvalid as invalid:
        raise EditRefused(str(invalid)) from None
    value = document.value if document.value is not None else {}
    if not isinstance(value, dict):
        raise EditRefused(f"{FILE} is not a mapping")
    return value


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at `key`, made where there is none."""
    value = document.get(key)
    if value is None:
        value = document[key] = {}
    if not isinstance(value, dict):
        raise EditRefused(f"{FILE}: {key} is not a mapping")
    return value


def _endpoints(entry: dict[str, Any]) -> list[str]:
    value = entry.get("endpoint") or []
    if not isinstance(value, list):
        raise EditRefused(f"{FILE}: an endpoint is not a list")
    return value


def _prune(document: dict[str, Any], key: str) -> None:
    if not document.get(key):
        document.pop(key, None)
