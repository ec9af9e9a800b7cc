"""Layers put together as the specification says (image-spec layer.md)."""

from __future__ import annotations

import io
import tarfile

import pytest

from registry_mesh.content.variants.flat_tree import FlatTree
from tests.simulators.layers import Files, tar


def flat(*layers: Files) -> dict[str, bytes | str | None]:
    tree = FlatTree([io.BytesIO(tar(each)) for each in layers], lambda: None)
    found: dict[str, bytes | str | None] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(tree.pieces()) + bytes(1024))) as file:
        for member in file:
            read = file.extractfile(member) if member.isreg() else None
            found[member.name] = member.linkname if member.islnk() else read.read() if read else None
    return found


LOW: Files = {"a": None, "a/x": b"low", "a/y": b"y", "b": None, "b/z": b"z", "f": b"f", "ln": "f"}


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        ({}, dict(LOW)),
        ({"a/x": b"high"}, {**LOW, "a/x": b"high"}),
        ({"a/.wh.y": b""}, {k: v for k, v in LOW.items() if k != "a/y"}),
        ({"b": None, "b/.wh..wh..opq": b"", "b/n": b"n"}, {**LOW, "b/n": b"n"} | {"b/z": ...}),
        ({".wh.a": b""}, {k: v for k, v in LOW.items() if not k.startswith("a")}),
        (
            {"a": b"a file now"},
            {**{k: v for k, v in LOW.items() if not k.startswith("a/")}, "a": b"a file now"},
        ),
        ({"f": b"new"}, {**LOW, "f": b"new", "ln": b"f"}),
        ({".wh.f": b""}, {**{k: v for k, v in LOW.items() if k != "f"}, "ln": b"f"}),
        ({"./a/./x": b"high"}, {**{k: v for k, v in LOW.items() if k != "a/x"}, "./a/./x": b"high"}),
    ],
)
def test_what_upper_layers_say_holds(high: Files, expected: dict[str, object]) -> None:
    assert flat(LOW, high) == {name: what for name, what in expected.items() if what is not ...}


@pytest.mark.parametrize("name", ["../x", "a/../../x"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the image"):
        flat(LOW, {name: b""})
