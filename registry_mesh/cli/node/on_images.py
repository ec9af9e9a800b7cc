"""What the commands that look at and touch images have in common."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import click

from registry_mesh.cli.node.asked import NodeRefuses, NodeSilent, Told, ask, fail, node_at

WAIT: Final = 600.0
"""Seconds for an answer: a store may hold many images."""

EPILOG: Final = (
    "Exit codes: 0 done; 1 it could not be done; 2 the configuration is wrong; 3 no node answers; 4 it wants a "
    "login."
)


def touch(config: Path, act: str, body: Told, as_json: bool, say: Callable[[Told], None]) -> Told:
    """Ask the running node to `act`; `say` tells a person what it did."""
    told = answered(lambda: ask(node_at(config), f"/api/1/images/{act}", body, wait=WAIT))
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        say(told)
    return told


def answered(asking: Callable[[], Told]) -> Told:
    """What the node says; the command ends where it says nothing, or does not do it."""
    try:
        return asking()
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)


def cost(count: int, price: str) -> str:
    """What so many bytes cost, at a price as the configuration writes it."""
    from registry_mesh.config.scalars import Price

    known = Price.parse(price)
    return f"{count * known.per_byte:.2f} {known.currency}"


def chosen(told: Told, patterns: tuple[str, ...]) -> list[Any]:
    """The images that one of `patterns` means: a name, with its registry or without, or a pattern of the shell."""
    return [each for each in told["images"] if not patterns or any(_fits(each, p) for p in patterns)]


def _fits(image: Told, pattern: str) -> bool:
    bare = image["name"].removeprefix(f"{image['registry']}/")
    names = (image["name"], bare, image["repository"], f"{image['registry']}/{image['repository']}")
    return any(fnmatchcase(name, pattern) for name in names)


def nothing_called(told: Told, name: str) -> str:
    """That nothing here has that name, and which is like it."""
    known = {each["repository"] for each in told["images"]}
    known |= {f"{each['repository']}:{each['tag']}" for each in told["images"] if each["tag"]}
    near = difflib.get_close_matches(name, sorted(known), 1)
    said = f"Nothing here is called {name}."
    return f"{said}\n  Did you mean {near[0]}? registry-mesh ls {near[0]}" if near else said
