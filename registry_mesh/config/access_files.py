"""The files that `access:` names: users, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from registry_mesh.auth.access import Level
from registry_mesh.auth.book import Book
from registry_mesh.auth.htpasswd import parse_htpasswd
from registry_mesh.auth.policies import Policies, levels
from registry_mesh.config.files import unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.schema import Access


def load_book(access: Access) -> Book:
    """What is written down today. `ConfigInvalid` lists every fault of every file."""
    hashes = load_users(access.users) if access.users else {}
    written = levels(Level.parse(access.anonymous).actions, Level.parse(access.authenticated).actions)
    return Book(Policies(written, {}), hashes)


def load_users(path: str) -> Mapping[str, str]:
    """Hashes of passwords by user. `ConfigInvalid`."""
    hashes, faults = parse_htpasswd(_text(path))
    if faults:
        raise ConfigInvalid([Finding(path, Mark(each.line, 1), (), each.what, each.how) for each in faults])
    return hashes


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigInvalid([Finding(path, Mark(1, 1), (), "no UTF-8 text")]) from None
    except OSError as fault:
        raise unreadable(path, fault) from None
