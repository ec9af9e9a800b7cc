"""The rooms import downwards only, and what a library is used for stays in its room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = (
    *(f"content/fill/{path.stem}" for path in (ROOT / "registry_mesh/content/fill").glob("[a-z]*.py")),
    "content/nest/freshness",
    "content/scrub",
    "stores/disk/rank",
    "roles/origin",
    "roles/replica",
    "roles/site",
)
"""The files that contracts name."""
LINT = Path(sys.executable).with_name("lint-imports")


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
        ("edge/wrong.py", "import boto3"),
        ("stores/wrong.py", "import registry_mesh.upstream"),
        ("replication/wrong.py", "import time"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, room: str, line: str) -> None:
    for package in (ROOT / "registry_mesh").rglob("__init__.py"):
        copy = tmp_path / package.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    for named in NAMED:
        (tmp_path / "registry_mesh" / f"{named}.py").touch()
    (tmp_path / "registry_mesh" / room).write_text(line + "\n")
    outcome = lint(tmp_path, ROOT / "pyproject.toml")
    assert outcome.returncode != 0, f"{line} in {room} went unnoticed"
    assert "BROKEN" in outcome.stdout
