"""The demo's image: real files, the same each time, as any client would read it."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from registry_mesh.cli.demo_parts.image import make_image

MIB = 1 << 20


def test_layers_are_gzipped_tars_of_files_of_this_machine(tmp_path: Path) -> None:
    image = make_image(tmp_path, enough=MIB, layer=MIB)
    document = json.loads(image.manifest)
    config, *layers = image.blobs
    assert [each["digest"] for each in document["layers"]] == [layer.digest for layer in layers]
    assert len(layers) >= 2
    assert image.size >= 1 << 20
    for layer in layers:
        data = layer.path.read_bytes()
        assert layer.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert layer.size == len(data)
        plain = gzip.decompress(data)
        assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            first = next(entry for entry in tar if entry.isfile())
            packed = tar.extractfile(first)
            assert packed is not None
            assert packed.read() == Path("/", first.name).read_bytes()
            assert (first.mtime, first.uid, first.uname) == (0, 0, "")
    assert json.loads(config.path.read_text())["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]


def test_the_same_files_give_the_same_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert make_image(tmp_path / "a", MIB, MIB).digest == make_image(tmp_path / "b", MIB, MIB).digest
