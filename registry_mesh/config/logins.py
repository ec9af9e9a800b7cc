"""Checks of the logins for parents: whether what a configuration names is there, and says something of them."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path
from registry_mesh.upstream.login.credentials import LIMIT, CredentialsInvalid, parse_document
from registry_mesh.upstream.login.credentials import Document as Logins

_ANONYMOUS: Final = "without it parents are asked anonymously"
_OURS: Final = "let the node's user read it, and nobody else; under systemd with LoadCredential="
_MEND: Final = "mend it, or leave credentials out: then parents are asked anonymously"


@dataclass(frozen=True, slots=True)
class _Place:
    """The key `credentials` of a registry, and the addresses of its parents."""

    document: Document
    path: Path
    parents: tuple[str, ...]

    def lack(self, what: str, how: str = _MEND) -> None:
        self.document.lack(self.path, what, how)

    def warn(self, what: str, how: str = _ANONYMOUS) -> None:
        self.document.warn(self.path, what, how)


def check_login(document: Document, section: Path) -> None:
    """Add what is wrong with the credentials of a registry, or of siblings, to the document's findings. A file is read,
    nothing is run."""
    nodes = mapping(document.find(*section, "nodes")).values()
    parents = (*_urls(document.find(*section, "parents")), *_urls([list(nodes)]))
    place = _Place(document, (*section, "credentials"), parents)
    named = document.find(*place.path)
    if isinstance(named, dict):
        _check_command(place, named)
    elif isinstance(named, str):
        kind, _, target = named.partition(":")
        if kind == "env":
            _check_variable(place, target)
        elif kind == "file":
            _check_file(place, target)


def _urls(groups: Any) -> Iterator[str]:  # Any: a YAML value
    for group in groups if isinstance(groups, list) else ():
        yield from (url for url in (group if isinstance(group, list) else ()) if isinstance(url, str))


def _check_command(place: _Place, named: dict[str, Any]) -> None:
    command, helper = named.get("command"), named.get("helper")
    if bool(command) == bool(helper):
        what = "command and helper exclude each other" if command else "neither command nor helper"
        place.document.report(place.path, what, "keep one" if command else "name one of them", key=True)
        return
    if isinstance(command, list) and isinstance(command[0], str):
        _check_program(place, command[0])
    if isinstance(helper, str):
        _check_program(place, f"docker-credential-{helper}")


def _check_program(place: _Place, program: str) -> None:
    if shutil.which(program) is None:
        place.lack(f"there is no program {program} to run")


def _check_variable(place: _Place, variable: str) -> None:
    if variable not in os.environ:
        place.lack(f"{variable} is not in this environment")
    else:
        _check_text(place, variable, os.environ[variable])


def _check_file(place: _Place, target: str) -> None:
    file = pathlib.Path(target)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            place.lack(f"{target} is no regular file")
            return
        with file.open("rb") as opened:
            text = opened.read(LIMIT).decode("utf-8", "surrogateescape")
    except OSError as fault:
        place.lack(f"{target}: {fault.strerror}", _OURS if isinstance(fault, PermissionError) else _MEND)
        return
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        place.document.report(
            place.path, f"{target} is open to everybody on this machine", f"chmod 640 {target}"
        )
    _check_text(place, target, text)


def _check_text(place: _Place, where: str, text: str) -> None:
    try:
        logins = parse_document(text)
    except CredentialsInvalid as fault:
        place.lack(f"{where}: {fault}")
        return
    for url in place.parents:
        for damage in logins.docker.faults(url):
            place.warn(f"{where}: {damage}", f"until then {url} is asked anonymously")
        if helper := logins.docker.helper(url):
            _check_program(place, f"docker-credential-{helper}")
    if place.parents and not any(_something(logins, url) for url in place.parents):
        place.warn(f"{where}: {logins.docker.lacks(place.parents[0])}")


def _something(logins: Logins, url: str) -> bool:
    """Return whether there is anything for the parent, right or wrong."""
    docker = logins.docker
    return logins.single is not None or docker.knows(url) or bool(docker.helper(url) or docker.faults(url))
