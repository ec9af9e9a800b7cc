"""The glossary is short, and the classes of the fill and of the stores speak its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
ROOMS = ("content/fill", "stores")
MOST = 60


def nouns(page: str) -> list[str]:
    """The first column of its tables."""
    found = re.findall(r"^\| (\w+) \|", page, re.MULTILINE)
    return [word for word in found if word != "word"]


def words(page: str) -> set[str]:
    """Its nouns, and those in bold that stand in their rows."""
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    return {*nouns(page), *(word for row in rows for word in re.findall(r"\*\*(\w+)\*\*", row))}


def derives(name: str, known: set[str]) -> bool:
    """Whether one of the words of a name in CamelCase is known, in singular or plural."""
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z0-9]*", name)]
    return any(
        {part, part.removesuffix("s"), f"{part}s", re.sub("ies$", "y", part)} & known for part in parts
    )


def classes(room: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "registry_mesh" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield str(path.relative_to(ROOT)), node.name


def test_it_is_short_and_says_each_once() -> None:
    found = nouns(GLOSSARY)
    assert 40 < len(found) <= MOST
    assert len(found) == len(set(found))


@pytest.mark.parametrize("room", ROOMS)
def test_classes_are_named_by_its_words(room: str) -> None:
    """A new word goes into the glossary, where there is room for it; else a class derives its name from one."""
    known = words(GLOSSARY)
    assert [(path, name) for path, name in classes(room) if not derives(name, known)] == []


def test_a_foreign_word_is_found() -> None:
    known = words(
        "| blob | Bytes. |\n| entry | Known. |\n| store | A **disk** or **s3**. |\n| records | Documents. |"
    )
    assert all(
        derives(name, known)
        for name in ("BlobTaker", "_WholeBlobs", "DiskHold", "S3Uploads", "RecordKey", "Entries")
    )
    assert not any(derives(name, known) for name in ("Next", "Signer", "Diskette", "Blobby"))
