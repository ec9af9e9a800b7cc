"""Signatures with credentials that renew themselves, as those of an instance or of a workload do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.signing import BucketSigner
from registry_mesh.stores.bucket.store import S3Store
from tests.environment import environment

URL = "http://bucket.example/b/k"


class Service:
    """Gives keys that are good for an hour; `ill`: gives none."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, tzinfo=UTC)
        self.given = 0
        self.ill: Exception | None = None

    def give(self) -> dict[str, str]:
        if self.ill is not None:
            raise self.ill
        self.given += 1
        expiry = (self.now + timedelta(hours=1)).isoformat()
        return {
            "access_key": f"KEY{self.given}",
            "secret_key": "s",
            "token": f"t{self.given}",
            "expiry_time": expiry,
        }

    def credentials(self) -> RefreshableCredentials:
        given = self.give()
        return RefreshableCredentials(
            given["access_key"],
            given["secret_key"],
            given["token"],
            self.now + timedelta(hours=1),
            self.give,
            "a service",
            time_fetcher=lambda: self.now,
        )


def key_in(signer: BucketSigner) -> str:
    return signer.presign(URL, 60).partition("X-Amz-Credential=")[2].partition("%2F")[0]


async def test_keys_are_renewed_before_they_end() -> None:
    service = Service()
    signer = BucketSigner(service.credentials(), "r")
    for _ in range(2):
        await signer.ready()
        assert key_in(signer) == f"KEY{service.given}"
        service.now += timedelta(minutes=50)
    assert service.given == 2


async def test_keys_that_another_renewed_are_used() -> None:
    """boto3's client has the same credentials, and may be the first to renew them."""
    service = Service()
    credentials = service.credentials()
    signer = BucketSigner(credentials, "r")
    service.now += timedelta(minutes=50)
    await signer.ready()
    assert key_in(signer) == "KEY2"
    service.now += timedelta(minutes=50)
    credentials.get_frozen_credentials()
    await signer.ready()
    assert key_in(signer) == "KEY3"


@pytest.mark.parametrize(
    "ill",
    [CredentialRetrievalError(provider="p", error_msg="m"), OSError("no route"), ValueError("no JSON")],
    ids=lambda fault: type(fault).__name__,
)
async def test_keys_that_cannot_be_renewed_are_a_fault_of_the_store(ill: Exception) -> None:
    service = Service()
    signer = BucketSigner(service.credentials(), "r")
    service.now += timedelta(minutes=61)
    service.ill = ill
    with pytest.raises(StoreBroken, match="credentials"):
        await signer.ready()
    service.ill = None
    await signer.ready()
    assert key_in(signer) == "KEY2"


async def test_a_workload_s_token_file_that_is_not_there_is_a_fault_of_the_store(tmp_path: Path) -> None:
    """As where a pod's volume has another name than its variable says."""
    chain = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    keys = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"])
    with environment(**chain, **keys):
        with pytest.raises(StoreBroken, match=f"{tmp_path}/token"):
            await S3Store.start(S3Settings("b", endpoint="http://127.0.0.1:9", region="r"))
