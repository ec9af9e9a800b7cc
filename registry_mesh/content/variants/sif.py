"""SIF: an image as one file that Apptainer and Singularity run (sylabs/sif, pkg/sif).

A header, descriptors of what is in the file, and a squashfs of all layers together, which `sqfstar` (squashfs-tools)
makes. Environment and commands are written into it as those programs look for them.
"""

from __future__ import annotations

import json
import os
import shlex
import struct
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from registry_mesh.content.variants.layer_tar import BLOCK

CONFIG: Final = "application/vnd.sylabs.sif.config.v1+json"
LAYER: Final = "application/vnd.sylabs.sif.layer.v1.sif"
BEGINS: Final = 32 << 10
"""Where the squashfs begins in the file."""
_ARCHITECTURES: Final = {
    "386": "01",
    "amd64": "02",
    "arm": "03",
    "arm64": "04",
    "ppc64": "05",
    "ppc64le": "06",
    "s390x": "11",
    "riscv64": "12",
}
_DESCRIPTORS: Final = 4096
"""Where they begin."""
_MOST: Final = 48
_DESCRIPTOR: Final = struct.Struct("<i?IIIqqqqqqq128s384s")
_PARTITION: Final = 0x4004
_GROUP: Final = 0xF0000001
_SQUASHFS, _PRIMARY = 1, 2
_META: Final = ".singularity.d"


def architecture(named: str) -> str:
    """The code of an architecture. `ValueError` where SIF has none."""
    if named not in _ARCHITECTURES:
        raise ValueError(
            f"is for {named or 'an architecture that it does not name'}, which SIF does not know"
        )
    return _ARCHITECTURES[named]


def head(size: int, code: str, name: str, seed: str) -> bytes:
    """All that stands before a squashfs of `size` bytes. The same for the same words: `seed` makes its id."""
    told = code.encode() + b"\0"
    extra = struct.pack("<ii3s", _SQUASHFS, _PRIMARY, told)
    first = _DESCRIPTOR.pack(
        _PARTITION, True, 1, _GROUP, 0, BEGINS, size, size, 0, 0, 0, 0, name.encode()[:127], extra
    )
    table = _MOST * _DESCRIPTOR.size
    header = struct.pack(
        "<32s10s3s3s16sqqqqqqqq",
        b"#!/usr/bin/env run-singularity\n",
        b"SIF_MAGIC",
        b"01",
        told,
        uuid.uuid5(uuid.NAMESPACE_URL, seed).bytes,
        0,
        0,
        _MOST - 1,
        _MOST,
        _DESCRIPTORS,
        table,
        BEGINS,
        size,
    )
    return (header.ljust(_DESCRIPTORS, b"\0") + first).ljust(BEGINS, b"\0")


def squash(tree: Iterator[bytes], config: Mapping[str, Any], to: Path, go_on: Callable[[], None]) -> None:
    """Make a squashfs of a tar, and of what `config` (of the image) says of running it. `ValueError` where the
    program is not there, or fails."""
    process = _sqfstar(to)
    try:
        assert process.stdin is not None, "it is a pipe"
        for piece in _run_files(config):
            process.stdin.write(piece)
        for piece in tree:
            go_on()
            process.stdin.write(piece)
        process.stdin.write(bytes(2 * BLOCK))
    except BrokenPipeError:
        pass  # it says why below
    except BaseException:
        process.kill()
        process.communicate()
        raise
    _, told = process.communicate()
    if process.returncode:
        raise ValueError(f"sqfstar: {told.decode('utf-8', 'replace').strip()[-300:]}")


def _sqfstar(to: Path) -> subprocess.Popen[bytes]:
    """The program, which makes a squashfs of the tar on its standard input."""
    how = "-quiet -no-progress -all-root -root-mode 755 -comp gzip"
    try:
        return subprocess.Popen(
            ["sqfstar", *how.split(), str(to)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "SOURCE_DATE_EPOCH": "0"},
        )
    except FileNotFoundError:
        why = "needs the program sqfstar, which is not installed here: install squashfs-tools, 4.5 or later"
        raise ValueError(why) from None


def _run_files(config: Mapping[str, Any]) -> Iterator[bytes]:
    """Tar entries of the environment, the run script and the labels of an image."""
    told = config.get("config") or {}
    environment = "#!/bin/sh\n" + "".join(_export(each) for each in told.get("Env") or ())
    labels = json.dumps(told.get("Labels") or {}, sort_keys=True)
    for name in (_META, f"{_META}/env"):
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        yield info.tobuf(tarfile.PAX_FORMAT)
    for name, text in (
        (f"{_META}/env/10-docker2singularity.sh", environment),
        (f"{_META}/runscript", _run_script(told.get("Entrypoint") or (), told.get("Cmd") or ())),
        (f"{_META}/labels.json", labels),
    ):
        data, info = text.encode(), tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o755
        yield info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % BLOCK)


def _export(variable: str) -> str:
    """PATH is the image's; of other variables what the caller has set stays."""
    name, _, value = variable.partition("=")
    if not name.isidentifier():
        return ""
    if name == "PATH":
        return f"export PATH={shlex.quote(value)}\n"
    return f'if [ -z "${{{name}+set}}" ]; then export {name}={shlex.quote(value)}; fi\n'


def _run_script(entrypoint: Any, command: Any) -> str:  # Any: JSON as it came
    """As Docker does: what is said when it is run takes the place of Cmd, not of Entrypoint."""
    first, rest = (" ".join(shlex.quote(str(word)) for word in words) for words in (entrypoint, command))
    return f'#!/bin/sh\nif [ $# -eq 0 ]; then set -- {rest}; fi\nexec {first} "$@"\n'
