"""How old an answer may be, over time."""

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.content.nest.freshness import Freshness, Verdict

ages = st.floats(0, 1e8)
policies = st.builds(
    Freshness,
    ttl=st.floats(0, 1e5),
    stale_while_revalidate=st.floats(0, 1e5),
    stale_if_error=st.floats(0, 1e7),
    negative_ttl=st.floats(0, 1e5),
    offline_grace=st.floats(0, 1e7),
)
ORDER = [Verdict.FRESH, Verdict.STALE_NOW, Verdict.REVALIDATE, Verdict.OFFLINE, Verdict.EXPIRED]


@given(policy=policies, age=ages, older=ages)
def test_an_older_entry_is_never_fresher(policy: Freshness, age: float, older: float) -> None:
    young, old = sorted((age, older))
    for known in (True, False):
        one = ORDER.index(policy.judge(young, source_known=known))
        other = ORDER.index(policy.judge(old, source_known=known))
        assert one <= other


@given(policy=policies, age=ages)
def test_nothing_is_served_fresh_past_its_ttl(policy: Freshness, age: float) -> None:
    assert (policy.judge(age) is Verdict.FRESH) == (age < policy.ttl)


@given(policy=policies, age=ages)
def test_negative_entries_are_never_stale(policy: Freshness, age: float) -> None:
    expected = Verdict.FRESH if age < policy.negative_ttl else Verdict.EXPIRED
    assert policy.judge(age, negative=True) is expected


def test_an_unknown_source_does_not_make_a_client_wait() -> None:
    policy = Freshness(ttl=60, stale_while_revalidate=60, stale_if_error=3600)
    assert policy.judge(1000, source_known=True) is Verdict.REVALIDATE
    assert policy.judge(1000, source_known=False) is Verdict.STALE_NOW
    assert policy.judge(4000, source_known=False) is Verdict.OFFLINE
    assert policy.judge(31 * 86400, source_known=False) is Verdict.EXPIRED
