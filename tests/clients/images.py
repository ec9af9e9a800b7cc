"""The image of deploy/Containerfile, built by buildah on a base that is made here, and looked into."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from tests.clients import scripts

ROOT: Final = Path(__file__).resolve().parents[2]
CONTAINERFILE: Final = ROOT / "deploy" / "Containerfile"
IMAGE: Final = "localhost/registry-mesh"
_AGAIN: Final = ROOT / "tests" / "again.sh"
_BASE: Final = "localhost/base"
_STAGE: Final = "localhost/dependencies"
_PIP: Final = "[global]\nno-index = true\nfind-links = /locked\n"
"""The packages lie beside the base: a build gets no other, and no hash but those of the lock file."""


class Builder:
    """buildah, with a storage of its own below the cache of the clients; that of the last lock file is kept."""

    def __init__(self, scratch: Path) -> None:
        """`scratch`: a folder that this may write to while it lives."""
        self._made = Path(
            scripts.run(ROOT / "tests/clients/make-base.sh", seconds=900, PYTHON=sys.executable).split()[-1]
        )
        store = self._made.with_name(self._made.name.replace("base-", "image-"))
        self._turn = _lock(store, wait=True)
        for old in self._made.parent.glob("image-*.lock"):
            if old.stem != store.name and (held := _lock(old.with_suffix(""), wait=False)) is not None:
                shutil.rmtree(old.with_suffix(""), ignore_errors=True)
                old.unlink()
                held.close()
        driver = "overlay" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"
        folders = ("--root", str(store), "--runroot", str(scratch / "run"))
        self.command = ("buildah", *folders, "--storage-driver", driver)
        self._pip = scratch / "pip.conf"
        self._pip.write_text(_PIP)

    def __call__(self, *words: str | Path, seconds: float = 120, by: tuple[Path, ...] = ()) -> str:
        """What `buildah WORDS` says; an AssertionError with the end of it where it fails. `by`: what runs it."""
        return scripts.run(*by, *self.command, *words, seconds=seconds)

    def build(self) -> None:
        """Build the image from this checkout. What it is made from is kept for the next time, the program is not."""
        if _BASE not in self("images", "--format", "{{.Name}}"):
            made = self("from", "scratch").strip()
            self("add", "--quiet", made, self._made / "root.tar", "/")
            self("commit", "--quiet", "--rm", made, _BASE)
        self._bud("--target", "dependencies", "--tag", _STAGE, by=(_AGAIN,))  # packages come over a network
        self._bud("--tag", IMAGE)

    def _bud(self, *words: str, by: tuple[Path, ...] = ()) -> None:
        locked = f"{self._made / 'wheels'}:/locked:ro"
        self(
            *("bud", "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never", "--quiet"),
            *(
                "--build-arg",
                f"BASE={_BASE}",
                "--volume",
                locked,
                "--volume",
                f"{self._pip}:/etc/pip.conf:ro",
            ),
            *("--file", CONTAINERFILE, *words, ROOT),
            seconds=600,
            by=by,
        )

    def forget(self) -> None:
        """Remove the image, and what nothing else is made from."""
        self("rmi", "--force", IMAGE)
        self("rmi", "--prune")
        if self._turn is not None:
            self._turn.close()

    @property
    def inspected(self) -> dict[str, Any]:
        """The image's configuration, as Docker has it."""
        told: dict[str, Any] = json.loads(self("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return told


def _lock(store: Path, *, wait: bool) -> BinaryIO | None:
    """Have a storage alone among the test runs of this machine; None where another has it and this is not to wait."""
    file = store.with_name(f"{store.name}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    return file


class Container:
    """The image's files, and commands in them, by the image's user."""

    def __init__(self, builder: Builder, name: str, files: Path, volumes: tuple[str, ...]) -> None:
        self._builder = builder
        self.name = name
        self.files = files
        volume = [word for each in volumes for word in ("--volume", each)]
        self._run = ("run", "--isolation", "chroot", *volume, name, "--")

    def run(self, *words: str) -> str:
        return self._builder(*self._run, *words)

    def start(self, *words: str, log: Path, user: str = "") -> subprocess.Popen[bytes]:
        """Begin a command, by another user where that is named; what is begun is buildah's process."""
        by = self._run[:1] + (("--user", user) if user else ()) + self._run[1:]
        with log.open("wb") as out:
            return subprocess.Popen(
                [*self._builder.command, *by, *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip


@contextmanager
def container(builder: Builder, *volumes: str) -> Iterator[Container]:
    """A container of the image with `volumes` (FROM:TO:ro); it goes at the end."""
    name = builder("from", "--pull-never", IMAGE).strip()
    try:
        yield Container(builder, name, Path(builder("mount", name).strip()), volumes)
    finally:
        builder("rm", name)
