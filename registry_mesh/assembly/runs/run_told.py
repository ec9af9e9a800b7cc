"""What a run came to, as the log and `/status` tell of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from registry_mesh.admin.run_status import (
    IdleStatus,
    ImageStatus,
    ReplicationStatus,
    RuleStatus,
    RunStatus,
    StoppedStatus,
)
from registry_mesh.content.snapshot.copying.images_coming import ImageProgress
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.records.history import Run
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_SHOWN: Final = 20
"""Troubles that the log tells of one run; the command shows all."""


def tell(outcome: Outcome, seconds: float, before: Outcome | None) -> None:
    """Write a line into the log; one for debugging where the run changed nothing and says what the one `before` said.
    `seconds`: how long it took."""
    fields: dict[str, object] = {
        "repositories": outcome.repositories,
        "tags": outcome.tags,
        "held": outcome.held,
        "switched": outcome.switched,
        "bytes": outcome.size,
        "failed": len(outcome.troubles),
        "seconds": round(seconds, 3),
    }
    if outcome.notes:
        fields["notes"] = list(outcome.notes[:_SHOWN])
    if outcome.complete:
        level = logging.DEBUG if before is not None and _is_no_news(outcome, before) else logging.INFO
        log.log(level, "replication complete", extra={FIELDS: fields})
        return
    log.warning("replication incomplete", extra={FIELDS: {**fields, "why": _shown(outcome)}})


def _is_no_news(outcome: Outcome, before: Outcome) -> bool:
    """Whether the run changed nothing, and says what the one `before` said."""
    if outcome.switched or outcome.size or outcome.deleted:
        return False
    return before.complete and (outcome.tags, outcome.notes) == (before.tags, before.notes)


def run_status(outcome: Outcome, ended: float) -> RunStatus:
    """The run in `/status`; `ended` in seconds since the epoch."""
    return RunStatus(
        complete=outcome.complete,
        ended=round(ended, 1),
        tags=outcome.tags,
        held=outcome.held,
        switched=outcome.switched,
        bytes=outcome.size,
        failed=len(outcome.troubles),
        troubles=_shown(outcome),
        idle=[IdleStatus(each.rule, each.registry, each.place) for each in outcome.idle],
        stopped=[
            StoppedStatus(each.registry, each.deletes, each.tags, each.guard, each.plan)
            for each in outcome.stopped
        ],
    )


def replication_status(
    meter: Meter,
    now: float,
    last: RunStatus | None,
    faults: Sequence[str],
    faults_since: float,
    under_way: Run | None,
) -> ReplicationStatus:
    """The run `under_way`, as it is at `now` of the monotonic clock, and the last one, in `/status`. `faults`: of the
    rule files, since seconds of the epoch."""
    looked = meter.look(now)
    images, in_all = meter.images.look()
    return ReplicationStatus(
        phase=looked.phase.value,
        tags=looked.tags,
        tags_done=looked.tags_done,
        bytes_done=looked.size_done,
        bytes_left=looked.size_left,
        bytes_per_second=round(looked.rate),
        eta_seconds=_rounded(looked.eta),
        last=last,
        rules=_rules(meter, now),
        faults=faults,
        faults_since=round(faults_since, 1),
        trigger=under_way.trigger if under_way is not None else "",
        began=round(under_way.began, 1) if under_way is not None else 0.0,
        images=[_image(each) for each in images],
        images_in_all=in_all,
    )


def _rules(meter: Meter, now: float) -> list[RuleStatus]:
    rates = meter.rates(now)
    return [
        RuleStatus(
            name,
            each.tags,
            each.held,
            each.switched,
            each.bytes,
            each.left,
            round(rates[name]),
            _rounded(each.left / rates[name] if rates[name] > 0 else None),
        )
        for name, each in sorted(meter.rules.items())
    ]


def _image(of: ImageProgress) -> ImageStatus:
    return ImageStatus(of.image, of.to, of.size, of.left, round(of.rate), _rounded(of.eta))


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _shown(outcome: Outcome) -> list[str]:
    return [f"{trouble.what}: {trouble.why}" for trouble in outcome.troubles[:_SHOWN]]
