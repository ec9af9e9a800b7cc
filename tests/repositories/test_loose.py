"""What is referenced, in which order the rest goes, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.digest import Digest
from registry_mesh.repositories.loose import (
    Looseness,
    Names,
    Order,
    RepositoryFacts,
    Step,
    next_step,
    referenced,
)

DIGESTS = [Digest.of(bytes([i])) for i in range(12)]
A, B, C, D, E, F = DIGESTS[:6]


def facts(*manifests: Names, roots: set[Digest], blobs: set[Digest] | None = None) -> RepositoryFacts:
    return RepositoryFacts(frozenset(roots), {each.digest: each for each in manifests}, blobs=blobs or set())


def test_a_tag_keeps_all_below_it() -> None:
    found = referenced(facts(Names(A, manifests=(B,)), Names(B, blobs=(C, D)), Names(E, (F,)), roots={A}))
    assert found == {A, B, C, D}


def test_an_index_keeps_children_that_are_blobs() -> None:
    """As the caches of builders have them."""
    index = Names(A, manifests=(B, C))
    assert referenced(facts(index, Names(B, blobs=(D,)), roots={A}, blobs={C, D, E})) == {A, B, C, D}


def test_what_an_unknown_document_mentions_is_kept() -> None:
    unknown = Names(A, mentions=(B, C, F))
    assert referenced(facts(unknown, Names(B, blobs=(D,)), roots={A}, blobs={C, D, E})) == {A, B, C, D}
    order = Order([A, B, C], [unknown])
    assert order.first() == [A]
    assert set(order.gone(A)) == {B, C}


def test_a_manifest_that_is_also_named_as_a_blob_keeps_what_it_names() -> None:
    found = referenced(facts(Names(A, blobs=(B,), manifests=(B,)), Names(B, blobs=(C,)), roots={A}))
    assert found == {A, B, C}


def test_a_referrer_lives_as_long_as_its_subject() -> None:
    image, signature = Names(A, blobs=(B,)), Names(C, blobs=(D,), subject=A)
    of_signature = Names(E, subject=C)
    assert referenced(facts(image, signature, of_signature, roots={A})) == {A, B, C, D, E}
    assert referenced(facts(image, signature, of_signature, roots=set())) == set()
    assert referenced(facts(image, signature, roots={C})) == {C, D}, "its subject is no part of a referrer"


def test_a_referrer_whose_subject_was_never_here_is_kept() -> None:
    signature = Names(C, blobs=(D,), subject=A)
    assert referenced(facts(signature, roots=set())) == {C, D}
    gone = RepositoryFacts(frozenset(), {C: signature}, expired={A})
    assert referenced(gone) == set()
    may_come_back = RepositoryFacts(frozenset(), {C: signature}, deleted={A: Names(A, blobs=(B,))})
    assert referenced(may_come_back) == {A, B, C, D}


def test_from_the_top_down() -> None:
    index, image, signature = Names(A, manifests=(B,)), Names(B, blobs=(C, D)), Names(E, (D,), subject=A)
    order = Order([A, B, C, D, E], [index, image, signature])
    assert order.first() == [E]
    assert order.gone(E) == [A]
    assert order.gone(A) == [B]
    assert set(order.gone(B)) == {C, D}
    assert order.gone(C) == []


@st.composite
def graphs(draw: st.DrawFn) -> list[Names]:
    """Manifests that name later ones only: digests make no cycles."""
    names = []
    for i in range(8):
        later = DIGESTS[i + 1 :]
        blobs = tuple(draw(st.lists(st.sampled_from(DIGESTS[8:]), max_size=2)))
        children = tuple(draw(st.lists(st.sampled_from(later), max_size=2)))
        subject = draw(st.one_of(st.none(), st.sampled_from(later)))
        names.append(Names(DIGESTS[i], blobs=blobs, manifests=children, subject=subject))
    return names


@given(graphs())
def test_everything_goes_once_and_after_all_that_names_it(names: list[Names]) -> None:
    order = Order(DIGESTS, names)
    gone: list[Digest] = []
    ready = order.first()
    while ready:
        digest = ready.pop()
        for each in names:
            if digest in {*each.children(), each.subject}:
                assert each.digest in gone
        gone.append(digest)
        ready += order.gone(digest)
    assert sorted(gone) == sorted(DIGESTS)


@given(graphs(), st.sets(st.sampled_from(DIGESTS)))
def test_what_is_referenced_is_closed(names: list[Names], roots: set[Digest]) -> None:
    known = facts(*names, roots=roots)
    found = referenced(known)
    assert roots & set(known.manifests) <= found
    for each in names:
        if each.digest in found:
            assert set(each.blobs) <= found
            assert {child for child in each.manifests if child in known.manifests} <= found
        if each.subject in found and each.subject in known.manifests:
            assert each.digest in found


def test_when() -> None:
    def step(record: Looseness, started: float = 1000.0, now: float = 1010.0) -> Step:
        return next_step(record, started, now, grace=100.0, stall=20.0)

    assert step(Looseness()) is Step.OBSERVE
    assert step(Looseness(loose_since=950.0)) is Step.WAIT
    assert step(Looseness(loose_since=900.0)) is Step.CONDEMN
    assert step(Looseness(loose_since=905.0)) is Step.WAIT, "the grace is counted to the beginning of the run"
    assert step(Looseness(condemned_at=1000.0)) is Step.WAIT
    assert step(Looseness(condemned_at=990.0)) is Step.CONDEMN, "whoever condemned it is dead"
