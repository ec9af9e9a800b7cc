"""`registry-mesh top`."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node.asked import NodeAddress, NodeRefuses, NodeSilent, Told, ask, fail, node_at
from registry_mesh.cli.node.marks import marks
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.top_screen import Lists, screen
from registry_mesh.cli.node.top_view import View
from registry_mesh.config.schema import Config

_EVERY: Final = 1.0
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
"""Another screen without a cursor, and back."""
_HOME: Final = "\x1b[H"
_CLEAR: Final = "\x1b[K"
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
"""What a terminal sends for a key that has no letter (ECMA-48, 5.4)."""
_BELOW: Final = "\x1b[J"


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 left; 2 the configuration is wrong; 3 no node answers; 4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
def command(config: Path) -> None:
    """Show what moves at the running node of CONFIG, each second, until q.

    1 lists fills, 2 readers, 3 images, 4 parents, d findings; / shows only what has some letters in its name, s sorts,
    space stands still, ? explains. Where standard output is no terminal one screen is printed.

    \b
    Example:
      registry-mesh top config/site.yaml
    """
    node, view = node_at(config), View()
    try:
        if not (sys.stdout.isatty() and sys.stdin.isatty()):
            lists = Lists(_asked(node, view), ask(node, "/api/1/fills"))
            click.echo("\n".join(screen(view, lists, time.time(), (100, 40), marks())))
            return
        with _whole_terminal():
            _follow(node, view)
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)


def _asked(node: Config | NodeAddress, view: View) -> Told:
    status = ask(node, "/status")
    if status.get("now") is None:
        raise NodeRefuses("This node does not say what moves: it is an older version.")
    view.note(status)
    return status


def _follow(node: Config | NodeAddress, view: View) -> None:
    lists = Lists(_asked(node, view))
    while True:
        if not view.still:
            lists = replace(lists, status=_asked(node, view))
            if view.shown in "12":
                lists = replace(lists, moving=ask(node, "/api/1/fills"))
            elif view.shown == "3":
                lists = replace(lists, images=ask(node, "/api/1/images")["images"])
        _draw(screen(view, lists, time.time(), shutil.get_terminal_size(), marks()))
        if not all(view.press(key) for key in _keys()):
            return


def _draw(lines: Sequence[str]) -> None:
    sys.stdout.write(_HOME + f"{_CLEAR}\r\n".join(lines) + _CLEAR + _BELOW)
    sys.stdout.flush()


def _keys() -> Sequence[str]:
    """What is pressed within a second, without keys that have no letter, such as arrows; `q` where the terminal has
    gone. It is read past the buffer of `sys.stdin`, which would keep from `select` what it took."""
    if not select.select([sys.stdin], [], [], _EVERY)[0]:
        return ()
    came = os.read(sys.stdin.fileno(), 1024).decode(errors="ignore")
    return _SEQUENCE.sub("", came) if came else "q"


@contextmanager
def _whole_terminal() -> Iterator[None]:
    """Leaves the terminal as it was."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        sys.stdout.write(_ENTER)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
