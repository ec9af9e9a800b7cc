"""`python -m tests.fuzz.hunt SECONDS [PARSER]...`: look for texts that break parsers; keep them in the corpus."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Sequence

from tests.fuzz.corpus import keep, kept
from tests.fuzz.mutations import BREAKERS
from tests.fuzz.parser import Parser
from tests.fuzz.parsers import PARSERS

SLOW = 0.5
"""Seconds beyond which a parser is told of."""


def hunt(parser: Parser, seconds: float, rng: random.Random) -> int:
    """How many texts broke it within `seconds`; one of each kind is kept."""
    known, ends, begin = set[str](), time.monotonic() + seconds, [*parser.begin, *kept(parser.name)]
    parser.run(begin[0])  # its library may be imported by that, and is no slow text
    while time.monotonic() < ends:
        data = _changed(rng.choice(begin), rng)
        began = time.process_time()
        try:
            parser.run(data)
        except Exception as fault:
            where = traceback.extract_tb(fault.__traceback__)[-1]
            kind = f"{type(fault).__name__} at {where.filename}:{where.lineno}"
            if kind not in known:
                known.add(kind)
                print(f"{parser.name}: {kind}: {fault}\n  kept in {keep(parser.name, data)}")
        if (took := time.process_time() - began) > SLOW:
            print(f"{parser.name}: {took:.1f} s for {len(data)} bytes, kept in {keep(parser.name, data)}")
    return len(known)


def _changed(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 5)):
        at, length = rng.randint(0, len(data)), rng.choice((0, 0, 1, 1, 3, 10, 40))
        new = rng.choice((rng.choice(BREAKERS), rng.randbytes(rng.randint(0, 4)), data[at : at + 20]))
        data = data[:at] + new + data[at + length :]
    return data


def main(argv: Sequence[str]) -> int:
    """For each parser an equal share of the time."""
    chosen = [each for each in PARSERS if each.name in argv[1:] or not argv[1:]]
    rng = random.Random()
    return int(sum(hunt(each, float(argv[0]) / len(chosen), rng) for each in chosen) > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
