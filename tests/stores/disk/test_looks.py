"""What is remembered of partial blobs between two holds."""

import os
from pathlib import Path

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.looks import PartLooks

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def test_it_is_true_of_the_very_file_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    looks, before = PartLooks(), path.stat()
    looks.keep(ONE, before, b"\1\0\1")
    assert looks.of(ONE, before) == b"\1\0\1" and looks.of(TWO, before) is None
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert looks.of(ONE, path.stat()) is None


def test_the_oldest_go_where_there_is_no_room(tmp_path: Path) -> None:
    looks, status = PartLooks(room=10), tmp_path.stat()
    looks.keep(ONE, status, bytes(6))
    looks.keep(ONE, status, bytes(5))
    looks.keep(TWO, status, bytes(5))
    assert looks.of(ONE, status) and looks.of(TWO, status)
    looks.keep(TWO, status, bytes(6))
    assert looks.of(ONE, status) is None and looks.of(TWO, status) == bytes(6)
    looks.keep(ONE, status, bytes(11))
    assert looks.of(ONE, status) is None and looks.of(TWO, status) is None
