"""Nodes that are each other's parents, where their files are checked together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from registry_mesh.cli.check_config import command
from registry_mesh.config.load import parse
from registry_mesh.config.rings import find_rings


def node(name: str, port: int, *parents: str, role: str = "site", **more: Any) -> dict[str, Any]:
    registries = {"r.example": {"parents": [[parent] for parent in parents]}}
    listen = {"address": "127.0.0.1", "port": port}
    store = {"disk": {"path": f"/s/{name}"}}
    return {"role": role, "name": name, "listen": listen, "registries": registries, "store": store, **more}


def rings(*nodes: dict[str, Any]) -> list[str]:
    loaded = [parse(yaml.safe_dump(each), f"{each['name']}.yaml") for each in nodes]
    return [f"{finding.file}: {finding.what}" for finding in find_rings(loaded)]


A, B, C = (f"http://127.0.0.1:{port}" for port in (6001, 6002, 6003))
OUTSIDE = "https://origin.example"


def test_a_ring_is_found() -> None:
    assert rings(
        node("a", 6001, B), node("b", 6002, C), node("c", 6003, "http://localhost:6001", OUTSIDE)
    ) == [
        "a.yaml: leads back to this node: a.yaml -> b.yaml -> c.yaml -> a.yaml",
        "b.yaml: leads back to this node: b.yaml -> c.yaml -> a.yaml -> b.yaml",
        "c.yaml: leads back to this node: c.yaml -> a.yaml -> b.yaml -> c.yaml",
    ]


def test_nodes_by_name_where_they_listen_everywhere() -> None:
    everywhere = {"listen": {"address": "0.0.0.0", "port": 5000}}
    one = {**node("a.example", 0, "http://b.example:5000"), **everywhere}
    two = {**node("b.example", 0, "http://a.example:5000"), **everywhere}
    assert len(rings(one, two)) == 2
    assert not rings(one, {**node("b.example", 0, OUTSIDE), **everywhere})


@pytest.mark.parametrize(
    "nodes",
    [
        [node("a", 6001, B), node("b", 6002, OUTSIDE)],
        [node("a", 6001, B, OUTSIDE), node("b", 6002, C), node("c", 6003, OUTSIDE)],
        [node("a", 6001, B), node("b", 6002, A, role="replica", rules="/r")],
    ],
    ids=["a chain", "a longer one", "a replica that hands nothing on"],
)
def test_what_is_no_ring(nodes: list[dict[str, Any]]) -> None:
    assert not rings(*nodes)


def test_the_command_refuses_it(tmp_path: Path) -> None:
    paths = []
    for name, port, parent in (("a", 6001, B), ("b", 6002, A)):
        paths.append(str(tmp_path / f"{name}.yaml"))
        config = node(name, port, parent, store={"disk": {"path": str(tmp_path / name)}})
        Path(paths[-1]).write_text(yaml.safe_dump(config))
    assert CliRunner().invoke(command, paths[:1]).exit_code == 0
    both = CliRunner().invoke(command, paths)
    assert both.exit_code == 2
    assert "a.yaml:" in both.output and "leads back to this node" in both.output
