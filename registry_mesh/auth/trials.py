"""Tests in policy files: what must come out of the policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry_mesh.auth.access import Asked
from registry_mesh.auth.identity import Identity
from registry_mesh.auth.policies import Judgement, Policies


@dataclass(frozen=True, slots=True)
class Trial:
    """One test. `place`: `FILE:LINE`."""

    place: str
    identity: Identity
    asked: Asked
    allowed: bool
    """What is expected."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A test that does not come true, and what is."""

    trial: Trial
    judgement: Judgement

    @property
    def expected(self) -> str:
        """`allow` or `deny`."""
        return _word(self.trial.allowed)

    @property
    def came(self) -> str:
        """`allow` or `deny`, and by which policy."""
        by = self.judgement.by
        return f"{_word(self.judgement.allowed)}: " + (
            f"by {by.name} ({by.where})" if by is not None else "no policy allows it"
        )


def failing(policies: Policies, trials: Sequence[Trial]) -> list[Failed]:
    """Those that do not come true, in their order."""
    tried = [(each, policies.judge(each.identity, each.asked)) for each in trials]
    return [Failed(trial, judged) for trial, judged in tried if judged.allowed != trial.allowed]


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"
