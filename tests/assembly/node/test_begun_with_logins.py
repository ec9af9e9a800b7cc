"""Processes that die while a login, or whom a bucket is believed by, cannot be read go on by what was good last."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from tests.clients import nodes, programs
from tests.eventually import eventually
from tests.simulators.bucket import Bucket
from tests.simulators.gateway import gateway
from tests.simulators.guarded import DATA, DIGEST, GuardedRegistry, basic, guarded_registry

pytestmark = pytest.mark.slow


class Running:
    """A node with one worker, asked by its name in a loop that is free for whom the node asks."""

    def __init__(self, node: nodes.Node, client: aiohttp.ClientSession) -> None:
        self.node, self.client = node, client

    async def pids(self) -> set[int]:
        """Of the worker that serves and the keeper; none while one of them is missing."""
        assert self.node.process is not None
        assert self.node.process.poll() is None, self.node.tail()
        try:
            async with self.client.get(f"{self.node.admin}/status") as told:
                status: Any = json.loads(await told.read())
        except aiohttp.ClientError:
            return set()
        serving = {each["pid"] for each in status["workers"] if each["state"] == "serving"}
        found = self.node.children()
        return found if serving & found else set()

    async def kill(self) -> None:
        """All processes but the one that starts them; return when others are in their places."""
        before = await eventually(self.pids, self.node.tail, until=lambda found: len(found) == 2)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await eventually(self.pids, self.node.tail, until=lambda found: len(found - before) == 2)

    async def found(self) -> list[str]:
        """What the finding about files is about, once there is one."""

        async def subjects() -> list[str]:
            async with self.client.get(f"{self.node.admin}/status") as told:
                status: Any = json.loads(await told.read())
            return [each["subject"] for each in status["findings"] if each["name"] == "files-invalid"]

        found: list[str] = await eventually(subjects, "a finding")
        return found

    async def pull(self, repository: str) -> bytes:
        async with self.client.get(f"{self.node.url}/v2/{repository}/blobs/{DIGEST}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def parent() -> AsyncIterator[GuardedRegistry]:
    async with guarded_registry() as registry:
        registry.challenges = ['Basic realm="r"']
        yield registry


def docker(url: str, **entry: str) -> str:
    return json.dumps({"auths": {url.removeprefix("http://"): entry}})


@pytest.mark.parametrize("broken", [None, "", "half", "docker"], ids=["gone", "empty", "half", "one entry"])
async def test_parents_are_asked_by_the_login_that_was_good_last(
    tmp_path: Path, client: aiohttp.ClientSession, parent: GuardedRegistry, broken: str | None
) -> None:
    file = tmp_path / "login"
    file.write_text(docker(parent.url, auth="dTpw"))
    file.chmod(0o600)
    registry = {
        "default": True,
        "readers": ["everybody"],
        "parents": [[parent.url]],
        "credentials": f"file:{file}",
    }
    node = nodes.Node(tmp_path / "node", {"role": "site", "registries": {"r.example": registry}})
    await asyncio.to_thread(node.start)
    try:
        running = Running(node, client)
        assert await running.pull("a/first") == DATA
        if broken is None:
            file.unlink()
        else:
            file.write_text(docker(parent.url, auth="!") if broken == "docker" else broken)
        for nth in ("second", "third"):
            await running.kill()
            before = len(parent.requests)
            assert await running.pull(f"a/{nth}") == DATA
            assert parent.requests[-1][2] == basic("u", "p")
            assert len(parent.requests) > before, "the parent is asked whose digest it is"
        assert "credentials cannot be read: those known are used on" in node.log.read_text()
        assert "dTpw" not in node.log.read_text()
        assert await running.found() == ["registries.r.example.credentials"]
        parent.users = {"u": "new"}
        file.write_text(docker(parent.url, auth="dTpuZXc="))
        assert await running.pull("a/fourth") == DATA
        assert parent.requests[-1][2] == basic("u", "new")
    finally:
        await asyncio.to_thread(node.stop)


async def test_a_bucket_is_believed_by_the_authorities_that_were_good_last(
    tmp_path: Path, client: aiohttp.ClientSession, bucket: Bucket
) -> None:
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with gateway(bucket.endpoint, tls) as front:
        s3 = {"bucket": bucket.name, "endpoint": front.url, "prefix": bucket.prefix(), "ca": str(ca)}
        store = {"s3": {**s3, "region": bucket.region}}
        config = {"role": "origin", "registry": "r.example", "access": {"anonymous": "push"}, "store": store}
        node = nodes.Node(tmp_path / "node", config)
        node.environment = bucket.keys
        await asyncio.to_thread(node.start)
        try:
            running = Running(node, client)
            for text in (None, "", "half"):
                ca.unlink() if text is None else ca.write_text(text)
                await running.kill()
                assert await pushed(running) == 201
            assert await running.found() == ["store.s3.ca"]
            assert "authorities of the bucket cannot be used: the old ones hold" in node.log.read_text()
            authority.cert_pem.write_to_path(str(ca))
            await running.kill()
        finally:
            await asyncio.to_thread(node.stop)
        ca.unlink()
        ended = await asyncio.to_thread(programs.run, "serve", node.config)
        assert ended.returncode == 78
        assert str(ca) in ended.stderr


async def pushed(running: Running) -> int:
    """The status of a push in one request: what a worker does by both clients of the bucket."""
    url = f"{running.node.url}/v2/a/b/blobs/uploads/?digest={DIGEST}"
    async with running.client.post(url, data=DATA) as answer:
        return answer.status
