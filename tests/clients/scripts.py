"""The scripts of this folder and other commands, run to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clients.nodes import REGISTRY

HERE = Path(__file__).parent


def run(*command: str | Path, seconds: float = 300, **environment: str | Path) -> str:
    """Standard output; where it fails, the end of what it said is the failure."""
    outcome = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    said = outcome.stdout[-3000:] + outcome.stderr[-3000:]
    assert outcome.returncode == 0, f"{' '.join(map(str, command))}: exit {outcome.returncode}\n{said}"
    return outcome.stdout


def install() -> None:
    """Install what tests drive that is not ours. As root; does nothing where all is there."""
    run(HERE / "setup.sh", seconds=900)


def containerd_pull(node: str, image: str, **environment: str | Path) -> dict[str, Any]:
    """A fresh containerd pulls REGISTRY/image through `node`, and nothing else; every blob is hashed after."""
    return _figures("containerd-pull.sh", node, image, **environment)


def stargz_pull(node: str, image: str, **environment: str | Path) -> dict[str, Any]:
    """A fresh containerd with a lazy snapshotter mounts and runs the image."""
    return _figures("stargz-pull.sh", node, image, **environment)


def _figures(script: str, node: str, image: str, **environment: str | Path) -> dict[str, Any]:
    environment.setdefault("PYTHON", sys.executable)
    lines = run(HERE / script, node, REGISTRY, image, **environment).splitlines()
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def make_images(registry: str, only: str, megabytes: int) -> None:
    """Make the test images and push them to `registry` (see make-images.sh)."""
    run(HERE / "make-images.sh", registry, seconds=600, ONLY=only, MB=str(megabytes))


def debian_layout() -> Path:
    """An OCI layout whose tag `12` is a real Debian image of 200 MB; made once a machine."""
    return Path(run(HERE / "make-debian.sh", seconds=900).splitlines()[-1])
