import zlib

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.stores.checksum import crc32


@given(data=st.binary(), more=st.binary())
def test_it_is_the_crc_of_zlib(data: bytes, more: bytes) -> None:
    assert crc32(more, crc32(data)) == zlib.crc32(data + more)
