"""How far the tests reach into the program: by its public faces, with few exceptions, which are not to become more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MOST_PRIVATE = 9
"""Members whose names begin with `_` that tests take from something that is not their own object."""
MOST_PATCHES = 2
"""`monkeypatch.setattr`, `monkeypatch.setitem` and `mock.patch`."""

OF_THE_LIBRARY = {"os._exit", "ssl._create_unverified_context"}
"""Documented, for all their names."""


def private(tree: ast.AST) -> Iterator[str]:
    """Private members that are read or set, but by `self` and `cls`, and private names that are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            yield from (each.name for each in node.names if is_private(each.name))


def is_own(value: ast.expr) -> bool:
    return ast.unparse(value) in ("self", "cls")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def patches(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr in ("setattr", "setitem") and "patch" in ast.unparse(node.value):
                yield ast.unparse(node)
            if ast.unparse(node).endswith("mock.patch"):
                yield ast.unparse(node)


def found(look: object, word: str) -> list[str]:
    """What `look` finds in the files that have `word`; the others need not be parsed."""
    assert callable(look)
    return [
        f"{path.relative_to(ROOT)}: {each}"
        for path in TESTS
        if word in (source := path.read_text())
        for each in look(ast.parse(source))
        if each not in OF_THE_LIBRARY
    ]


def test_tests_use_public_faces() -> None:
    """Give the thing a public face, or test it through its port."""
    reads = found(private, "_")
    assert len(reads) <= MOST_PRIVATE, "\n".join(reads)


def test_tests_patch_next_to_nothing() -> None:
    """Hand in what differs in the test: a clock, a limit, a subclass, a simulator."""
    made = found(patches, "patch")
    assert len(made) <= MOST_PATCHES, "\n".join(made)


def test_both_are_seen() -> None:
    tree = ast.parse(
        "from a import _b\nc._d = self._e\nmonkeypatch.setattr(f, 'g', 1)\nunittest.mock.patch(h)"
    )
    assert list(private(tree)) == ["_b", "c._d"]
    assert list(patches(tree)) == ["monkeypatch.setattr", "unittest.mock.patch"]
