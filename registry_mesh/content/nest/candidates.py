"""Parents that may be asked for one repository, and what those said that had no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import Failure, SourceDenied, SourceDown, SourceUnavailable
from registry_mesh.ports.parents import Parent
from registry_mesh.ports.repositories import Repository

Unknown: Final = (BlobUnknown, ManifestUnknown, NameUnknown)
"""What a source raises that does not know the thing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repository as one parent offers it."""

    parent: Parent
    repository: Repository


@dataclass(slots=True)
class Told:
    """What candidates that have no answer said instead."""

    reasons: list[str]
    failures: list[Failure] = field(default_factory=list)
    unknown: Exception | None = None
    down: list[Candidate] = field(default_factory=list)
    """They were not asked."""

    def failed(self, name: str, failure: Failure) -> None:
        self.failures.append(failure)
        self.reasons.append(f"{name}: {failure.reason}")

    def together(self) -> Exception:
        """Unknown only where every one said so."""
        reasons = [*self.reasons, *(f"{each.parent.name}: {each.parent.reason}" for each in self.down)]
        if self.unknown is not None and not reasons:
            return self.unknown
        return together_as_one(self.failures, reasons)


async def answering_again(down: Sequence[Candidate]) -> list[Candidate]:
    """Those of the parents that were left alone which answer again."""
    answers = await asyncio.gather(*(each.parent.back() for each in down))
    return [each for each, is_back in zip(down, answers, strict=True) if is_back]


def together_as_one(failures: Sequence[Failure], reasons: Sequence[str]) -> Failure:
    """One failure that tells of all: denied only where nobody had another trouble."""
    if failures and all(isinstance(f, SourceDenied) for f in failures) and len(reasons) == len(failures):
        return failures[0]
    if len(failures) == 1 and len(reasons) == 1:
        return failures[0]
    waits = [f.retry_after for f in failures if f.retry_after is not None]
    down = all(isinstance(failure, SourceDown) for failure in failures)
    kind = SourceDown if down else SourceUnavailable
    return kind("; ".join(reasons) or "no parent is configured", retry_after=min(waits) if waits else None)
