"""A real origin, a link, and the configuration of a replica at its other end."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from registry_mesh.assembly.node.build import Node
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from tests.clients import programs
from tests.simulators.images import HOST, Content
from tests.simulators.link import Link
from tests.simulators.origin_node import running_origin
from tests.simulators.whole import write_whole


@dataclass
class ReplicaTree:
    """`push` what a replica may want; `replicate` runs the command."""

    directory: Path
    origin: Node
    link: Link
    client: aiohttp.ClientSession

    @property
    def replica_path(self) -> Path:
        return self.directory / "replica.yaml"

    def replica_config(
        self,
        *,
        quota: str | None = None,
        keys: dict[str, Any] | None = None,
        more_registries: dict[str, Any] | None = None,
        **replication: Any,
    ) -> Config:
        """Written to `replica_path` too."""
        disk = {"path": str(self.directory / "replica")} | ({"quota": quota} if quota else {})
        document = {
            "role": "replica",
            "name": "replica",
            "listen": {"port": 0},
            "admin": {"port": 0},
            "workers": 1,
            "store": {"disk": disk},
            "registries": {HOST: {"default": True, "parents": [[self.link.url]]}, **(more_registries or {})},
            "rules": str(self.directory / "rules"),
            "replication": {"interval": "1h"} | replication,
            "keys": keys or {},
        }
        text = json.dumps(document)  # JSON is YAML
        self.replica_path.write_text(text)
        return parse(text, str(self.replica_path)).config

    def write_rules(self, *rules: dict[str, Any]) -> None:
        (self.directory / "rules").mkdir(exist_ok=True)
        named = [{"name": f"rule-{n}", "from": HOST, "tags": ["*"]} | rule for n, rule in enumerate(rules)]
        document = {"schema": "registry-mesh/rules/1", "rules": named}
        write_whole(self.directory / "rules" / "rules.yaml", json.dumps(document))

    async def push(self, name: str, content: Content) -> None:
        """All of it: blobs, then manifests in the order they were made, then tags."""
        base = f"{self.origin.url}/v2/{name}"
        for digest, data in content.blobs.items():
            await self._send(
                "POST", f"{base}/blobs/uploads/?digest={digest}", data, "application/octet-stream"
            )
        for manifest in content.manifests.values():
            await self._send("PUT", f"{base}/manifests/{manifest.digest}", manifest.data, manifest.media_type)
        for tag, digest in content.tags.items():
            manifest = content.manifests[digest]
            await self._send("PUT", f"{base}/manifests/{tag}", manifest.data, manifest.media_type)

    async def _send(self, method: str, url: str, data: bytes, media_type: str) -> None:
        async with self.client.request(
            method, url, data=data, headers={"Content-Type": media_type}
        ) as answer:
            assert answer.status == 201, await answer.text()

    async def start(self, *options: str) -> Process:
        """`registry-mesh replicate`, running."""
        command = [sys.executable, "-m", "registry_mesh", "replicate", str(self.replica_path), *options]
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)

    async def replicate(self, *options: str) -> tuple[int | None, str, str]:
        """Exit code, standard output, standard error. Quiet: a run of ten seconds or more tells of its progress."""
        words = ("replicate", self.replica_path, "--once", "--quiet", *options)
        done = await asyncio.to_thread(programs.run, *words)
        return done.returncode, done.stdout, done.stderr


@asynccontextmanager
async def replica_tree(directory: Path) -> AsyncIterator[ReplicaTree]:
    async with running_origin("origin", directory, HOST) as origin:
        async with (
            Link("127.0.0.1", urlsplit(origin.url).port or 0) as link,
            aiohttp.ClientSession() as client,
        ):
            tree = ReplicaTree(directory, origin, link, client)
            tree.replica_config()
            yield tree
