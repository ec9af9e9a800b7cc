"""What a running node answers at its admin address."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
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


def ask(config: Config, path: str) -> Told:
    """The JSON that the node gives for `path`. `NodeSilent`."""
    where = host_and_port(config.admin.address, config.admin.port)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the admin port is near
    try:
        with opener.open(f"http://{where}{path}", timeout=_WAIT) as answer:
            told: Told = json.load(answer)
    except (OSError, ValueError) as fault:
        raise NodeSilent(
            f"the node does not answer at {where} (admin.address, admin.port): {getattr(fault, 'reason', fault)}"
        ) from None
    return told
