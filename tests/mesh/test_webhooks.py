"""An origin tells a receiver what happens to it, over its own death and the receiver's."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

from tests.clients import nodes
from tests.eventually import eventually
from tests.simulators.ports import free_port
from tests.simulators.receiver import SECRET, Receiver, receiving

TYPE = "application/vnd.oci.image.index.v1+json"


def put(node: nodes.Node, tag: str) -> None:
    index = {"schemaVersion": 2, "mediaType": TYPE, "manifests": [], "annotations": {"tag": tag}}
    request = urllib.request.Request(
        f"{node.url}/v2/atlas/athena/manifests/{tag}",
        data=json.dumps(index).encode(),
        method="PUT",
        headers={"Content-Type": TYPE},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def delete(node: nodes.Node, tag: str) -> None:
    request = urllib.request.Request(f"{node.url}/v2/atlas/athena/manifests/{tag}", method="DELETE")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 202


def status(node: nodes.Node) -> dict[str, object]:
    with urllib.request.urlopen(f"{node.admin}/status", timeout=60) as answer:
        found: dict[str, object] = json.load(answer)["webhooks"][0]
        return found


async def test_events_outlive_the_node_and_wait_for_their_receiver(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    port = free_port()
    told = {
        "url": f"http://127.0.0.1:{port}/hook",
        "secret": f"file:{tmp_path / 'key'}",
        "repositories": "atlas/**",
    }
    node = nodes.Node(
        tmp_path / "origin",
        {
            "role": "origin",
            "registry": "registry.example",
            "access": {"anonymous": "admin"},
            "webhooks": {"queue": str(tmp_path / "queue.sqlite"), "receivers": {"ci": told}},
        },
    )
    node.start()
    try:
        put(node, "one")
        put(node, "two")
        node.kill()
        async with receiving(Receiver(), port) as receiver:
            await asyncio.to_thread(node.start)
            delete(node, "one")
            await eventually(lambda: len(receiver.events) == 3, "all events to come")
            assert [(each["type"], each["subject"]) for each in receiver.events] == [
                ("registry-mesh.push", "atlas/athena:one"),
                ("registry-mesh.push", "atlas/athena:two"),
                ("registry-mesh.delete", "atlas/athena:one"),
            ]
            assert receiver.forged == 0
            await eventually(lambda: status(node)["sent"] == 3, "the count of what was sent")
        assert (status(node)["waiting"], status(node)["to"]) == (0, f"http://127.0.0.1:{port}")
        assert SECRET not in node.log.read_text()
    finally:
        node.stop()
