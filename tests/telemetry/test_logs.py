"""What is written of events, for machines and for eyes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from registry_mesh.telemetry.logs import FIELDS, log_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("registry_mesh")
    levels = root.level, ours.level
    yield
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def written(stream: io.StringIO, form: str) -> str:
    handler = log_to(stream, form=form, role="site")
    try:
        try:
            raise ValueError("no")
        except ValueError as fault:
            logging.getLogger("registry_mesh.x").warning(
                "a parent is down",
                extra={FIELDS: {"parent": "p:1", "why": "refuses connections"}},
                exc_info=fault,
            )
    finally:
        logging.getLogger().removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize(("stream", "form"), [(Terminal(), "auto"), (io.StringIO(), "console")])
def test_a_line_for_eyes_on_a_terminal(stream: io.StringIO, form: str) -> None:
    first, *rest = written(stream, form).splitlines()
    assert first.endswith('warning a parent is down  parent=p:1  why="refuses connections"')
    assert rest[-1] == "ValueError: no"


@pytest.mark.parametrize(("stream", "form"), [(io.StringIO(), "auto"), (Terminal(), "json")])
def test_an_object_a_line_elsewhere(stream: io.StringIO, form: str) -> None:
    (line,) = written(stream, form).splitlines()
    told = json.loads(line)
    assert (told["event"], told["role"], told["why"]) == ("a parent is down", "site", "refuses connections")
    assert told["exception"].endswith("ValueError: no")
