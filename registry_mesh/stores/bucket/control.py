"""The bucket for bookkeeping: boto3 in threads. Multiparts, listing, batch delete, lifecycle, credentials."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader
from botocore.utils import get_environ_proxies

from registry_mesh.ports.failures import StoreBroken, StoreUnfit
from registry_mesh.stores import points
from registry_mesh.stores.bucket.errors import refused, translated
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.tasks.threads import ask_remote, offload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client as Boto
    from mypy_boto3_s3.type_defs import (
        LifecycleRuleTypeDef,
        ListObjectsV2RequestTypeDef,
    )

_BATCH: Final = 1000
"""Keys that one DeleteObjects takes."""

_MODELS: Final = create_loader()
"""What boto3 knows of S3: read once a process (0.1 s), not once a store."""

_LIFECYCLE: Final = "registry-mesh-incomplete-uploads"


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing; `key` is without the settings' prefix, `modified` in seconds since the epoch."""

    key: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload that was begun and has not ended."""

    key: str
    upload: str
    begun: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Part of a listing: objects and, where a delimiter was given, the prefixes up to it."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next: str | None


class S3Control:
    """Calls that are rare or intricate. Each runs in a thread; each may raise `StoreBroken` or `StoreFull`."""

    def __init__(self, boto: Boto, credentials: Credentials, region: str, settings: S3Settings) -> None:
        self._boto = boto
        self._bucket = settings.bucket
        self._prefix = settings.prefix
        self.credentials = credentials
        self.region = region
        self.base = _base(boto, settings)
        self._singly = False  # whether it is known to have no batch deletes

    @classmethod
    async def open(cls, settings: S3Settings) -> S3Control:
        """A client by `settings`; asks the credentials chain, not the bucket."""
        return await offload(cls._open, settings)

    @classmethod
    def _open(cls, settings: S3Settings) -> S3Control:
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
            boto = session.client(
                "s3",
                region_name=region,
                endpoint_url=settings.endpoint,
                verify=str(settings.ca) if settings.ca else None,
                config=_config(settings),
            )
            boto.meta.events.register("before-sign.s3.DeleteObjects", _sum_by_md5)
        return cls(boto, credentials, region, settings)

    async def close(self) -> None:
        await offload(self._boto.close)

    async def check(self) -> None:
        """That the bucket is there and may be listed."""
        with translated(f"HEAD of the bucket {self._bucket}"):
            await ask_remote(self._boto.head_bucket, Bucket=self._bucket)

    async def begin(self, key: str) -> str:
        """Begin a multipart upload; gives its id."""
        points.reach("bucket.begin")
        with translated(f"begin a multipart upload of {key}"):
            answer = await offload(
                self._boto.create_multipart_upload, Bucket=self._bucket, Key=self._prefix + key
            )
        points.reach("bucket.begin_answered")
        return answer["UploadId"]

    async def complete(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Join the parts into the object, in the order of their numbers. Done twice, it is done."""
        points.reach("bucket.complete")
        try:
            await offload(
                self._boto.complete_multipart_upload,
                Bucket=self._bucket,
                Key=self._prefix + key,
                UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": p.number, "ETag": p.etag} for p in parts]},
            )
        except ClientError as error:
            if _code(error) == "NoSuchUpload" and await self._exists(key):
                return  # an earlier try was heard; its answer was not
            raise refused(f"complete {key}", _status(error), _code(error)) from error
        except BotoCoreError as error:
            raise StoreBroken(
                f"the bucket did not answer to complete {key}: {type(error).__name__}"
            ) from error
        points.reach("bucket.complete_answered")

    async def _exists(self, key: str) -> bool:
        try:
            await ask_remote(self._boto.head_object, Bucket=self._bucket, Key=self._prefix + key)
        except ClientError:
            return False
        return True

    async def abort(self, key: str, upload: str) -> None:
        """Drop a multipart upload and its parts, if it is there."""
        points.reach("bucket.abort")
        try:
            await offload(
                self._boto.abort_multipart_upload,
                Bucket=self._bucket,
                Key=self._prefix + key,
                UploadId=upload,
            )
        except ClientError as error:
            if _code(error) not in ("NoSuchUpload", "404"):
                raise refused(f"abort {key}", _status(error), _code(error)) from error
        except BotoCoreError as error:
            raise StoreBroken(f"the bucket did not answer to abort {key}: {type(error).__name__}") from error

    async def pending(self) -> AsyncIterator[PendingUpload]:
        """Every multipart upload below our prefix that has not ended."""
        key_marker, upload_marker = "", ""
        while True:
            with translated("list multipart uploads"):
                page = await ask_remote(
                    self._boto.list_multipart_uploads,
                    Bucket=self._bucket,
                    Prefix=self._prefix,
                    KeyMarker=key_marker,
                    UploadIdMarker=upload_marker,
                )
            for upload in page.get("Uploads", ()):
                key = upload["Key"]
                if key.startswith(self._prefix):
                    begun = _seconds(upload.get("Initiated"))
                    yield PendingUpload(key.removeprefix(self._prefix), upload["UploadId"], begun)
            if not page.get("IsTruncated"):
                return
            key_marker, upload_marker = page["NextKeyMarker"], page["NextUploadIdMarker"]

    async def list(
        self, prefix: str, delimiter: str = "", start_after: str = ""
    ) -> AsyncIterator[ObjectPage]:
        """The listing below `prefix`, a page (up to 1,000 keys) at a time."""
        token: str | None = None
        while True:
            page = await ask_remote(self._page, prefix, delimiter, start_after, token)
            yield page
            token = page.next
            if token is None:
                return

    def _page(self, prefix: str, delimiter: str, start_after: str, token: str | None) -> ObjectPage:
        request: ListObjectsV2RequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": self._prefix + prefix,
            "Delimiter": delimiter,
        }
        if token:
            request["ContinuationToken"] = token
        elif start_after:
            request["StartAfter"] = self._prefix + start_after
        with translated(f"list {prefix}"):
            answer = self._boto.list_objects_v2(**request)
        cut = len(self._prefix)
        listed = tuple(
            ListedObject(found["Key"][cut:], found["Size"], _seconds(found.get("LastModified")))
            for found in answer.get("Contents", ())
        )
        prefixes = tuple(found["Prefix"][cut:] for found in answer.get("CommonPrefixes", ()))
        more = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
        return ObjectPage(listed, prefixes, more)

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget those that are there, 1,000 a request; one by one where the bucket takes no batches."""
        for start in range(0, len(keys), _BATCH):
            points.reach("bucket.delete_batch")
            await offload(self._delete, keys[start : start + _BATCH])

    def delete_singly(self) -> None:
        """From now on: batch deletes are known to do nothing here."""
        self._singly = True

    def _delete(self, keys: Sequence[str]) -> None:
        if not self._singly:
            try:
                return self._delete_batch(keys)
            except ClientError as error:
                if not _lacks_batches(error):
                    raise refused("a batch delete", _status(error), _code(error)) from error
        for key in keys:
            self._delete_one(key)
        self._singly = True  # the same refusal of one by one would have been raised
        return None

    def _delete_one(self, key: str) -> None:
        try:
            with translated(f"DELETE {key}"):
                self._boto.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        except StoreBroken as fault:
            cause = fault.__cause__
            if not isinstance(cause, ClientError) or _code(cause) not in ("NoSuchKey", "404"):
                raise

    def _delete_batch(self, keys: Sequence[str]) -> None:
        try:
            answer = self._boto.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": True},
            )
        except BotoCoreError as error:
            raise StoreBroken(
                f"the bucket did not answer to a batch delete: {type(error).__name__}"
            ) from error
        failed = [e for e in answer.get("Errors", ()) if e.get("Code") != "NoSuchKey"]
        if failed:
            raise StoreBroken(
                f"the bucket did not delete {len(failed)} of {len(keys)}: {failed[0].get('Code')}"
            )

    async def expire_incomplete(self, days: int) -> bool:
        """Have the bucket itself drop multipart uploads older than `days`; other rules of it stay.

        False where the bucket knows no such rules, or does not let us set them.
        """
        try:
            return await offload(self._expire_incomplete, days)
        except (ClientError, BotoCoreError):
            return False

    def _expire_incomplete(self, days: int) -> bool:
        ours: LifecycleRuleTypeDef = {
            "ID": f"{_LIFECYCLE}-{self._prefix.strip('/') or 'all'}"[:255],
            "Status": "Enabled",
            "Filter": {"Prefix": self._prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
        }
        try:
            rules = list(self._boto.get_bucket_lifecycle_configuration(Bucket=self._bucket).get("Rules", ()))
        except ClientError as error:
            if _code(error) != "NoSuchLifecycleConfiguration":
                return False
            rules = []
        if any(_same(rule, ours) for rule in rules):
            return True
        kept = [rule for rule in rules if rule.get("ID") != ours["ID"]]
        self._boto.put_bucket_lifecycle_configuration(
            Bucket=self._bucket, LifecycleConfiguration={"Rules": [*kept, ours]}
        )
        return True


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
        read_timeout=60,
        max_pool_connections=32,
    )


def proxy_of(url: str) -> str | None:
    """The proxy by which boto3 reaches `url`, by the usual variables."""
    return get_environ_proxies(url).get(url.partition(":")[0])


def _base(boto: Boto, settings: S3Settings) -> str:
    """The URL that a key is appended to, as boto3 itself would choose it."""
    probe = boto.generate_presigned_url(
        "get_object", Params={"Bucket": settings.bucket, "Key": "k"}, ExpiresIn=1
    )
    return probe.partition("?")[0].removesuffix("/k")


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


def _lacks_batches(error: ClientError) -> bool:
    """Whether the refusal is one of the request as such, after which single deletes may well do."""
    return _status(error) in (400, 403, 404, 405, 411, 415, 501) and _code(error) != "NoSuchBucket"


def _same(rule: object, ours: LifecycleRuleTypeDef) -> bool:
    return isinstance(rule, dict) and all(
        rule.get(name) == value for name, value in ours.items() if name != "Filter"
    )


def _seconds(moment: datetime.datetime | None) -> float:
    return moment.timestamp() if moment is not None else 0.0


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
