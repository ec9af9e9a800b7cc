"""How subjects are written: in policies, in files of users, in tokens."""

from __future__ import annotations

import re
from typing import Final

from registry_mesh.auth.identity import ANONYMOUS_NAME
from registry_mesh.auth.policies import EVERYBODY, USERS

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_ROBOT: Final = re.compile(r"robot:[a-z0-9][a-z0-9._-]{0,63}")
_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,127}")
_ISSUER: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CLAIMED: Final = re.compile(r"[a-z][a-z0-9-]{0,31}:[!-~]{1,200}")
_KEPT: Final = frozenset({ANONYMOUS_NAME, EVERYBODY, USERS})
"""Names that mean something else in a policy."""


def is_user(name: str) -> bool:
    """Whether it can be a user's name: no other subject is written so."""
    return _NAME.fullmatch(name) is not None and name not in _KEPT


def is_robot(name: str) -> bool:
    """Whether it is a robot's: `robot:NAME`."""
    return _ROBOT.fullmatch(name) is not None


def is_issuer(name: str) -> bool:
    """Whether it can be the name of an issuer of tokens, which stands before its subjects."""
    return _ISSUER.fullmatch(name) is not None and name not in ("robot", "node")


def is_group(name: str) -> bool:
    """Whether it can be a group's name, without the `@` by which policies mean it."""
    return _GROUP.fullmatch(name) is not None


def is_member(name: str) -> bool:
    """Whether it is one caller: a user, a robot, or `ISSUER:SUBJECT`, as an issuer of tokens names them."""
    claimed = _CLAIMED.fullmatch(name) is not None and not name.startswith("robot:")
    return is_user(name) or is_robot(name) or claimed


def is_subject(name: str) -> bool:
    """Whether a policy can be about it."""
    return name in (EVERYBODY, USERS) or (name.startswith("@") and is_group(name[1:])) or is_member(name)
