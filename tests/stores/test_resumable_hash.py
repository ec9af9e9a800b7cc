"""Hashers whose state is put aside and taken up."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.stores import resumable_hash


@given(st.sampled_from(["sha256", "sha512"]), st.lists(st.binary(max_size=400), max_size=8))
def test_it_hashes_like_hashlib_with_a_break_after_every_piece(algorithm: str, pieces: list[bytes]) -> None:
    hasher = resumable_hash.new(algorithm)
    plain = hashlib.new(algorithm)
    for piece in pieces:
        hasher.update(piece)
        plain.update(piece)
        assert hasher.hexdigest() == plain.hexdigest()
        state = hasher.state()
        if state is not None:
            resumed = resumable_hash.resume(algorithm, state)
            assert resumed is not None
            hasher = resumed
    assert hasher.digest() == plain.digest()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))[3:]])
def test_any_buffer(kind: type[bytes]) -> None:
    data = kind(b"abc" * 500)
    hasher = resumable_hash.new("sha256")
    hasher.update(data)
    assert hasher.digest() == hashlib.sha256(data).digest()


def test_libcrypto_is_there() -> None:
    assert resumable_hash.new("sha256").state() is not None, "uploads would be read again on every request"


def test_a_strange_state_is_refused() -> None:
    state = resumable_hash.new("sha256").state() or b""
    assert resumable_hash.resume("sha256", b"") is None
    assert resumable_hash.resume("sha256", state + b"x") is None
    assert resumable_hash.resume("sha256", state[:-1]) is None
    assert resumable_hash.resume("sha512", state) is None
    assert resumable_hash.resume("sha256", state.replace(b"sha256/", b"sha256/9", 1)) is None
    with pytest.raises(DigestInvalid):
        resumable_hash.new("md5")


@pytest.mark.usefixtures("without_libcrypto")
def test_without_libcrypto_there_is_no_state() -> None:
    hasher = resumable_hash.new("sha256")
    hasher.update(b"abc")
    assert hasher.state() is None
    assert hasher.digest() == hashlib.sha256(b"abc").digest()
