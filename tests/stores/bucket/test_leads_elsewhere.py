"""A bucket whose answers lead elsewhere is not followed: its endpoint, or its region, is another."""

from __future__ import annotations

import pytest

from registry_mesh.ports.failures import StoreUnfit
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from tests.simulators.registry import simulated_registry

KEYS = S3Credentials("key", "secret")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("region", [{}, {"x-amz-bucket-region": "eu-west-3"}])
async def test_it_is_asked_once(status: int, region: dict[str, str]) -> None:
    async with simulated_registry() as other, simulated_registry() as bucket:
        headers = {"Location": f"{other.url}/b", **region}
        bucket.says("/b", status=status, headers=headers)
        control = await S3Control.open(S3Settings("b", bucket.url, region="us-east-1", credentials=KEYS))
        with pytest.raises(StoreUnfit, match=f"answered {status} .* its endpoint is another"):
            await control.check()
        await control.close()
        assert (len(bucket.seen), other.seen) == (1, [])
