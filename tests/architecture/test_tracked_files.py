"""What every tracked file keeps to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = {".png", ".gz", ".pem", ".woff2"}
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
"""Any bytes."""
INDEX_HOSTS = re.compile(r"\b(files\.python" + r"hosted\.org|py" + r"pi\.org)\b")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bghp_[A-Za-z0-9]{36}\b")
CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    read = (p for p in tracked() if p.suffix not in BINARY and CORPUS not in p.parents)
    return [(p.relative_to(ROOT), p.read_text()) for p in read]


def test_nothing_names_a_package_index() -> None:
    assert [str(path) for path, text in texts() if INDEX_HOSTS.search(text)] == []


def test_no_secret_and_no_conflict_is_left() -> None:
    assert [str(path) for path, text in texts() if SECRET.search(text)] == []
    assert [str(path) for path, text in texts() if CONFLICT.search(text)] == []


def test_every_source_file_says_what_lives_there() -> None:
    silent = []
    for path, text in texts():
        if path.parts[0] == "registry_mesh" and path.suffix == ".py" and not text.lstrip().startswith('"""'):
            silent.append(str(path))
    assert silent == []


def test_scripts_start_with_a_shebang_and_are_executable() -> None:
    wrong = []
    for path in tracked():
        if path.suffix == ".sh" or path.relative_to(ROOT).parts[0] == ".ci":
            executable = path.stat().st_mode & 0o111
            sourced = path.name == "lib.sh"
            if not sourced and not (executable and path.read_text().startswith("#!")):
                wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_no_file_is_called_by_a_word_that_says_nothing() -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    named = [str(p.relative_to(ROOT)) for p in tracked() if p.suffix == ".py" and p.stem in empty_words]
    assert named == []
