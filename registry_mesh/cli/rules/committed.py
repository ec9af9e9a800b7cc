"""Rule files as they were at a commit of the git repository that they lie in."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from registry_mesh.config.rule_files import SUFFIXES, parse_rules
from registry_mesh.replication.rules import Rules


def rules_at(paths: Sequence[Path], commit: str) -> Rules:
    """The rules of the files and directories at `commit`; what was not there yet has none. `ConfigInvalid`;
    `click.BadParameter` where there is no such commit, no repository or no git."""
    found: list[tuple[str | Path, bytes]] = []
    for path in paths:
        folder = path if path.is_dir() else path.parent
        sha = _git(
            folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", of=commit
        )
        tree = _git(folder, "ls-tree", "-z", "--name-only", sha.decode().strip(), "--", "./", of=commit)
        for name in sorted(filter(None, tree.decode().split("\0"))):
            if _is_meant(path, name):
                content = _git(folder, "show", f"{sha.decode().strip()}:./{name}", of=commit)
                found.append((f"{commit}:{folder / name}", content))
    return parse_rules(found)


def _is_meant(path: Path, name: str) -> bool:
    if not path.is_dir():
        return name == path.name
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _git(folder: Path, *arguments: str, of: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except OSError as fault:
        raise click.BadParameter(f"git cannot be run: {fault.strerror}", param_hint="--against") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ").partition("\n")[0]
        why = said or f"{of} is no commit of the repository that {folder} lies in"
        raise click.BadParameter(why, param_hint="--against")
    return done.stdout
