"""registry-mesh itself, started as an operator starts it: by a configuration file, with everything on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.nginx import Certificate
from loadtests.processes import Server
from tests.simulators.bucket import Bucket
from tests.simulators.ports import free_port

REGISTRY = "registry.example"


class Mesh(Server):
    """A running node; `admin_port` has its metrics and status."""

    admin_port: int = 0


def _node(
    name: str, folder: Path, document: Mapping[str, object], workers: int, tls: Certificate | None
) -> Mesh:
    folder.mkdir(parents=True, exist_ok=True)
    port, admin = free_port(), free_port()
    listen: dict[str, object] = {"address": "127.0.0.1", "port": port}
    if tls is not None:
        listen["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    whole = {
        "name": "bench",
        "listen": listen,
        "admin": {"address": "127.0.0.1", "port": admin},
        "workers": workers,
        "drain": "1s",
        "access": {"anonymous": "pull"},
        "log": {"access": str(folder / "access.log"), "audit": str(folder / "audit.log")},
        **document,
    }
    file = folder / "node.yaml"
    file.write_text(json.dumps(whole, indent=1))
    repository = Path(__file__).parent.parent
    server = Mesh(name, [sys.executable, "-m", "registry_mesh", "serve", file], folder, port)
    server.environment = {"PYTHONPATH": str(repository)}
    server.admin_port = admin
    return server


def disk(folder: Path, quota: str = "200GiB") -> dict[str, object]:
    return {"disk": {"path": str(folder / "store"), "quota": quota}}


def bucket(place: Bucket, prefix: str, spool: Path) -> dict[str, object]:
    """A store in a bucket, with a spool on this disk. Its keys come from the environment (`bucket_keys`)."""
    spooled = {"path": str(spool), "quota": "20GiB"}
    return {
        "s3": {
            "bucket": place.name,
            "endpoint": place.endpoint,
            "region": place.region,
            "prefix": prefix,
            "spool": spooled,
        }
    }


def bucket_keys(place: Bucket) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": place.access_key, "AWS_SECRET_ACCESS_KEY": place.secret_key}


def site(
    folder: Path,
    parents: Sequence[str],
    *,
    name: str = "registry-mesh",
    workers: int = 1,
    tls: Certificate | None = None,
    store: dict[str, object] | None = None,
    access: dict[str, object] | None = None,
    others: Mapping[str, Sequence[str]] | None = None,
) -> Mesh:
    """A site of a plain registry whose parents are tried in order, and of `others`, each with its parents."""
    registries: dict[str, object] = {
        name: _registry(urls, default=name == REGISTRY)
        for name, urls in {REGISTRY: parents, **(others or {})}.items()
    }
    document = {"role": "site", "store": store or disk(folder), "registries": registries}
    if access is not None:
        document["access"] = access
    return _node(name, folder, document, workers, tls)


def _registry(parents: Sequence[str], *, default: bool) -> dict[str, object]:
    return {"default": default, "parents": [[parent] for parent in parents], "tags": {"ttl": "1h"}}


def origin(folder: Path, *, name: str = "registry-mesh origin", workers: int = 1) -> Mesh:
    """An origin that anyone may push to."""
    document = {
        "role": "origin",
        "store": {"disk": {"path": str(folder / "store")}},
        "registry": REGISTRY,
        "access": {"anonymous": "push"},
    }
    return _node(name, folder, document, workers, None)
