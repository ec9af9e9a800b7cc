"""What is remembered of partial blobs between two holds."""

import os
from pathlib import Path

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk.looked import Looked

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def test_it_is_true_of_the_very_file_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    looked, before = Looked(), path.stat()
    looked.keep(ONE, before, b"\1\0\1")
    assert looked.of(ONE, before) == b"\1\0\1" and looked.of(TWO, before) is None
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert looked.of(ONE, path.stat()) is None


def test_the_oldest_go_where_there_is_no_room(tmp_path: Path) -> None:
    looked, status = Looked(room=10), tmp_path.stat()
    looked.keep(ONE, status, bytes(6))
    looked.keep(ONE, status, bytes(5))
    looked.keep(TWO, status, bytes(5))
    assert looked.of(ONE, status) and looked.of(TWO, status)
    looked.keep(TWO, status, bytes(6))
    assert looked.of(ONE, status) is None and looked.of(TWO, status) == bytes(6)
    looked.keep(ONE, status, bytes(11))
    assert looked.of(ONE, status) is None and looked.of(TWO, status) is None
