"""The rooms import downwards only, and what a library is used for stays in its room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
TYPE_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


def lint(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache", "--config", config],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_the_import_contracts_hold() -> None:
    outcome = lint(ROOT, ROOT / "pyproject.toml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("oci/wrong.py", "import asyncio"),
        ("content/wrong.py", "import aiohttp"),
        ("content/nest/wrong.py", "import registry_mesh.stores"),
        ("content/fill/wrong.py", "import registry_mesh.content.nest"),
        ("content/fill/state.py", "from registry_mesh.content.fill.fill import Fill"),
        (
            "content/fill/readers.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import registry_mesh.content.fill.state",
        ),
        ("repositories/wrong.py", "import registry_mesh.stores.disk"),
        ("ports/wrong.py", "import registry_mesh.content"),
        ("tasks/wrong.py", "import registry_mesh.oci"),
        ("roles/wrong.py", "import registry_mesh.edge"),
        ("edge/blobs.py", "import boto3"),
        ("edge/exchange.py", "import registry_mesh.edge.respond"),
        ("edge/wire/acceptor.py", TYPE_ONLY + "import registry_mesh.edge.hot.fast_path"),
        ("edge/hot/remainder.py", "import registry_mesh.edge.hot.connection"),
        ("edge/new.py", ""),
        ("stores/wrong.py", "import registry_mesh.upstream"),
        ("replication/wrong.py", "import time"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, room: str, line: str) -> None:
    for file in (ROOT / "registry_mesh").rglob("*.py"):
        empty = tmp_path / file.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    (tmp_path / "registry_mesh" / room).write_text(line + "\n")
    outcome = lint(tmp_path, ROOT / "pyproject.toml")
    assert outcome.returncode != 0, f"{line} in {room} went unnoticed"
    assert "BROKEN" in outcome.stdout
