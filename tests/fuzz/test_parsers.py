"""No parser of what others wrote raises what it does not promise, whatever comes.

What is kept in `corpus/` is replayed always; then some texts are made of what the parser takes, cut, doubled and mixed
with what breaks parsers. What fails is printed whole and goes into `corpus/`. For longer:
`python -m tests.fuzz.hunt SECONDS [PARSER]...`.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import FOLDER, kept
from tests.fuzz.mutations import mutated
from tests.fuzz.parser import Parser
from tests.fuzz.parsers import PARSERS


@pytest.mark.parametrize("parser", PARSERS, ids=lambda each: each.name)
def test_what_is_kept_is_taken_or_refused(parser: Parser) -> None:
    for data in (*parser.begin, *kept(parser.name)):
        parser.run(data)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda each: each.name)
def test_whatever_comes_is_taken_or_refused(parser: Parser) -> None:
    begin = st.sampled_from([*parser.begin, *kept(parser.name)])

    @settings(
        max_examples=parser.examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(begin))
    @example(b"")
    def takes(data: bytes) -> None:
        parser.run(data)

    takes()


def test_every_kept_folder_is_a_parser_s() -> None:
    assert {path.name for path in FOLDER.iterdir()} <= {parser.name for parser in PARSERS}
