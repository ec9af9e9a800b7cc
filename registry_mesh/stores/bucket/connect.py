"""How a bucket is reached: the client of boto3, the credentials chain, and the address of a key."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.loaders import create_loader
from botocore.utils import get_environ_proxies

from registry_mesh.ports.failures import StoreUnfit
from registry_mesh.stores.bucket.errors import translated
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.tasks.files import InMemory

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client as Boto

_MODELS: Final = create_loader()
"""What boto3 knows of S3: read once a process (0.1 s), not once a store."""


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """What boto3 found out. `base` is the URL that a key is appended to."""

    boto: Boto
    credentials: Credentials
    region: str
    base: str
    ca: InMemory | None
    """Authorities, as a file that stays for as long as connections are made."""

    def close(self) -> None:
        """Close boto3's connections; it makes none any more."""
        self.boto.close()
        if self.ca is not None:
            self.ca.close()


def connect(settings: S3Settings) -> BucketAccess:
    """Return the access that `settings` give; asks the credentials chain, not the bucket. `StoreUnfit` where there are
    no credentials. In a thread."""
    given = settings.credentials
    with translated("the credentials chain"):
        core = botocore.session.get_session()
        core.register_component("data_loader", _MODELS)
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=given.access_key if given else None,
            aws_secret_access_key=given.secret_key if given else None,
            aws_session_token=given.session_token if given else None,
            region_name=settings.region,
        )
        credentials = session.get_credentials()
        if credentials is None:
            raise StoreUnfit(
                f"no credentials for the bucket {settings.bucket}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or name a profile (AWS_PROFILE)"
            )
        region = session.region_name or "us-east-1"
        ca = InMemory(settings.ca) if settings.ca else None
        boto = session.client(
            "s3",
            region_name=region,
            endpoint_url=settings.endpoint,
            verify=ca.path if ca else None,
            config=_config(settings),
        )
        boto.meta.events.register("before-sign.s3.DeleteObjects", _sum_by_md5)
        boto.meta.events.register("before-parameter-build.s3", _stay)
        return BucketAccess(boto, credentials, region, _base(boto, settings), ca)


def _config(settings: S3Settings) -> Config:
    """Checksums only where they are required: the trailers that are the default are refused by older gateways."""
    path_style = settings.path_style if settings.path_style is not None else settings.endpoint is not None
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=settings.timeout,
        max_pool_connections=32,
    )


def proxy_of(url: str) -> str | None:
    """Return the proxy by which boto3 reaches `url`, by the usual variables."""
    return get_environ_proxies(url).get(url.partition(":")[0])


def _base(boto: Boto, settings: S3Settings) -> str:
    """The URL that a key is appended to, as boto3 itself would choose it."""
    probe = boto.generate_presigned_url(
        "get_object", Params={"Bucket": settings.bucket, "Key": "k"}, ExpiresIn=1
    )
    return probe.partition("?")[0].removesuffix("/k")


def _stay(context: dict[str, Any], **_: object) -> None:
    """Have botocore follow no redirect: to another region it would go alone, without those who move bytes, and one
    that names no region it asks about by a request that is redirected in turn, without end."""
    context["s3_redirect"]["redirected"] = True


def _sum_by_md5(request: AWSRequest, **_: object) -> None:
    """Content-MD5 in the place of newer checksums: the one that every server takes and some demand."""
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    for name in [
        name for name in request.headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-"))
    ]:
        del request.headers[name]
    request.headers["Content-MD5"] = base64.b64encode(
        hashlib.md5(body, usedforsecurity=False).digest()
    ).decode()
