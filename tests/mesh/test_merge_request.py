"""A merge request of the central team: a recipe of another tool changes. What `rules diff` and `rules plan` say of it,
and the run that follows, from a registry that is none of ours."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from tests.clients.registries import docker_registry
from tests.eventually import eventually
from tests.simulators.images import Content, random_bytes

HUB, QUAY = "docker.io", "quay.io"
OLD = f"""\
version: 1
input:
  - 'https://registry.hub.docker.com/lhc/sim:v1'
  - 'https://registry.hub.docker.com/lhc/sim:v1'
  - 'https://registry.hub.docker.com/lhc/gone:latest'
  - 'https://{QUAY}/grid/wn:*'
"""
NEW = (
    OLD.replace("lhc/gone:latest", "lhc/sim:v2").replace("wn:*", "wn:9.*")
    + f"  - 'https://{QUAY}/grid/new'\n"
)
IMAGES = {
    f"{HUB}/lhc/sim": ("v1", "v2", "v3"),
    f"{HUB}/lhc/gone": ("latest",),
    f"{QUAY}/grid/wn": ("8.1", "9.1", "9.2"),
    f"{QUAY}/grid/new": ("latest", "other"),
}


async def command(*arguments: str, code: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert result.exit_code == code, (arguments, result.output)
    return result.stdout


async def push(client: aiohttp.ClientSession, url: str, name: str, tags: tuple[str, ...]) -> None:
    content = Content()
    for tag in tags:
        layers = [random_bytes("base", 40_000), random_bytes(f"{name}:{tag}", 7_000)]
        content.image(f"{name}:{tag}", tag, layers=layers)
    for digest, data in content.blobs.items():
        async with client.post(f"{url}/v2/{name}/blobs/uploads/") as started:
            place = started.headers["Location"]
        sign = "&" if "?" in place else "?"
        async with client.put(f"{place}{sign}digest={digest}", data=data) as put:
            assert put.status == 201
    for tag, digest in content.tags.items():
        manifest = content.manifests[digest]
        headers = {"Content-Type": manifest.media_type}
        async with client.put(f"{url}/v2/{name}/manifests/{tag}", data=manifest.data, headers=headers) as put:
            assert put.status == 201


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Path]:
    """The configuration of a replica whose registries are parts of one that is none of ours."""
    with docker_registry(tmp_path / "registry") as url:
        async with aiohttp.ClientSession() as client:
            for name, tags in IMAGES.items():
                await push(client, url, name, tags)
        document = {
            "role": "replica",
            "name": "replica",
            "store": {"disk": {"path": str(tmp_path / "replica")}},
            "registries": {host: {"parents": [[f"{url}/v2/{host}"]]} for host in (HUB, QUAY)},
            "rules": str(tmp_path / "rules"),
        }
        (tmp_path / "replica.yaml").write_text(json.dumps(document))
        yield tmp_path


async def imported(folder: Path, name: str, recipe: str) -> str:
    """The folder of rules that the recipe is."""
    (folder / name).mkdir(exist_ok=True)
    file = folder / f"{name}.recipe.yaml"
    file.write_text(recipe)
    (folder / name / "unpacked.yaml").write_text(await command("rules", "import", "ducc", str(file), code=1))
    return str(folder / name)


async def run(folder: Path, rules: str) -> tuple[dict[str, Any], str]:
    """The plan over what the sources show, and what the run says that brought it."""
    config, seen, held = (str(folder / name) for name in ("replica.yaml", "seen.jsonl", "held.jsonl"))
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "unpacked.yaml").write_text((Path(rules) / "unpacked.yaml").read_text())
    await command("rules", "record", config, "--listing", seen, "--held", held)
    plan = json.loads(
        await command("rules", "plan", rules, "--listing", seen, "--held", held, "--format", "json")
    )
    before = served(folder)
    told = await command("replicate", config, "--once", "--quiet")
    await eventually(lambda: served(folder) - before == plan["totals"]["bytes"], "as many bytes as planned")
    return plan, told


def served(folder: Path) -> int:
    """The bytes of all blobs that the registry has sent, as its own log says."""
    log = (folder / "registry" / "log").read_text()
    return sum(int(size) for size in re.findall(r'"GET /v2/\S+/blobs/\S+ HTTP/1.1" 200 (\d+)', log))


async def test_the_run_after_a_merge_moves_what_the_request_showed(replica: Path) -> None:
    old, new = [await imported(replica, name, text) for name, text in (("old", OLD), ("new", NEW))]
    plan, told = await run(replica, old)
    assert told.startswith("5 of 5 wanted tags held in 3 repositories; 5 switched")
    assert plan["totals"]["copy"] == 5

    config, branch = str(replica / "replica.yaml"), str(replica / "branch.jsonl")
    await command("rules", "record", config, "--rules", new, "--listing", branch)
    shown = await command(
        "rules", "diff", old, new, "--listing", str(replica / "seen.jsonl"), "--listing", branch
    )
    assert [line.split()[:2] for line in shown.splitlines()[:-1]] == [
        ["-", f"{HUB}/lhc/gone:latest"],
        ["+", f"{HUB}/lhc/sim:v2"],
        ["-", f"{QUAY}/grid/wn:8.1"],
        ["+", f"{QUAY}/grid/new:latest"],
    ]
    assert "2 come" in shown and "2 go" in shown

    plan, told = await run(replica, new)
    assert told.startswith("5 of 5 wanted tags held in 3 repositories; 2 switched")
    assert [(each["do"], each["to"]) for each in plan["steps"]] == [
        ("copy", f"{HUB}/lhc/sim:v2"),
        ("copy", f"{QUAY}/grid/new:latest"),
    ]
    assert (await run(replica, new))[0]["steps"] == []
