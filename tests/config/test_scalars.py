import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.config.scalars import SecretReference, parse_duration, parse_size, size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "10 m", "-1s", "1y", "10M", "1h 30m", "1e3s", "٣s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="written like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("10B", 10), ("10GB", 10**10), ("500GiB", 500 << 30), ("1.5 MiB", 3 << 19), ("64k", 64_000),
     ("64Ki", 65536), ("2T", 2 * 10**12), ("1PiB", 1 << 50)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GB", "10 Gigs", "1e9", "10gib ", "5i", "1..5G"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="written like"):
        parse_size(text)


@given(st.integers(0, 10**6), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_binary_sizes_are_exact(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number << {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[unit]


def test_secrets_are_named_never_written() -> None:
    assert SecretReference.parse("file:/etc/x") == SecretReference("file", "/etc/x")
    assert str(SecretReference.parse("env:HUB")) == "env:HUB"
    with pytest.raises(ValueError, match="named, never written") as refused:
        SecretReference.parse("hunter2")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("written", ["365001d", "9" * 400 + "s", "9999999999999999999999w"])
def test_a_duration_past_all_dates_is_a_fault(written: str) -> None:
    with pytest.raises(ValueError, match="at most 1000 years"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["8192PiB", "9" * 400, "9" * 40 + "GB", "9" * 40 + ".5GB"])
def test_a_size_past_all_disks_is_a_fault(written: str) -> None:
    with pytest.raises(ValueError, match="less than 8192 PiB"):
        parse_size(written)


@pytest.mark.parametrize(
    "text", ["500 MB", "1.5 GB", "20 TB", "500 GiB", "1.5 TiB", "64 MiB", "4 KiB", "512 B", "0 B", "1 MB"]
)
def test_a_size_is_said_as_it_was_written(text: str) -> None:
    assert size_text(parse_size(text)) == text
