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


@pytest.mark.parametrize("status", [301, 307, 400])
@pytest.mark.parametrize(
    ("region", "said"),
    [("us-west-2", "the region us-west-2 (store.s3.region)"), ("<b>", "another region (store.s3.region)")],
)
async def test_the_region_is_named_where_the_bucket_names_it(status: int, region: str, said: str) -> None:
    async with simulated_registry() as bucket:
        bucket.says("/b", status=status, headers={"x-amz-bucket-region": region})
        control = await S3Control.open(S3Settings("b", bucket.url, region="us-east-1", credentials=KEYS))
        with pytest.raises(StoreUnfit) as refused:
            await control.check()
        await control.close()
    assert f"answered {status} to HEAD of the bucket b: it lies in {said}" in refused.value.reason
