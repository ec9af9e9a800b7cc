"""A group of commands that tells an unknown word which command may be meant."""

from __future__ import annotations

import difflib
from typing import Final

import click

_MEANT: Final = {
    "start": "serve",
    "run": "serve",
    "daemon": "serve",
    "check": "check-config",
    "validate": "check-config",
    "test": "check-config",
    "lint": "rules lint",
    "list": "ls",
    "sync": "replicate",
    "snapshot": "replicate",
    "collect": "gc",
    "prune": "gc",
    "fsck": "verify",
    "scrub": "verify",
    "setup": "client-config",
}
"""Words of other programs for what is done here."""


class Suggesting(click.Group):
    """As click's; `ctx.fail` names what may be meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first of `args` names."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]}; {_how(ctx, args[0], known)}")
        return super().resolve_command(ctx, args)


def _how(ctx: click.Context, word: str, known: list[str]) -> str:
    plain = word.lower().replace("_", "-")
    near = (_MEANT.get(plain) or _within(ctx, plain)) if ctx.parent is None else None
    near = near or next(iter(difflib.get_close_matches(plain, known, 1, 0.6)), None)
    return f"did you mean {near}?" if near else f"there are {', '.join(known)}"


def _within(ctx: click.Context, word: str) -> str:
    """`rules plan` for `plan`, which is a command of a group; of several, `rules undo or tags undo`; empty where no
    group has it."""
    group = ctx.command
    assert isinstance(group, click.Group)
    groups = [(name, group.get_command(ctx, name)) for name in group.list_commands(ctx)]
    found = [
        name for name, each in groups if isinstance(each, click.Group) and word in each.list_commands(ctx)
    ]
    return " or ".join(f"{name} {word}" for name in found)
