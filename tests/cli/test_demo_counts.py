"""What `registry-mesh demo` says of the bytes that a node sent, by the counters of a real one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.request import urlopen

from registry_mesh.cli.demo_parts.tree import Node
from tests.clients import nodes
from tests.eventually import eventually_here


def test_answers_to_pings_are_not_counted(tmp_path: Path) -> None:
    with nodes.origin(tmp_path / "origin") as origin:
        process = subprocess.Popen(["true"])
        process.wait()
        told = Node("origin", origin.port, origin.admin_port, origin.config, origin.log, process)
        assert told.sent() == 0, "it was pinged until it served"
        with urlopen(f"{origin.url}/v2/_catalog", timeout=60) as answer:
            size = len(answer.read())
        eventually_here(lambda: told.sent() == size, told.sent)
