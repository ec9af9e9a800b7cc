#!/usr/bin/env python3
"""make_layers.py DIR MB: writes the layer tarballs of the test images.

`base` and `python` are taken from the Debian packages of this machine (dpkg -L); the rest is made from a fixed
seed, so it is the same everywhere. Standard library only.
"""

import io
import os
import pathlib
import random
import stat
import subprocess
import sys
import tarfile

WHEN = 1767225600  # 2026-01-01
BASE = (
    "base-files bash dash coreutils libc6 libacl1 libattr1 libgmp10 libselinux1 libpcre2-8-0 libtinfo6 "
    "libstdc++6 libgcc-s1 grep sed tar gzip findutils zlib1g libssl3 libexpat1 libffi8 libbz2-1.0 liblzma5 "
    "libncursesw6 libreadline8 libsqlite3-0 libuuid1 libcrypt1"
)
UNREAD = ("/share/doc", "/share/man", "/share/info", "/share/locale")
"""What no program of an image reads, and what would be a third of it."""
PYTHON = "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3-minimal"
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
EMPTY = ("proc", "sys", "dev", "tmp", "app", "data")
APP = b"""import hashlib, json, time
t = time.time()
h = hashlib.sha256()
for i in (3, 700, 2500):
    h.update(open("/data/files/%02d/f%04d" % (i % 50, i), "rb").read())
with open("/data/model.bin", "rb") as f:
    f.seek(BIGSEEK)
    h.update(f.read(1 << 20))
print(json.dumps({"digest": h.hexdigest(), "secs": round(time.time() - t, 3), "version": VERSION}))
"""


def clean(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = WHEN
    return entry


class Layer:
    """A tarball that names every parent folder of what it has (ctr-remote's optimizer wants that)."""

    def __init__(self, path: pathlib.Path) -> None:
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.folders: set[str] = set()

    def __enter__(self) -> "Layer":
        return self

    def __exit__(self, *_: object) -> None:
        self.tar.close()

    def folder(self, name: str) -> None:
        if not name or name in self.folders:
            return
        self.folder(os.path.dirname(name))
        self.folders.add(name)
        entry = clean(tarfile.TarInfo(name))
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        self.tar.addfile(entry)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self.folder(os.path.dirname(name))
        entry = clean(tarfile.TarInfo(name))
        entry.size, entry.mode = len(data), mode
        self.tar.addfile(entry, io.BytesIO(data))

    def link(self, name: str, target: str) -> None:
        entry = clean(tarfile.TarInfo(name))
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(entry)

    def copy(self, path: str) -> None:
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self.tar.inodes.clear()  # type: ignore[attr-defined]  # no hard links
            self.tar.add(path, arcname=path.lstrip("/"), recursive=False, filter=clean)


def package_files(packages: str) -> set[str]:
    """Every path of the packages that is installed here, with its parents."""
    names: set[str] = set()
    for package in packages.split():
        listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True).stdout
        for line in listing.splitlines():
            if not line.startswith("/") or line == "/." or any(part in line for part in UNREAD):
                continue
            full = os.path.join(os.path.realpath(os.path.dirname(line)), os.path.basename(line))
            while full != "/":
                names.add(full)
                full = os.path.dirname(full)
    return {name for name in names if os.path.lexists(name)}


def write_packages(out: pathlib.Path) -> None:
    names = package_files(BASE)
    with Layer(out / "base.tar") as layer:
        for name in sorted(names):
            layer.copy(name)
        for link, target in MERGED.items():
            if "/" + link not in names:
                layer.link(link, target)
        for folder in EMPTY:
            if "/" + folder not in names:
                layer.folder(folder)
    with Layer(out / "python.tar") as layer:
        for name in sorted(package_files(PYTHON)):
            layer.copy(name)


def write_made(out: pathlib.Path, mb: int) -> None:
    noise = random.Random(20260101)
    app = APP.replace(b"BIGSEEK", str((mb << 20) * 4 // 9).encode())
    with Layer(out / "files.tar") as layer:
        size = (mb << 20) // 3000
        for i in range(3000):
            text = (b"%08d the quick brown fox\n" % i) * (size // 64)
            layer.file(f"data/files/{i % 50:02d}/f{i:04d}", noise.randbytes(size) + text)
    with Layer(out / "model.tar") as layer:
        layer.file("data/model.bin", noise.randbytes(mb << 20))
    with Layer(out / "app1.tar") as layer:
        layer.file("app/main.py", app.replace(b"VERSION", b"1"), 0o755)
    with Layer(out / "app2.tar") as layer:
        layer.file("app/main.py", app.replace(b"VERSION", b"2"), 0o755)
        layer.file("app/extra.bin", noise.randbytes(1 << 20))
    with Layer(out / "tiny.tar") as layer:
        layer.file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), 0o755)


def main() -> None:
    out, mb = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    write_packages(out)
    write_made(out, mb)


main()
