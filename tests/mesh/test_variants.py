"""Variants: an origin makes them of what it has, once, and replicas bring them as companions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.manifest import Manifest
from registry_mesh.replication.companions import VARIANTS
from tests.mesh.test_origin_fills import Filled
from tests.simulators.images import HOST, Content
from tests.simulators.layers import image_of
from tests.simulators.replica_tree import replica_tree

OWN = "own.example"
ESTARGZ, SIF = VARIANTS["estargz"], VARIANTS["sif"]
FILES = {"bin": None, "bin/say": b"#!/bin/sh\necho said\n"}


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Filled]:
    async with replica_tree(tmp_path) as outside:
        yield Filled(outside, tmp_path)


def config_of(filled: Filled, *rules: str, role: str = "origin", url: str = "") -> Config:
    """Rules that say where they are from; a replica has its own store, and the origin at `url` as its parent."""
    config = filled.config()
    folder = Path(config.rules or "")
    written = "\n".join(f"  - {{name: r{i}, {each}}}" for i, each in enumerate(rules))
    (folder / "r.yaml").write_text(f"schema: registry-mesh/rules/2\nrules:\n{written}\n")
    if role == "origin":
        return config
    document = {
        "role": role,
        "name": "below",
        "listen": {"port": 0},
        "admin": {"port": 0},
        "workers": 1,
        "store": {"disk": {"path": str(filled.folder / "below")}},
        "registries": {OWN: {"default": True, "parents": [[url]]}},
        "rules": str(folder),
        "replication": {"interval": "1h"},
    }
    return parse(json.dumps(document), "below.yaml").config


async def run(config: Config) -> Outcome:
    async with open_replicator(config) as replicator:
        return await replicator.run()


async def refer_to(filled: Filled, url: str, name: str, digest: object) -> dict[str, str]:
    """By artifact type the digest of what refers to something."""
    async with filled.outside.client.get(f"{url}/v2/{name}/referrers/{digest}") as answer:
        told = await answer.json(content_type=None)
        return {each["artifactType"]: each["digest"] for each in told["manifests"]}


async def manifest(filled: Filled, url: str, name: str, digest: str) -> dict[str, Any]:
    async with filled.outside.client.get(f"{url}/v2/{name}/manifests/{digest}") as answer:
        assert answer.status == 200
        return dict(json.loads(await answer.read()))


async def pushed(filled: Filled) -> tuple[Manifest, dict[str, Manifest]]:
    """An index of two images, and one tag besides, pushed to the origin itself."""
    content = Content()
    kids = {
        p: image_of(content, FILES, {"etc/p": p.encode()}, platform=p) for p in ("linux/amd64", "linux/arm64")
    }
    index, one = content.index(kids), image_of(content, FILES, {"etc/one": b"1"}, tag="old")
    async with running(config_of(filled)) as own:
        for image in (*kids.values(), one):
            await filled.push(own.url, "team/app", content, image, str(image.digest))
        await filled.push(own.url, "team/app", content, index, "1.0")
        await filled.push(own.url, "team/app", content, one, "old")
    return index, kids


async def test_an_origin_makes_what_rules_want_once_and_refers_it_to_what_it_is_of(filled: Filled) -> None:
    index, kids = await pushed(filled)
    content = Content()
    outside = image_of(content, FILES, tag="9")
    await filled.outside.push("library/alma", content)
    config = config_of(
        filled,
        f'from: {OWN}, repos: "team/**", tags: "semver: *", variants: estargz, platforms: [linux/amd64], delete: 7d',
        f"from: {OWN}, repos: team/app, tags: old",
        f'from: {HOST}, repos: "library/*", tags: "9", variants: estargz, to: "base/{{base}}"',
    )
    first = await run(config)
    assert (first.troubles, len([each for each in first.notes if "estargz of" in each])) == ((), 2)
    again = await run(config)
    assert (again.troubles, again.notes) == ((), ())
    async with running(config) as own:
        found = (await refer_to(filled, own.url, "team/app", index.digest))[ESTARGZ]
        made = await manifest(filled, own.url, "team/app", found)
        assert [each["platform"]["architecture"] for each in made["manifests"]] == ["amd64"]
        child = await refer_to(filled, own.url, "team/app", kids["linux/amd64"].digest)
        assert child == {ESTARGZ: made["manifests"][0]["digest"]}
        assert await refer_to(filled, own.url, "team/app", kids["linux/arm64"].digest) == {}
        image = await manifest(filled, own.url, "team/app", child[ESTARGZ])
        assert all(
            "containerd.io/snapshot/stargz/toc.digest" in each["annotations"] for each in image["layers"]
        )
        assert image["subject"]["digest"] == str(kids["linux/amd64"].digest)
        assert set(await refer_to(filled, own.url, "base/alma", outside.digest)) == {ESTARGZ}


@pytest.mark.client
async def test_a_sif_has_the_tree_and_how_it_is_run(clients: None, filled: Filled, tmp_path: Path) -> None:
    _, kids = await pushed(filled)
    config = config_of(filled, f"from: {OWN}, repos: team/app, tags: '*', variants: [sif, estargz]")
    assert (await run(config)).troubles == ()
    async with running(config) as own:
        found = await refer_to(filled, own.url, "team/app", kids["linux/arm64"].digest)
        assert set(found) == {SIF, ESTARGZ}
        (layer,) = (await manifest(filled, own.url, "team/app", found[SIF]))["layers"]
        at = f"{own.url}/v2/team/app/blobs/{layer['digest']}"
        async with filled.outside.client.get(at) as answer:
            data = await answer.read()
        replica = config_of(
            filled,
            f"from: {OWN}, repos: team/app, tags: '1.0', with: none, variants: sif",
            role="replica",
            url=own.url,
        )
        assert (await run(replica)).troubles == ()
        async with running(replica) as below:
            assert set(await refer_to(filled, below.url, "team/app", kids["linux/arm64"].digest)) == {SIF}
    assert data.startswith(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0") and data[45:47] == b"04"
    file = tmp_path / "app.sif"
    file.write_bytes(data)
    said = ["unsquashfs", "-q", "-n", "-o", "32768", "-d", str(tmp_path / "root"), str(file)]
    subprocess.run(said, check=True, capture_output=True, timeout=60)
    root = tmp_path / "root"
    assert (root / "etc/p").read_bytes() == b"linux/arm64" and (root / "bin/say").read_bytes() == FILES[
        "bin/say"
    ]
    meta = root / ".singularity.d"
    script = f". {meta}/env/10-docker2singularity.sh; echo $GREETING; sh -n {meta}/runscript && cat {meta}/runscript"
    shown = subprocess.run(
        ["sh", "-c", script], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert shown.startswith("it's\n") and "exec /bin/say" in shown and "set -- 'a b'" in shown


async def test_what_cannot_be_made_is_named_and_stops_no_other(filled: Filled) -> None:
    content = Content()
    bad, good = content.image("random", "bad"), image_of(content, FILES, tag="good")
    async with running(config_of(filled)) as own:
        for image, tag in ((bad, "bad"), (good, "good")):
            await filled.push(own.url, "app", content, image, tag)
    config = config_of(filled, f"from: {OWN}, repos: app, tags: '*', variants: estargz")
    (told,) = (await run(config)).troubles
    assert told.what == f"estargz of {OWN}/app:bad"
    assert not (filled.folder / "node" / "variants").exists()
    async with running(config) as own:
        assert set(await refer_to(filled, own.url, "app", good.digest)) == {ESTARGZ}
        assert await refer_to(filled, own.url, "app", bad.digest) == {}
