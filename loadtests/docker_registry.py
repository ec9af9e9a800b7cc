"""Debian's docker-registry (CNCF distribution 2.8): as an origin over laid-out files, and as a pull-through."""

from __future__ import annotations

import json
from pathlib import Path

from loadtests.corpus import REPOSITORY, Blob, Corpus, Tagged
from loadtests.nginx import hard_link
from loadtests.processes import Server
from tests.simulators.ports import free_port


def _configuration(folder: Path, port: int, **more: object) -> Path:
    document = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "store")},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
        **more,
    }
    file = folder / "config.yml"
    file.write_text(json.dumps(document))
    return file


def _note(file: Path, digest: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(digest)


def _lay_out(corpus: Corpus, store: Path) -> None:
    base = store / "docker/registry/v2"
    repository = base / "repositories" / REPOSITORY
    things: list[Blob | Tagged] = [*corpus.blobs, *corpus.manifests]
    for thing in things:
        hexadecimal = thing.digest.partition(":")[2]
        place = base / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"
        place.parent.mkdir(parents=True, exist_ok=True)
        hard_link(thing.file, place)
    for blob in corpus.blobs:
        _note(repository / "_layers/sha256" / blob.digest.partition(":")[2] / "link", blob.digest)
    for one in corpus.manifests:
        hexadecimal = one.digest.partition(":")[2]
        _note(repository / "_manifests/revisions/sha256" / hexadecimal / "link", one.digest)
        _note(repository / "_manifests/tags" / one.tag / "current/link", one.digest)
        _note(repository / "_manifests/tags" / one.tag / "index/sha256" / hexadecimal / "link", one.digest)


def origin(corpus: Corpus, folder: Path) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    _lay_out(corpus, folder / "store")
    port = free_port()
    file = _configuration(folder, port)
    return Server("docker-registry", ["docker-registry", "serve", file], folder, port)


def empty(folder: Path) -> Server:
    """An origin that holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Server("docker-registry", ["docker-registry", "serve", _configuration(folder, port)], folder, port)


def pull_through(parent_url: str, folder: Path) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    file = _configuration(folder, port, proxy={"remoteurl": parent_url})
    return Server("docker-registry proxy", ["docker-registry", "serve", file], folder, port)
