"""Plans and differences as text: a table for a terminal or a merge request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from registry_mesh.findings.words import span
from registry_mesh.replication.difference import Change
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.plan_totals import Link, Summary, Totals
from registry_mesh.replication.sentences import guarded, size, when

_HEAD: Final = ("rule", "copy", "move", "wait", "delete", "refuse", "to bring", "freed")
_MOST: Final = 12
"""Lines of one kind that the table is followed by."""


def plan_lines(plan: Plan, summary: Summary, link: Link, digest: str, markdown: bool) -> Iterator[str]:
    """At most some sixty lines, whatever the plan."""
    yield f"rules {plan.rules[7:14]}   {plan.node or 'any node'} as of {when(plan.now)}   plan {digest[7:19]}"
    for registry, at in plan.sources:
        yield f"{registry} listed {when(at)}"
    rows = [_row(name, each) for name, each in summary.rules.items()]
    rows = [*rows[:_MOST], *([("…", *[""] * 7)] if len(rows) > _MOST else []), _row("all", summary.all)]
    yield from _table([_HEAD, *rows], markdown)
    yield from _link(plan, summary, link)
    for each in plan.guard:
        state = "stopped" if each.stopped else "fine"
        yield f"guard {each.deletes:,} of {each.tags:,} tags of {each.registry} ({each.share * 100:.3g} %): {state}"
        if each.stopped:
            yield guarded(each.deletes, each.tags, each.registry, each.guard, digest)
    yield from _some("conflict", [each.because for each in plan.conflicts])
    yield from _some("trouble", plan.troubles)
    yield from _some("refused", [each.because for each in plan.refused])
    yield from _some("waits", [f"{each.ref}: {each.because}" for each in plan.waiting])
    yield from _some("not known", [f"{what} of {ref}" for ref, what in plan.unknown])


def _link(plan: Plan, summary: Summary, link: Link) -> Iterator[str]:
    if summary.arrivals:
        last = max(summary.arrivals.items(), key=lambda each: each[1].done_at or float("inf"))
        done = when(last[1].done_at) if last[1].done_at is not None else "not within 60 days"
        yield f"link {size(round(link.rate or 0))}/s: rule {last[0]} ends last, {done}"
    if summary.amount is not None:
        gib = summary.all.new / (1 << 30)
        yield f"egress {gib:,.1f} GiB x {link.price:g} {link.currency} = {summary.amount:,.2f} {link.currency}"
    yield from _each(summary, link)


def _each(summary: Summary, link: Link) -> Iterator[str]:
    """What each rule's bytes take and cost, where there are several."""
    names = [name for name, each in summary.rules.items() if each.new]
    if len(names) < 2 or not (summary.arrivals or summary.amounts):
        return
    for name in names[:_MOST]:
        told = [size(summary.rules[name].new)]
        if (arrival := summary.arrivals.get(name)) is not None:
            end = f"done {when(arrival.done_at)}" if arrival.done_at is not None else "not within 60 days"
            told.append(f"{span(arrival.seconds)} of link, {end}")
        if name in summary.amounts:
            told.append(f"{summary.amounts[name]:,.2f} {link.currency}")
        yield f"  {name}: {', '.join(told)}"
    if len(names) > _MOST:
        yield f"  and {len(names) - _MOST:,} more rules"


def _row(name: str, totals: Totals) -> tuple[str, ...]:
    counts = (totals.copy + totals.push, totals.move, totals.wait, totals.delete, totals.refuse)
    return (name, *map(str, counts), _size(totals.new), _size(totals.freed))


def _size(number: int) -> str:
    return size(number) if number else "-"


def _table(rows: Sequence[Sequence[str]], markdown: bool) -> Iterator[str]:
    if markdown:
        for number, row in enumerate(rows):
            yield f"| {' | '.join(row)} |"
            if not number:
                yield "|" + "---|" * len(row)
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _some(kind: str, said: Sequence[str]) -> Iterator[str]:
    for each in said[:_MOST]:
        yield f"{kind}: {each}"
    if len(said) > _MOST:
        yield f"{kind}: and {len(said) - _MOST:,} more"


def diff_line(change: Change) -> str:
    """`+ REF  RULE  BECAUSE`."""
    weight = f"  {size(change.size)}" if change.size is not None else ""
    return f"{change.kind} {change.ref}  {change.rule}  {change.because}{weight}"
