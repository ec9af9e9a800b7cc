"""Each command line of the documentation is one that the program takes: its command, its options, their choices; each
module that it has Python run, and each target of make, is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from registry_mesh.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAM = "registry-mesh"
_IN_TEXT = re.compile(r"`([^`]+)`")
_ENDS = {"|", "||", "&&", ";", ">", ">>", "<", "2>"}
"""Where the shell takes over."""


def code(page: Path) -> Iterator[tuple[int, str]]:
    """What stands as code in a page, by line: fenced, indented, or between backticks."""
    fenced, taken = False, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            taken += line.strip().removesuffix("\\")
            if not line.endswith("\\"):
                yield number, taken
                taken = ""
        else:
            for part in _IN_TEXT.findall(line):
                yield number, part


def calls(text: str) -> Iterator[list[str]]:
    """The arguments of the program, wherever a line of the shell calls it."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return
    for at, word in enumerate(words):
        if word == PROGRAM and (at == 0 or words[at - 1] in _ENDS):
            after = words[at + 1 :]
            yield after[: next((i for i, each in enumerate(after) if each in _ENDS), len(after))]


def take(words: list[str]) -> None:
    """`click.UsageError` where the program would not take them. Files need not be there."""
    command: click.Command = main
    context = click.Context(main, info_name=PROGRAM)
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(words)
        if not words or not re.fullmatch("[a-z][a-z-]*", words[0]):
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, context, name)
    given, _, _ = command.make_parser(context).parse_args(words)
    for option in command.params:
        value = given.get(option.name) if isinstance(option, click.Option) else None
        if isinstance(option.type, click.Choice) and isinstance(value, str):
            option.type.convert(value, option, context)


def wrong(page: Path) -> Iterator[str]:
    """The lines that it would not take, and why."""
    for number, text in code(page):
        for words in calls(text):
            try:
                take(words)
            except click.UsageError as refused:
                yield f"{page.name}:{number}: {text}: {refused.format_message()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_each_command_of_a_page(page: Path) -> None:
    assert list(wrong(page)) == []


@pytest.mark.parametrize(
    "line",
    [
        "    registry-mesh servee site.yaml",
        "Run `registry-mesh rules lnt rules`.",
        "    cd /etc && registry-mesh doctor site.yaml --chek",
        "```\nregistry-mesh ls site.yaml \\\n  --sort age\n```",
        "    registry-mesh man | man -l - && registry-mesh verify --nosuch",
    ],
)
def test_what_it_does_not_take_is_found(line: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(line.encode().decode("unicode_escape"))
    assert len(list(wrong(page))) == 1


def absent(page: Path) -> Iterator[str]:
    """The modules of this tree, and the targets of make, that a page names and that are not there."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for number, text in code(page):
        for module in re.findall(r"python3? -m ((?:registry_mesh|loadtests|tests)[a-z_.]*)", text):
            path = ROOT.joinpath(*module.split("."))
            if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists()):
                yield f"{page.name}:{number}: {module}"
        target = re.match(r"make ([a-z-]+)", text)
        if target is not None and target[1] not in targets:
            yield f"{page.name}:{number}: make {target[1]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_has_python_and_make_run_is_there(page: Path) -> None:
    assert list(absent(page)) == []


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Run `python -m registry_mesh.nosuch`, `make nosuch` and\n\n    python -m loadtests.none x\n"
    )
    assert len(list(absent(page))) == 3
