"""What a running node answers at its admin address."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from registry_mesh.cli.node.way import given, way_to
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load, load_to_ask
from registry_mesh.config.schema import Config

EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 2
EXIT_SILENT: Final = 3
"""No node answers."""
EXIT_DENIED: Final = 4
"""The node wants another login."""
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


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """The admin listener of a node whose configuration is not at hand."""

    url: str


def node_at(path: Path) -> Config | NodeAddress:
    """The node that a command asks: of a configuration, or at an address. A wrong configuration ends the command;
    what is wrong in files that it names is told, and the node is asked."""
    scheme, _, rest = str(path).partition(":/")
    if scheme in ("http", "https"):  # of a path each double slash is one
        return NodeAddress(f"{scheme}://{rest.lstrip('/').rstrip('/')}")
    try:
        return to_ask(path)
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def to_ask(path: Path, *, tell: bool = True) -> Config:
    """The configuration of the node that is asked. Its faults are told: a node that runs goes by what it read before.
    `ConfigInvalid`."""
    config, faults = load_to_ask(path)
    for fault in faults if tell else ():
        click.echo(str(fault), err=True)
    return config


class NodeRefuses(Exception):
    """The node answers that it does not do what is asked, and why."""


class NodeDenies(NodeRefuses):
    """The node does it for others, and not for this caller."""


def exit_for(fault: Exception) -> int:
    """The exit code of a command whose node said, or did not say, this."""
    if isinstance(fault, NodeSilent):
        return EXIT_SILENT
    return EXIT_DENIED if isinstance(fault, NodeDenies) else EXIT_FAILED


def fail(fault: NodeSilent | NodeRefuses) -> NoReturn:
    """End the command."""
    click.echo(str(fault), err=True)
    sys.exit(exit_for(fault))


def ask(config: Config | NodeAddress, path: str, body: Told | None = None, *, wait: float = _WAIT) -> Told:
    """The JSON that the node gives for `path`, to a POST of `body` where there is one. `NodeSilent`, `NodeRefuses`."""
    (told,) = steps(config, path, body, wait=wait, apart=False)
    return told


def steps(
    config: Config | NodeAddress,
    path: str,
    body: Told | None = None,
    *,
    wait: float = _WAIT,
    apart: bool = True,
) -> Iterator[Told]:
    """The same, where the answer is a JSON line now and then (`apart`)."""
    if isinstance(config, NodeAddress):
        way = way_to(None, replace(given(), admin=config.url))
    else:
        way = way_to(config, given())
    where = way.address.partition("://")[2]
    handlers = [urllib.request.HTTPSHandler(context=way.tls)] if way.tls is not None else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)  # the admin port is near
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{way.address}{path}", data, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=wait) as answer:
            if not apart:
                yield json.load(answer)
                return
            for line in answer:
                yield json.loads(line)
    except urllib.error.HTTPError as refused:
        if refused.code in (401, 403):
            raise NodeDenies(_denied(where)) from None
        with contextlib.suppress(ValueError, KeyError):
            raise NodeRefuses(json.load(refused)["error"]) from None
        raise NodeSilent(_not_there(where, refused)) from None
    except (OSError, ValueError) as fault:
        raise NodeSilent(_silent(where, getattr(fault, "reason", fault))) from None


def _not_there(where: str, refused: urllib.error.HTTPError) -> str:
    """Why a node, or something else, does not know what it is asked for."""
    if refused.headers.get("Docker-Distribution-Api-Version"):
        return f"{where} is where clients are served: name admin.address and admin.port, 5001 where they are absent"
    return f"the node at {where} answers {refused.code}: is it an older version?"


def _silent(where: str, why: object) -> str:
    said = getattr(why, "strerror", None) or why
    return (
        f"No node answers at {where}: {said}.\n"
        "  That is admin.address and admin.port of the configuration.\n"
        "  Next: is it running, and is this its machine? systemctl status 'registry-mesh@*'"
    )


def _denied(where: str) -> str:
    return (
        f"The node at {where} wants a login.\n"
        "  admin.users, and admin.tls.names of certificates, say who may ask from other addresses; from 127.0.0.1\n"
        "  nobody needs a login.\n"
        "  Next: run this on the node's machine; admin.address: 0.0.0.0 is also 127.0.0.1. From elsewhere:\n"
        "  registry-mesh --admin https://HOST:PORT --cert FILE --key FILE --ca FILE COMMAND …"
    )
