"""`pulls:`, records of who fetched what: its keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from registry_mesh.config.values import Duration, FilePath, Section, SubjectName, listed


class Pulls(Section):
    """`pulls:`: who pulled what, by day, for `registry-mesh who-pulled`."""

    file: FilePath | None = None
    """Where records are kept, in SQLite, made where there is none; absent: nothing is recorded."""
    keep: Annotated[Duration, Field(ge=86400)] = 90 * 86400.0
    """A record is kept for so long; at least 1d."""
    pseudonyms: FilePath | None = None
    """File with a key: callers are recorded by a keyed digest of their names and addresses. Another key makes them
    other pseudonyms."""
    report: bool = True
    """Whether records are passed on to parents that are nodes of this mesh."""
    reporters: Annotated[tuple[SubjectName, ...], BeforeValidator(listed)] = ()
    """Subjects whose records are taken: the logins of the nodes below, `robot:NAME` for one."""
