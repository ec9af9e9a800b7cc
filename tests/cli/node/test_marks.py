"""Marks: in colour on a terminal, and elsewhere where that is asked for."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from registry_mesh.cli.node.marks import choose_colour, say
from registry_mesh.cli.node.of_node import OfNode

RED = "\x1b[31m■\x1b[0m"


@click.group()
@click.option("--color", callback=choose_colour, expose_value=False)
def group() -> None:
    """As the program has it."""


@group.command(cls=OfNode)
@click.argument("config")
def broken(config: str) -> None:
    """A command that prints a mark."""
    say("■ broken, + and - are not")


@pytest.mark.parametrize(
    ("words", "terminal", "environment", "coloured"),
    [
        (("broken", "x.yaml"), True, {}, True),
        (("broken", "x.yaml"), False, {}, False),
        (("broken", "x.yaml"), True, {"NO_COLOR": "1"}, False),
        (("broken", "x.yaml"), True, {"TERM": "dumb"}, False),
        (("broken", "x.yaml", "--color", "never"), True, {}, False),
        (("broken", "x.yaml", "--color", "always"), False, {"NO_COLOR": "1"}, True),
        (("--color", "always", "broken", "x.yaml"), False, {}, True),
        (("--color", "never", "broken", "x.yaml"), True, {}, False),
        (("--color", "never", "broken", "x.yaml", "--color", "always"), False, {}, True),
    ],
)
def test_colour(words: tuple[str, ...], terminal: bool, environment: dict[str, str], coloured: bool) -> None:
    clear = {"NO_COLOR": None, "TERM": "xterm"}
    said = CliRunner(env={**clear, **environment}).invoke(group, words, color=terminal)
    assert said.exit_code == 0, said.output
    assert said.output == (RED if coloured else "■") + " broken, + and - are not\n"
