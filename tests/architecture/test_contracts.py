"""The rooms import downwards only, and what a library is used for stays in its room."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
TYPE_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "

AT_HOME = {
    "edge/exchange.py": "aiohttp, yarl",
    "stores/bucket/control.py": "boto3, botocore",
    "content/nest/names.py": "cachetools",
    "config/schema.py": "yaml, pydantic, pydantic_core",
    "config/files.py": "aiofiles",
    "admin/exposition.py": "prometheus_client",
    "stores/checksum.py": "isal",
    "config/checking/certificates.py": "cryptography",
    "access/tokens.py": "cryptography, jwt",
    "catalog/keyless.py": "sigstore, sigstore_models",
    "chunks/sums.py": "blake3",
    "access/hashes.py": "bcrypt",
    "cli/demo.py": "click, rich",
    "assembly/supervision/loops.py": "uvloop",
    "telemetry/phases.py": "opentelemetry, registry_mesh.telemetry.names",
}
"""Files that may import what the contracts keep from others: a contract wants its library to be imported somewhere."""


def lint(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache", "--config", config],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def furnish(folder: Path) -> None:
    """The package's files, empty but for what they may import."""
    for file in (ROOT / "registry_mesh").rglob("*.py"):
        empty = folder / file.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    for rightful, imports in AT_HOME.items():
        (folder / "registry_mesh" / rightful).write_text(f"import {imports}\n")


def test_the_import_contracts_hold() -> None:
    outcome = lint(ROOT, ROOT / "pyproject.toml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_what_is_at_home_is_let_be(tmp_path: Path) -> None:
    furnish(tmp_path)
    outcome = lint(tmp_path, ROOT / "pyproject.toml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


WRONG = [
    ("oci/wrong.py", "import asyncio"),
    ("content/wrong.py", "import aiohttp"),
    ("content/nest/wrong.py", "import registry_mesh.stores"),
    ("content/fill/wrong.py", "import registry_mesh.content.nest"),
    ("content/variants/wrong.py", "import registry_mesh.content.holdings"),
    ("content/new.py", ""),
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
    ("stores/disk/wrong.py", "import registry_mesh.stores.memory.store"),
    ("stores/memory/wrong.py", TYPE_ONLY + "import registry_mesh.stores.disk.records"),
    ("stores/disk/wrong.py", "import registry_mesh.stores.bucket.client"),
    ("stores/boot.py", "import registry_mesh.stores.disk.layout"),
    ("stores/another.py", ""),
    ("roles/wrong.py", "import registry_mesh.config.schema"),
    ("assembly/node/worker.py", "from registry_mesh.stores.disk.store import DiskStore"),
    ("assembly/supervision/seats.py", "import registry_mesh.assembly.sources.parents"),
    ("assembly/watch/figures.py", TYPE_ONLY + "import registry_mesh.assembly.runs.retention"),
    ("assembly/new.py", ""),
    ("telemetry/names.py", TYPE_ONLY + "import registry_mesh.telemetry.phases"),
    ("repositories/wrong.py", "import aiohttp"),
    ("assembly/node/wrong.py", "import aiohttp"),
    ("stores/disk/wrong.py", "import yarl"),
    ("stores/disk/wrong.py", "import botocore"),
    ("assembly/node/wrong.py", "import boto3"),
    ("roles/wrong.py", "import cachetools"),
    ("cli/wrong.py", "import yaml"),
    ("assembly/node/wrong.py", "import pydantic"),
    ("assembly/node/wrong.py", "import aiofiles"),
    ("edge/meters.py", "import prometheus_client"),
    ("content/fill/backlog.py", "import isal"),
    ("content/fill/backlog.py", "import blake3"),
    ("upstream/wrong.py", "import cryptography"),
    ("config/wrong.py", "import sigstore"),
    ("assembly/node/wrong.py", "import rich"),
    ("config/wrong.py", "import click"),
    ("edge/server.py", "import uvloop"),
    ("edge/server.py", "import opentelemetry"),
]
"""Lines that must not be written, and where. A file that is there already gets one of them."""

CIRCLE = "telemetry/names.py"
"""Files of a circle are told of by their room, not by their imports."""


def place(number: int) -> Path:
    """The file of a wrong line: what is there has its name, others get names of their own."""
    room = Path(WRONG[number][0])
    return room.with_stem(f"wrong_{number}") if room.stem == "wrong" else room


def complaint(number: int) -> str:
    room, line = WRONG[number]
    if room == CIRCLE:
        return "No cycles are allowed in registry_mesh.telemetry."
    module = ".".join(["registry_mesh", *place(number).with_suffix("").parts])
    imported = re.search(r"^\s*(?:import|from (?!typing)) ?(\S+)", line, re.MULTILINE)
    return f"- {module} -> {imported[1]} (l." if imported else f"- {module} "


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a package with all wrong lines in it, with single spaces."""
    folder = tmp_path_factory.mktemp("wrong")
    furnish(folder)
    for number, (_, line) in enumerate(WRONG):
        with (folder / "registry_mesh" / place(number)).open("a") as file:
            file.write(line + "\n")
    outcome = lint(folder, ROOT / "pyproject.toml")
    assert outcome.returncode != 0
    return " ".join(outcome.stdout.split())


@pytest.mark.parametrize("number", range(len(WRONG)), ids=lambda number: "-".join(WRONG[number]))
def test_a_wrong_import_is_caught(told: str, number: int) -> None:
    assert complaint(number) in told
