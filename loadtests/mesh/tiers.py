"""Three tiers: what stands between an origin and its readers must not be felt."""

from __future__ import annotations

from loadtests import ours
from loadtests.bench import Bench, ratio
from loadtests.drain import Drained
from loadtests.link import GIGABIT, LinkProcess
from loadtests.origin.uploads import push
from loadtests.scenario import Outcome, scenario
from tests.simulators.link import Conditions


@scenario(quick=False)
def cold_through_two_caches(bench: Bench) -> Outcome:
    """One cold layer (256 MiB) from an origin of ours through a regional site and a local one, each hop 1 Gbit/s and
    20 ms; beside the same pull from the origin over one such hop.

    Time at most 1.1 times one hop; each hop carries the blob once.
    """
    outcome = Outcome()
    blob = bench.corpus.layer
    conditions = Conditions(rate=GIGABIT, rtt=0.02)

    def pull(port: int) -> Drained:
        return bench.drain.run(
            port, [(blob.path, blob.size)], connections=1, stampede=True, check=1, compare=blob, timeout=120
        )

    origin = ours.origin(bench.folder("origin"))
    with bench.running(origin, pinned=False):
        for one in (blob, bench.corpus.tiny):
            push(origin, one)
        with LinkProcess(origin.port, conditions) as far:
            region = ours.site(bench.folder("region"), [far.url], name="region")
            with bench.running(region, pinned=False), LinkProcess(region.port, conditions) as near:
                local = ours.site(bench.folder("local"), [near.url])
                with bench.running(local, pinned=False):
                    bench.get(local, bench.corpus.tiny.path)
                    direct = pull(far.port)
                    far.forget()
                    near.forget()
                    through = pull(local.port)
                    again = pull(local.port)
                    moved = far.seen().body_bytes, near.seen().body_bytes
    outcome.row(
        "one hop, no cache",
        first_byte_ms=direct.first_byte.p50,
        total_ms=direct.total.p50,
        said=direct.complaint,
    )
    outcome.row(
        "registry-mesh, two caches",
        first_byte_ms=through.first_byte.p50,
        total_ms=through.total.p50,
        ratio_to_one_hop=ratio(through.total.p50, direct.total.p50),
        failed=through.failed,
        said=through.complaint,
    )
    outcome.row(
        "registry-mesh, again",
        first_byte_ms=again.first_byte.p50,
        total_ms=again.total.p50,
        failed=again.failed,
    )
    outcome.at_most("nobody fails, each byte right", through.failed + again.failed, 0)
    outcome.at_most("time to one hop", ratio(through.total.p50, direct.total.p50), 1.1)
    outcome.at_most("the dearest hop, times the blob", max(moved) / blob.size, 1.01)
    return outcome
