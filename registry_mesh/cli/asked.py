"""What a running node answers at its admin address."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port

EXIT_INVALID: Final = 2
_WAIT: Final = 5.0
"""Seconds for the node's answer."""

Told = Mapping[str, Any]  # Any: JSON


class NodeSilent(Exception):
    """Nobody answers there, or not as a node does."""


def loaded(path: Path) -> Config:
    """The configuration of the node that is asked; what is wrong with it ends the command."""
    try:
        return load(path).config
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


class NodeRefuses(Exception):
    """The node answers that it does not do what is asked, and why."""


def ask(config: Config, path: str, body: Told | None = None, *, wait: float = _WAIT) -> Told:
    """The JSON that the node gives for `path`, to a POST of `body` where there is one. `NodeSilent`, `NodeRefuses`."""
    (told,) = steps(config, path, body, wait=wait, apart=False)
    return told


def steps(
    config: Config, path: str, body: Told | None = None, *, wait: float = _WAIT, apart: bool = True
) -> Iterator[Told]:
    """The same, where the answer is a JSON line now and then (`apart`)."""
    where = host_and_port(config.admin.address, config.admin.port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the admin port is near
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{where}{path}", data, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=wait) as answer:
            if not apart:
                yield json.load(answer)
                return
            for line in answer:
                yield json.loads(line)
    except urllib.error.HTTPError as refused:
        with contextlib.suppress(ValueError, KeyError):
            raise NodeRefuses(json.load(refused)["error"]) from None
        raise NodeSilent(f"the node at {where} answers {refused.code}: is it an older version?") from None
    except (OSError, ValueError) as fault:
        raise NodeSilent(
            f"the node does not answer at {where} (admin.address, admin.port): {getattr(fault, 'reason', fault)}"
        ) from None
