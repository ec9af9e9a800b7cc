"""YAML text to values with places: what scalars mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.config.document import BYTES_LIMIT, read_document
from registry_mesh.config.finding import ConfigInvalid, Mark, dotted


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("NO", "NO"), ("on", "on"), ("yes", "yes"), ("22:22", "22:22"), ("0777", "0777"), ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"), ("1e3", 1000.0), ("1.10", 1.1), ("0x1F", 31), ("0o17", 15), ("-5", -5), ("~", None),
        ("", None), ("true", True), ("FALSE", False), (".inf", float("inf")), ("v1.2.3", "v1.2.3"), ("=", "="),
        ("'1.10'", "1.10"), ('"true"', "true"), ("!!str 1.10", "1.10"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(text: str, meant: object) -> None:
    document = read_document(f"key: {text}\n", "f")
    assert document.value == {"key": meant}
    assert type(document.value["key"]) is type(meant)
    assert not document.findings


def test_every_value_knows_its_place() -> None:
    document = read_document("a:\n  - b: 1\n    c: [x, 1.10]\n", "f")
    assert document.value == {"a": [{"b": 1, "c": ["x", 1.1]}]}
    assert document.mark(("a", 0, "c", 1)) == Mark(3, 12)
    assert document.mark(("a", 0, "c"), key=True) == Mark(3, 5)
    assert document.spelled["a", 0, "c", 1] == "1.10"
    assert document.mark(("a", 0, "missing", "deeper")) == Mark(2, 5)
    assert document.find("a", 0, "b") == 1
    assert document.find("a", 7, "b") is document.find("a", "b") is None


@pytest.mark.parametrize(
    ("data", "mark"),
    [
        (b"a: 1\nb: c\x07\n", Mark(2, 5)),
        (b"a: caf\xe9\n", Mark(1, 7)),
        (b"a: 1\r\n\x00", Mark(2, 1)),
        ("a: ä\nb: é\x01", Mark(2, 5)),
        ("a: ä\nb: é\x01".encode(), Mark(2, 5)),
    ],
)
def test_a_character_that_no_file_may_have_is_told_with_its_place(data: str | bytes, mark: Mark) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_document(data, "f")
    assert [finding.mark for finding in caught.value.findings] == [mark]


def test_a_key_that_stands_twice_names_both_lines_and_keeps_the_first() -> None:
    document = read_document("a: 1\nb: 2\na: {c: 3}\n", "f.yaml")
    assert document.value == {"a": 1, "b": 2}
    (finding,) = document.findings
    assert str(finding) == "f.yaml:3:1: a: stands twice: first on line 1; keep one"


def test_aliases_repeat_a_value_and_bombs_are_refused() -> None:
    assert read_document("a: &x {b: [1]}\nc: *x\n", "f").value == {"a": {"b": [1]}, "c": {"b": [1]}}
    bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 9):
        bomb += f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]\n"
    with pytest.raises(ConfigInvalid, match="fewer aliases"):
        read_document(bomb, "f")


def test_an_anchor_cannot_hold_itself() -> None:
    (finding,) = read_document("a: &x [*x]\n", "f").findings
    assert "no anchor" in finding.what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\nb: 2", "f:2"),
        ("a: b: c", "f:1:5: not YAML"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document"),
        ("\ta: 1", "not YAML"),
        (b"a: \xff", "not YAML"),
        ("[" * 100_000, "nested deeper"),
        ("- " * 5_000, "nested deeper"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_document(text, "f")
    assert words in str(refused.value)


def test_tags_and_keys_that_are_no_text_are_faults() -> None:
    document = read_document("a: !!python/object:os.system x\nb: !env HOME\n? [1]\n: 2\n", "f")
    assert ["tag" in finding.what for finding in document.findings] == [True, True, False]
    assert "no text" in document.findings[2].what


def test_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigInvalid, match="larger"):
        read_document("a: " + "1" * BYTES_LIMIT, "f")


def test_dotted() -> None:
    assert dotted(("registries", "docker.io", "parents", 0, 1)) == "registries.docker.io.parents[0][1]"


@given(st.text(alphabet="ab:-[]{}&*!'\"\n #1.0~<>|?%@,", max_size=60))
def test_any_text_gives_a_document_or_a_fault_with_a_place(text: str) -> None:
    try:
        document = read_document(text, "f")
    except ConfigInvalid as refused:
        assert all(finding.mark >= Mark(1, 1) for finding in refused.findings)
    else:
        assert all(finding.mark >= Mark(1, 1) for finding in document.findings)
