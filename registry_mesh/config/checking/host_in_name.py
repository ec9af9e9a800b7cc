"""Patterns of policies and robots that begin with a registry, where names stand without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from registry_mesh.auth.policies import Entry
from registry_mesh.replication.rules import Selection

_HOST: Final = re.compile(r"localhost|(?:[a-z0-9-]+\.)+[a-z][a-z-]+")
"""As a name may begin too: a folder called so is possible, and rare."""


def misplaced(entry: Entry) -> Iterator[tuple[str, str]]:
    """What is wrong with each such pattern, and what to write. Who names another registry beside it means a folder."""
    patterns = entry.repositories.patterns if isinstance(entry.repositories, Selection) else ()
    for each in patterns:
        host, slash, rest = each.text.removeprefix("!").strip().partition("/")
        registries = entry.registries or {host}
        if not slash or not _HOST.fullmatch(host) or host not in registries:
            continue
        wanted = f"{'!' if each.negative else ''}{rest}"
        yield (
            f"{entry.name}: {each.text} begins with what looks like a registry, and names stand without that",
            f"write {wanted}, with registries: {host}; where {host} is a folder, name the folder's registry there",
        )
