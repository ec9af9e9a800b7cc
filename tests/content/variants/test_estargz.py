"""eStargz layers: the same files, each readable by what the table of contents says alone."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from typing import Any

import pytest

from registry_mesh.content.variants import estargz
from tests.simulators.images import random_bytes
from tests.simulators.layers import Files, tar

LARGE = random_bytes("large", estargz.CHUNK + 700_000)
FILES: Files = {
    "bin": None,
    "bin/sh": b"#!",
    "bin/ash": "bin/sh",
    "empty": b"",
    "large": LARGE,
    "very/" + "long" * 60: b"x",
}


def written(files: Files) -> tuple[bytes, estargz.Written]:
    out = io.BytesIO()
    told = estargz.write(io.BytesIO(tar(files)), out, lambda: None)
    return out.getvalue(), told


def table(data: bytes) -> tuple[int, bytes]:
    """Where the table begins, as the footer says, and the table (docs/estargz.md)."""
    footer = data[-51:]
    assert footer[:4] == b"\x1f\x8b\x08\x04" and footer[12:14] == b"SG" and footer[32:38] == b"STARGZ"
    begins = int(footer[16:32], 16)
    plain = zlib.decompressobj(31).decompress(data[begins:])
    with tarfile.open(fileobj=io.BytesIO(plain)) as file:
        (member,) = file
        read = file.extractfile(member)
        assert member.name == "stargz.index.json" and read is not None
        return begins, read.read()


def test_it_is_a_layer_as_any_other_with_the_same_files() -> None:
    data, told = written(FILES)
    unzip = io.BytesIO(data)
    plain = b"".join(members(unzip.getvalue()))
    assert told.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert told.uncompressed == len(plain)
    with tarfile.open(fileobj=io.BytesIO(plain)) as file:
        found = {each.name: each for each in file}
        large = file.extractfile("large")
        assert large is not None and large.read() == LARGE
    assert set(found) == {".no.prefetch.landmark", *FILES, "stargz.index.json"}
    assert found["bin/ash"].linkname == "bin/sh"


def members(data: bytes) -> list[bytes]:
    found = []
    while data:
        one = zlib.decompressobj(31)
        found.append(one.decompress(data) + one.flush())
        data = one.unused_data
    return found


def test_each_chunk_is_read_and_proven_by_itself() -> None:
    data, told = written(FILES)
    _, toc = table(data)
    assert told.toc_digest == f"sha256:{hashlib.sha256(toc).hexdigest()}"
    entries = json.loads(toc)["entries"]
    assert [each["type"] for each in entries if each["name"] == "large"] == ["reg", "chunk"]
    assert read(data, entries, "large") == LARGE
    assert read(data, entries, "bin/sh") == b"#!"
    (whole,) = (each for each in entries if each["name"] == "large" and each["type"] == "reg")
    assert whole["digest"] == f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    (linked,) = (each for each in entries if each["name"] == "bin/ash")
    assert (linked["type"], linked["linkName"]) == ("hardlink", "bin/sh")


def read(data: bytes, entries: list[dict[str, Any]], name: str) -> bytes:
    found = b""
    for each in entries:
        if each["name"] == name:
            size = each.get("chunkSize") or each["size"]
            chunk = zlib.decompressobj(31).decompress(data[each["offset"] :], size)
            assert each["chunkDigest"] == f"sha256:{hashlib.sha256(chunk).hexdigest()}"
            found += chunk
    return found


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"x" * 1024, "is no tar"), (tar({"f": b"y" * 4000})[:2000], "ends within f"), (b"", "is no tar")],
)
def test_what_is_no_layer_is_named(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        estargz.write(io.BytesIO(data), io.BytesIO(), lambda: None)
