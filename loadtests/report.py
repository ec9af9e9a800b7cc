"""What is left of a run: a table on the terminal, a JSON file, figures for the docs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtests.scenario import Outcome


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(outcome: Outcome) -> str:
    columns = list(dict.fromkeys(name for row in outcome.rows for name in row))
    lines = [[name.replace("_", " ") for name in columns]]
    lines += [[_cell(row[name]) if name in row else "" for name in columns] for row in outcome.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    text = [
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    for bar in outcome.bars:
        sign = "≥" if bar.at_least else "≤"
        text.append(f"  [{'ok' if bar.met else '--'}] {bar.what}: {_cell(bar.value)} ({sign} {bar.limit:g})")
    text += [f"  note: {remark}" for remark in outcome.remarks]
    return "\n".join(text)


def document(outcomes: Mapping[str, Outcome], facts: Mapping[str, Any]) -> dict[str, Any]:
    scenarios = {
        name: {
            "rows": outcome.rows,
            "bars": [{**asdict(bar), "met": bar.met} for bar in outcome.bars],
            "remarks": outcome.remarks,
            "run": {"date": facts["date"], "loopback_mtu": outcome.mtu},
        }
        for name, outcome in outcomes.items()
    }
    return {"facts": dict(facts), "scenarios": scenarios}


def rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each scenario that a file of results has."""
    return {name: told["rows"] for name, told in json.loads(file.read_text())["scenarios"].items()}


def write(file: Path, outcomes: Mapping[str, Outcome], facts: Mapping[str, Any]) -> None:
    """Write the outcomes, and keep those of other scenarios that the file has: a commit's figures may be measured in
    several runs. Each has the facts of its own run."""
    told = document(outcomes, facts)
    if file.exists():
        told["scenarios"] = {**json.loads(file.read_text())["scenarios"], **told["scenarios"]}
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(told, indent=1) + "\n")
    new.replace(file)
