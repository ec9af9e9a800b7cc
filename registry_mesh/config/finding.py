"""What is wrong with a configuration file, and where."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where a value stands: `("registries", "docker.io", "parents", 0)`."""


class Severity(enum.Enum):
    """How bad a finding is: an error spoils the file for every command; a lack keeps a node from starting on this
    machine, and the file is good; a warning keeps nobody from anything."""

    ERROR = "error"
    LACK = "lack"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: `file:line:column: path: what; how to mend`. Without a `mark` it is one of the file as a whole."""

    file: str
    mark: Mark | None
    path: Path
    what: str
    how: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.mark.line}:{self.mark.column}: " if self.mark else f"{self.file}: "
        kind = "warning: " if self.severity is Severity.WARNING else ""
        path = f"{dotted(self.path)}: " if self.path else ""
        return where + kind + path + self.what + (f"; {self.how}" if self.how else "")


class ConfigInvalid(Exception):
    """A configuration file cannot be used. Carries every fault that was found, in the file's order."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=_order))
        super().__init__("\n".join(map(str, self.findings)))


def _order(finding: Finding) -> tuple[str, Mark]:
    return finding.file, finding.mark or Mark(0, 0)


def dotted(path: Path) -> str:
    """`registries.docker.io.parents[0][1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
