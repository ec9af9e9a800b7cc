"""The configuration of a node that takes from an origin at the other end of a link by rules of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from tests.simulators.images import HOST
from tests.simulators.replica_tree import ReplicaTree


def ruled_node(tree: ReplicaTree, folder: Path, role: str, rules: Sequence[str], **more: Any) -> Config:
    """Each of `rules` is what stands in its line beside its name and where it takes from. `more`: other keys. Written
    to `ROLE.yaml` in the folder, too."""
    written = folder / "node-rules"
    written.mkdir(exist_ok=True)
    lines = "\n".join(f"  - {{name: r{i}, from: {HOST}, {each}}}" for i, each in enumerate(rules))
    (written / "r.yaml").write_text(f"schema: registry-mesh/rules/2\nrules:\n{lines}\n")
    document = {
        "role": role,
        "name": role,
        "listen": {"port": 0},
        "admin": {"port": 0},
        "workers": 1,
        "store": {"disk": {"path": str(folder / "node")}},
        "registries": {HOST: {"parents": [[tree.link.url]]}},
        "rules": str(written),
        "replication": {"interval": "1h"},
    } | more
    (folder / f"{role}.yaml").write_text(json.dumps(document))
    return parse(json.dumps(document), f"{role}.yaml").config
