"""What a parent of our kind says of its own trouble, whatever it sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.upstream.health.explained import LONGEST, message


def test_the_first_message() -> None:
    assert message(b'{"errors": [{"code": "UNAVAILABLE", "message": "p: down\\n"}]}') == "p: down?"
    assert len(message(b'{"errors": [{"message": "' + b"x" * 5000 + b'"}]}')) == LONGEST


ODD = [b"[" * 5000, b'{"errors": {}}', b'{"errors": [1]}', b'{"errors": [{"message": 1}]}']


@given(st.binary() | st.sampled_from(ODD))
def test_anything_else_is_nothing(body: bytes) -> None:
    assert message(body).isprintable()
