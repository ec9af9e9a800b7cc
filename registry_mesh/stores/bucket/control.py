"""The bucket for bookkeeping: boto3 in threads. Multiparts, listing, batch delete, lifecycle, credentials."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores import points
from registry_mesh.stores.bucket.connect import BucketAccess, connect
from registry_mesh.stores.bucket.errors import refused, translated, why
from registry_mesh.stores.bucket.objects import ListedObject, ObjectPage, Part, PendingUpload
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.tasks.threads import ask_remote, offload

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        LifecycleRuleTypeDef,
        ListObjectsV2RequestTypeDef,
    )

_BATCH: Final = 1000
"""Keys that one DeleteObjects takes."""

_LIFECYCLE: Final = "registry-mesh-incomplete-uploads"


class S3Control:
    """Calls that are rare or intricate. Each runs in a thread; each may raise `StoreBroken` or `StoreFull`."""

    def __init__(self, access: BucketAccess, settings: S3Settings) -> None:
        self._boto = access.boto
        self._bucket = settings.bucket
        self._prefix = settings.prefix
        self.credentials = access.credentials
        self.region = access.region
        self.base = access.base
        self.ca = access.ca.path if access.ca else None
        """A file with authorities."""
        self._close = access.close
        self._singly = False  # whether it is known to have no batch deletes

    @classmethod
    async def open(cls, settings: S3Settings) -> S3Control:
        """A client by `settings`; asks the credentials chain, not the bucket."""
        return cls(await offload(connect, settings), settings)

    async def close(self) -> None:
        """Close boto3's connections."""
        await offload(self._close)

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
            raise StoreBroken(f"the bucket did not answer to complete {key}: {why(error)}") from error
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
            raise StoreBroken(f"the bucket did not answer to abort {key}: {why(error)}") from error

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
            raise StoreBroken(f"the bucket did not answer to a batch delete: {why(error)}") from error
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
