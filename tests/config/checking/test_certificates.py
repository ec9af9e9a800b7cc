from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from registry_mesh.config.checking.certificates import check_pair


def issue(directory: Path, name: str, ca: trustme.CA, **kind: datetime) -> tuple[str, str]:
    pair = ca.issue_cert("localhost", **kind)
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_bytes(b"".join(pem.bytes() for pem in pair.cert_chain_pems))
    key.write_bytes(pair.private_key_pem.bytes())
    return str(certificate), str(key)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def test_a_pair_that_fits_has_no_fault(tmp_path: Path, ca: trustme.CA) -> None:
    assert list(check_pair(*issue(tmp_path, "a", ca))) == []


def test_a_key_of_another_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    (certificate, _), (_, key) = issue(tmp_path, "a", ca), issue(tmp_path, "b", ca)
    ((part, what, _),) = check_pair(certificate, key)
    assert part == "key"
    assert "is not the key of" in what


def test_expired_and_not_yet_valid(tmp_path: Path, ca: trustme.CA) -> None:
    now = datetime.now(UTC)
    pair = issue(tmp_path, "a", ca, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1))
    assert next(what for _, what, _ in check_pair(*pair)).endswith(
        f"expired on {now - timedelta(days=1):%Y-%m-%d}"
    )
    assert "not valid before" in next(iter(check_pair(*pair, now=now - timedelta(days=3))))[1]


def test_files_that_are_missing_or_no_pem(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    found = list(check_pair(str(tmp_path / "none"), str(tmp_path / "empty")))
    assert [part for part, _, _ in found] == ["certificate", "key"]
    assert "No such file" in found[0][1]
    assert "no PEM private key" in found[1][1]
