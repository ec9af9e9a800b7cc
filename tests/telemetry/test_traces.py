"""What a request is part of, what is handed on, and which spans are recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from registry_mesh.telemetry.sampling import sampler
from registry_mesh.telemetry.traces import HITS, MOST, HitBudget, Trace, Tracing, asking, enter

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


class Recorded:
    """What a node whose environment has `variables` would send."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()

    def begin(self, **variables: str) -> None:
        provider = TracerProvider(sampler=sampler(variables), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        Tracing.tracer = provider.get_tracer("test")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    yield Recorded()
    Tracing.tracer = None


def answered(given: str = "", *, asks: int = 0, miss: bool = False, hits: HitBudget | None = None) -> None:
    """One request, with so many questions to a parent."""
    trace = enter([given] if given else [], [])
    for _ in range(asks):
        with asking("GET", "/v2/a/blobs/x", "blobs", "above") as asked:
            asked.answered(200)
    if trace is not None:
        trace.end("GET blob", {}, hits or HitBudget(), miss=miss, failed=False)


def handed_on(parents: list[str], states: list[str]) -> dict[str, str]:
    enter(parents, states)
    with asking("GET", "/v2/", "blobs", "above") as asked:
        return dict(asked.headers)


def test_what_came_is_handed_on_where_nothing_is_recorded() -> None:
    assert handed_on([GIVEN], ["a=1", "b=2"]) == {"traceparent": GIVEN, "tracestate": "a=1,b=2"}
    assert handed_on([], ["a=1"]) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"{GIVEN}-more",
        f"ff-{TRACE}-{PARENT}-01",
        GIVEN + "\r\nX-Evil: 1",
        "x" * 100_000,
    ],
)
def test_what_is_no_trace_goes_nowhere(wrong: str) -> None:
    assert handed_on([wrong], []) == {}
    assert handed_on([GIVEN, GIVEN], []) == {}


def test_a_state_that_is_too_long_or_odd_is_left_out() -> None:
    assert handed_on([GIVEN], ["a=" + "x" * 600]) == {"traceparent": GIVEN}
    assert handed_on([GIVEN], ["a=\x00"]) == {"traceparent": GIVEN}


def test_one_request_does_not_see_the_trace_of_the_one_before() -> None:
    enter([GIVEN], [])
    assert handed_on([], []) == {}


@pytest.mark.parametrize("given", ["", GIVEN, UNSAMPLED])
@pytest.mark.parametrize("named", ["", "traceidratio", "parentbased_traceidratio", "always_on"])
def test_a_request_for_which_parents_are_asked_is_recorded_always(
    recorded: Recorded, given: str, named: str
) -> None:
    recorded.begin(OTEL_TRACES_SAMPLER=named, OTEL_TRACES_SAMPLER_ARG="0")
    answered(given, asks=1)
    answered(given, miss=True)  # it read along with another
    assert recorded.names == ["ask for blobs", "GET blob", "GET blob"]
    below, above, _ = recorded.spans
    assert below.parent is not None and above.context is not None
    assert below.parent.span_id == above.context.span_id
    if given:
        assert above.parent is not None
        assert f"{above.parent.span_id:016x}" == PARENT
        assert f"{above.context.trace_id:032x}" == TRACE


def test_what_is_handed_on_is_recorded_below(recorded: Recorded) -> None:
    recorded.begin()
    assert handed_on([UNSAMPLED], [])["traceparent"].startswith(f"00-{TRACE}-")
    assert handed_on([UNSAMPLED], [])["traceparent"].endswith("-01")


def test_of_hits_the_sampler_decides(recorded: Recorded) -> None:
    recorded.begin()
    for _ in range(HITS):
        answered(UNSAMPLED)
    assert recorded.names == []
    answered(GIVEN)
    assert recorded.names == ["GET blob"]


def test_of_hits_at_most_so_many_a_second_are_recorded(recorded: Recorded) -> None:
    recorded.begin()
    hits, began = HitBudget(), time.monotonic()
    for _ in range(5 * HITS):
        answered(GIVEN, hits=hits)
    seconds = 1 + int(time.monotonic() - began)
    assert HITS <= len(recorded.names) <= min(5, seconds) * HITS
    assert [hits.take(now) for now in (1e9, *[1e9 + 0.99] * HITS, 1e9 + 1)] == [*[True] * HITS, False, True]


def test_off_for_what_begins_here_is_off_for_misses_too(recorded: Recorded) -> None:
    recorded.begin(OTEL_TRACES_SAMPLER="parentbased_always_off")
    answered(asks=1)
    assert recorded.names == []
    answered(GIVEN, asks=1)
    assert recorded.names == ["ask for blobs", "GET blob"]


def test_a_run_of_thousands_of_requests_is_no_flood(recorded: Recorded) -> None:
    recorded.begin()
    answered(asks=3 * MOST)
    assert len(recorded.names) == MOST + 1


def test_of_a_failure_its_kind_alone_is_told(recorded: Recorded) -> None:
    recorded.begin()
    trace = enter([], [])
    assert isinstance(trace, Trace)
    with pytest.raises(OSError), asking("GET", "/v2/a?sig=secret", "blobs", "above"):
        raise OSError("http://user:secret@host/")
    trace.end("GET blob", {}, HitBudget(), miss=False, failed=True)
    asked, own = recorded.spans
    assert not asked.status.is_ok and not own.status.is_ok
    assert "secret" not in asked.to_json() + own.to_json()
