"""Which spans are recorded: of misses all, of hits what the sampler of the environment says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from registry_mesh.telemetry.traces import CACHE

USUAL: Final = 0.01
"""Of hits that begin a trace, where OTEL_TRACES_SAMPLER says nothing."""


_FIXED: Final = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}
_BY_RATIO: Final = {"traceidratio": TraceIdRatioBased, "parentbased_traceidratio": ParentBasedTraceIdRatio}


def sampler(env: Mapping[str, str]) -> Sampler:
    """As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say. `always_off` and `parentbased_always_off` hold for misses
    too. ValueError where it is none that is known, or the share is no number from 0 to 1."""
    named = env.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not named:
        return MissesAlways(ParentBasedTraceIdRatio(USUAL))
    if named in _BY_RATIO:
        return MissesAlways(_BY_RATIO[named](float(env.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or 1.0)))
    if named not in _FIXED:
        raise ValueError(f"OTEL_TRACES_SAMPLER={named}: known are {', '.join([*_FIXED, *_BY_RATIO])}")
    return _FIXED[named] if named.endswith("always_off") else MissesAlways(_FIXED[named])


class MissesAlways(Sampler):
    """Of a trace that is recorded here, all; of requests for which parents are asked, all; else as `hits` says."""

    def __init__(self, hits: Sampler) -> None:
        self._hits = hits

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See `Sampler`."""
        above = get_current_span(parent_context).get_span_context()
        begins_here = not above.is_valid or above.is_remote
        if begins_here and kind is SpanKind.SERVER and (attributes or {}).get(CACHE) != "miss":
            chosen = self._hits
        elif begins_here or above.trace_flags.sampled:
            chosen = ALWAYS_ON
        else:
            return SamplingResult(Decision.DROP, trace_state=above.trace_state)
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See `Sampler`."""
        return f"MissesAlways{{{self._hits.get_description()}}}"
