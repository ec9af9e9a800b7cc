"""Answers with a hot manifest: one write from memory."""

from __future__ import annotations

from registry_mesh.edge.hot.answering import Answering, is_same
from registry_mesh.edge.hot.callers import Caller
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.layouts import Given
from registry_mesh.edge.hot.recognise import KnownManifest


class ManifestAnswers(Answering):
    """See the module."""

    __slots__ = ()

    def send_manifest(
        self, path: FastPath, known: KnownManifest, caller: Caller | None, given: Given
    ) -> bool:
        """Answer with the manifest, or say that it is the one the client has. False where that is for the slow path to
        do: nothing was sent or counted then."""
        entry, now = known.entry, self._loop.time()
        right = known.right
        if not (
            now < right.until
            if caller is None
            else right is caller.right
            and now < path.until
            and now < caller.until
            and caller.generation == path.generation
        ) and not path.allows(caller, right, now):
            return False
        if now >= entry.same_until and not entry.renew(now):
            return False  # no longer fresh: the slow path asks, and keeps it anew
        if not self._is_clear and not self._clear():
            return False
        if path.client_limits is not None and path.client_limits.wait(self.client, now):
            return False  # too fast: the slow path says so
        entry.used = True
        id, condition = given
        if id:
            common, stamp = path.common_given, path.stamp_given + id.decode()
        else:
            number = next(path.ids)
            common, id, stamp = path.common, b"%x" % number, f"{path.stamp}{number:x}"
        caller_log = caller.log if caller is not None else ""
        if condition and is_same(condition, known.etag):
            self._write(b"".join((entry.same_front, common, id, entry.same_back)))
            path.log(f"{stamp}{self._client}{caller_log}{known.same_log}")
            self._used(path, known.same, 0, now)
            return True
        self._write(b"".join((entry.front, common, id, entry.back)))
        path.log(f"{stamp}{self._client}{caller_log}{known.log}")
        self._used(path, known.tally, entry.size, now)
        if path.pulled is not None and (counts := known.counts) is not None:
            who = self._peer if caller is None else caller.name or self._peer
            try:
                counts[who] += 1
            except KeyError:
                self._count(path, known, counts, who, 1)
        return True
