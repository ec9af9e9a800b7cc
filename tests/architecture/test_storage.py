"""A kind of store is known by name in its own room only: what it can do is said by a value, never probed for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "registry_mesh"
KINDS = ("disk", "bucket", "memory")
ROOMS = [p for p in sorted(ROOT.rglob("*.py")) if "stores" not in p.relative_to(ROOT).parts]


def defined(folder: Path) -> set[str]:
    """The public classes of a kind of store."""
    trees = [ast.parse(path.read_text()) for path in folder.glob("*.py")]
    return {n.name for tree in trees for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"}


STORES = {name for kind in KINDS for name in defined(ROOT / "stores" / kind) if name.endswith("Store")}


def probes(source: str) -> list[str]:
    """Where `source` asks a value for its type or its attributes to learn which store it is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            asked = {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
            subject = ast.unparse(node.args[0]).lower()
            if node.func.id == "isinstance" and asked & STORES:
                found.append(ast.unparse(node))
            if node.func.id in ("getattr", "hasattr") and ("store" in subject or "storage" in subject):
                found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and STORES & {alias.name for alias in node.names}:
            found.append(ast.unparse(node))
    return found


def test_the_kinds_have_stores() -> None:
    assert {"DiskStore", "S3Store", "S3CacheStore", "MemoryStore"} <= STORES


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_asks_a_store_what_it_is(path: Path) -> None:
    assert probes(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "a = isinstance(store, DiskStore)",
        "a = isinstance(here, DiskStore | S3Store)",
        "a = getattr(store, 'delete_many', None)",
        "a = hasattr(self._storage, 'spool')",
        "from registry_mesh.stores.disk.store import DiskStore",
    ],
)
def test_a_probe_is_found(line: str) -> None:
    assert probes(line)


CONFIGURED = {"disk": "disk", "bucket": "s3"}
"""What `store:` calls a kind. Memory is for tests, and cannot be configured."""


DEMONSTRATION = {"cli/demo_parts/tree.py"}
"""Writes the configuration of nodes that keep things on a disk, as any user may."""


def names_kind(source: str, kind: str) -> bool:
    """Whether `source` imports from the kind's room, or knows its key of the configuration."""
    key = CONFIGURED.get(kind)
    if f"stores.{kind}" not in source and (key is None or key not in source):
        return False  # most files: they need not be parsed
    return any(
        (isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"registry_mesh.stores.{kind}"))
        or (isinstance(node, ast.Constant) and node.value == key is not None)
        or (isinstance(node, ast.Attribute) and ast.unparse(node).endswith(f"store.{key}"))
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_few_files_outside_name_a_kind_of_store(kind: str) -> None:
    """Its section of the configuration with the checks of that, the constructor, and what tries it before the start."""
    outside = {str(path.relative_to(ROOT)) for path in ROOMS if names_kind(path.read_text(), kind)}
    assert outside - DEMONSTRATION <= {
        "assembly/sources/storage.py",
        "config/stores.py",
        "assembly/sources/probing.py",
    }


@pytest.mark.parametrize(
    "line",
    [
        "from registry_mesh.stores.bucket.store import S3Store",
        "folder = config.store.s3.spool",
        'key = ("store", "s3", "bucket")',
    ],
)
def test_a_kind_that_is_named_is_found(line: str) -> None:
    assert names_kind(line, "bucket") and not names_kind(line, "disk")
