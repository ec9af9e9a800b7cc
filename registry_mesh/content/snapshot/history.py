"""What runs came to, the last of them, failed ones too: kept with the store, so that it outlives processes.

A run is noted when it begins: one that was killed is seen by its lack of an end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final

from registry_mesh.content.snapshot.outcome import Outcome
from registry_mesh.content.snapshot.progress import RuleProgress
from registry_mesh.ports.records import KeyedRecords

KEPT: Final = 100
"""Runs that are remembered."""
_SHOWN: Final = 20
"""Troubles and notes that are kept of one."""
_LONGEST: Final = 500
"""Characters of one of them."""
_KEY: Final = "receipts/runs.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times in seconds since the epoch, sizes in bytes."""

    began: float
    trigger: str
    """`schedule`, `hand`, or `rules` where these changed."""
    ended: float | None = None
    """None: it is under way, or was killed."""
    complete: bool = False
    why: str = ""
    """What ended it before its time."""
    repositories: int = 0
    tags: int = 0
    held: int = 0
    switched: int = 0
    deleted: int = 0
    bytes: int = 0
    failed: int = 0
    troubles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rules: Mapping[str, RuleProgress] = field(default_factory=dict)

    def came_to(self, outcome: Outcome, now: float, rules: Mapping[str, RuleProgress]) -> Run:
        """The same, ended."""
        return replace(
            self,
            ended=now,
            complete=outcome.complete,
            repositories=outcome.repositories,
            tags=outcome.tags,
            held=outcome.held,
            switched=outcome.switched,
            deleted=outcome.deleted,
            bytes=outcome.size,
            failed=len(outcome.troubles),
            troubles=tuple(_cut(f"{each.what}: {each.why}") for each in outcome.troubles[:_SHOWN]),
            notes=tuple(map(_cut, outcome.notes[:_SHOWN])),
            rules=dict(rules),
        )

    def broke_off(self, why: str, now: float) -> Run:
        """The same, ended by `why`."""
        return replace(self, ended=now, why=why)


_KEYS: Final = frozenset(each.name for each in fields(Run))


class RunHistory:
    """The last runs of one replica. One process at a time writes it: the one that runs."""

    def __init__(self, records: KeyedRecords) -> None:
        self._records = records
        self.runs: tuple[Run, ...] = ()
        """The oldest first, as they were read or noted last."""

    async def read(self) -> tuple[Run, ...]:
        """The oldest first; nothing where it cannot be read. `StoreBroken`."""
        try:
            told = json.loads(await self._records.get(_KEY) or b"[]")
            self.runs = tuple(_run(each) for each in told)
        except (ValueError, TypeError, AttributeError, KeyError):
            self.runs = ()
        return self.runs

    async def note(self, run: Run) -> None:
        """Keep a run, in the place of what is known of the same. `StoreFull`, `StoreBroken`."""
        others = [each for each in await self.read() if each.began != run.began]
        self.runs = (*others, run)[-KEPT:]
        await self._records.put(_KEY, json.dumps([asdict(each) for each in self.runs]).encode())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _run(value: dict[str, object]) -> Run:
    """As `asdict` wrote it; what a newer version says besides is left out."""
    rules = value.pop("rules", {})
    known = Run(**{key: each for key, each in value.items() if key in _KEYS})  # type: ignore[arg-type]
    told = rules.items() if isinstance(rules, dict) else ()
    return replace(
        known,
        troubles=tuple(known.troubles),
        notes=tuple(known.notes),
        rules={str(name): RuleProgress(**_known(each)) for name, each in told},
    )


def _known(progress: dict[str, int]) -> dict[str, int]:
    return {each.name: progress.get(each.name, 0) for each in fields(RuleProgress)}
