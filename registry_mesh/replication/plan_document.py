"""A plan as `registry-mesh/plan/1`: JSON whose bytes depend on nothing but its inputs, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from registry_mesh.replication.plan import Plan, Step
from registry_mesh.replication.plan_totals import Link, Summary, Totals

SCHEMA: Final = "registry-mesh/plan/1"


def pieces(plan: Plan, summary: Summary, link: Link) -> Iterator[str]:
    """The document in pieces, a step a line; its last key is the digest of all before it."""
    sum_ = hashlib.sha256()
    for piece in _pieces(plan, summary, link):
        sum_.update(piece.encode())
        yield piece
    yield f',\n"digest": "sha256:{sum_.hexdigest()}"}}\n'


def digest(plan: Plan, summary: Summary, link: Link) -> str:
    """By which a plan is approved and executed."""
    sum_ = hashlib.sha256()
    for piece in _pieces(plan, summary, link):
        sum_.update(piece.encode())
    return f"sha256:{sum_.hexdigest()}"


def _pieces(plan: Plan, summary: Summary, link: Link) -> Iterator[str]:
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "rules": {"digest": plan.rules},
        "node": plan.node,
        "now": plan.now,
        "sources": [{"registry": name, "listed_at": at} for name, at in plan.sources],
        "totals": _totals(summary.all),
        "by_rule": {name: _totals(each) for name, each in summary.rules.items()},
        "time": {name: asdict(each) for name, each in sorted(summary.arrivals.items())},
        "cost": _cost(summary, link),
        "guard": [{**asdict(g), "share": round(g.share, 6), "stopped": g.stopped} for g in plan.guard],
    }
    yield "{" + ",\n".join(f"{json.dumps(key)}: {_text(value)}" for key, value in head.items())
    yield from _list("steps", map(_step, plan.steps))
    yield from _list("withheld", map(_step, plan.withheld))
    yield from _list("waiting", map(asdict, plan.waiting))
    yield from _list("refused", map(asdict, plan.refused))
    yield from _list("conflicts", map(asdict, plan.conflicts))
    yield from _list("unknown", ({"ref": ref, "what": what} for ref, what in plan.unknown))
    yield from _list("troubles", plan.troubles)


def _totals(totals: Totals) -> Mapping[str, int]:
    """`bytes` are brought, `bytes_shared` are here already or brought once for several."""
    kinds = {kind: getattr(totals, kind) for kind in ("copy", "move", "push", "wait", "delete", "refuse")}
    return {**kinds, "bytes": totals.new, "bytes_shared": totals.size - totals.new, "freed": totals.freed}


def _cost(summary: Summary, link: Link) -> list[dict[str, Any]]:
    if link.price is None or summary.amount is None:
        return []
    amount = round(summary.amount, 2)
    return [
        {
            "hop": "link",
            "bytes": summary.all.new,
            "price": link.price,
            "amount": amount,
            "currency": link.currency,
            "by_rule": {name: round(each, 2) for name, each in summary.amounts.items()},
        }
    ]


def _step(step: Step) -> Mapping[str, Any]:
    found: dict[str, Any] = {"do": step.do, "from": step.source, "to": step.to, "digest": step.digest}
    found |= {"was": step.was, "bytes": step.size, "new_bytes": step.new}
    found |= {"platforms": step.platforms, "rules": step.rules, "because": step.because}
    return found


def _list(name: str, values: Iterable[object] | Sequence[object]) -> Iterator[str]:
    yield f',\n"{name}": ['
    for number, value in enumerate(values):
        yield ("," if number else "") + "\n" + _text(value)
    yield "]"


_text: Final = json.JSONEncoder(ensure_ascii=False).encode
