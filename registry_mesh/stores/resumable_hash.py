"""SHA-2 whose state can be put aside and taken up by another process.

`hashlib` cannot: its objects do not pickle. libcrypto's SHA256_* and SHA512_* work on a plain struct that the
caller owns, which can be copied out and in. They are the same code as hashlib's and let go of the interpreter
lock as every ctypes call does. A state is only good for the same library on the same kind of machine, so it
carries a mark of both; what has another mark is refused, and the caller reads its bytes again. Where libcrypto is
not there, or does not agree with hashlib when this module is imported, states are never offered.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import sys
from dataclasses import dataclass
from typing import Any, Final, Protocol

from registry_mesh.oci.digest import Hasher, new_hasher

_LIBRARIES: Final = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so")
_ROOM: Final = 512  # a SHA512_CTX takes 216 bytes
_SIZES: Final = {"sha256": (b"SHA256", 112, 32), "sha512": (b"SHA512", 216, 64)}


class ResumableHasher(Hasher, Protocol):
    """A hasher that may offer its state."""

    def state(self) -> bytes | None:
        """What `resume` takes; None where it cannot be put aside."""
        ...


@dataclass(frozen=True)
class _HasherFunctions:
    """libcrypto's functions for one algorithm (Any: ctypes functions have no better type)."""

    init: Any
    update: Any
    final: Any
    context: int
    length: int


class _CryptoHasher:
    def __init__(self, functions: _HasherFunctions, mark: bytes) -> None:
        self._functions = functions
        self._mark = mark
        self._context = ctypes.create_string_buffer(_ROOM)
        functions.init(self._context)

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        if isinstance(data, bytes):
            self._functions.update(self._context, data, len(data))
            return
        view = memoryview(data)
        if view.readonly or not view.contiguous:
            self._functions.update(self._context, view.tobytes(), view.nbytes)
        elif view.nbytes:
            address = (ctypes.c_char * view.nbytes).from_buffer(view)
            self._functions.update(self._context, address, view.nbytes)

    def digest(self) -> bytes:
        context = ctypes.create_string_buffer(self._context.raw, _ROOM)  # hashing goes on afterwards
        out = ctypes.create_string_buffer(self._functions.length)
        self._functions.final(out, context)
        return out.raw

    def hexdigest(self) -> str:
        return self.digest().hex()

    def state(self) -> bytes | None:
        return self._mark + self._context.raw[: self._functions.context]

    def restore(self, state: bytes) -> bool:
        if not state.startswith(self._mark) or len(state) != len(self._mark) + self._functions.context:
            return False
        ctypes.memmove(self._context, state[len(self._mark) :], self._functions.context)
        return True


class _PlainHasher:
    """hashlib's: no state to offer."""

    def __init__(self, algorithm: str) -> None:
        inner = new_hasher(algorithm)
        self.update = inner.update
        self.digest = inner.digest
        self.hexdigest = inner.hexdigest

    def state(self) -> bytes | None:
        return None


def new(algorithm: str) -> ResumableHasher:
    """A fresh hasher; `DigestInvalid` for an algorithm we do not support."""
    functions = FUNCTIONS.get(algorithm)
    return _CryptoHasher(functions, _mark(algorithm)) if functions else _PlainHasher(algorithm)


def resume(algorithm: str, state: bytes) -> ResumableHasher | None:
    """The hasher whose `state` this is; None where it is not good here: read the bytes again."""
    functions = FUNCTIONS.get(algorithm)
    if functions is None:
        return None
    hasher = _CryptoHasher(functions, _mark(algorithm))
    return hasher if hasher.restore(state) else None


def _mark(algorithm: str) -> bytes:
    return f"{algorithm}/{_VERSION}/{platform.machine()}/{sys.byteorder}\n".encode()


def _load() -> tuple[str, dict[str, _HasherFunctions]]:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            version = library.OpenSSL_version_num
            version.restype = ctypes.c_ulong
            functions = {algorithm: _bind(library, algorithm) for algorithm in _SIZES}
        except (OSError, AttributeError):
            continue
        good = {each: bound for each, bound in functions.items() if _agrees(each, bound)}
        return f"{version():x}", good
    return "", {}


def _bind(library: ctypes.CDLL, algorithm: str) -> _HasherFunctions:
    prefix, context, length = _SIZES[algorithm]
    init, update, final = (
        getattr(library, f"{prefix.decode()}_{step}") for step in ("Init", "Update", "Final")
    )
    init.argtypes = [ctypes.c_void_p]
    update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return _HasherFunctions(init, update, final, context, length)


def _agrees(algorithm: str, functions: _HasherFunctions) -> bool:
    """Whether a hasher that is put aside and taken up in mid-block ends where hashlib does, and whether nothing is
    kept outside the bytes that we take for its state."""
    data = bytes(range(256)) * 3
    first = _CryptoHasher(functions, b"")
    first.update(data[:333])
    state = first.state()
    second = _CryptoHasher(functions, b"")
    if state is None or not second.restore(state) or any(first._context.raw[functions.context :]):
        return False
    second.update(memoryview(bytearray(data[333:])))
    return second.digest() == hashlib.new(algorithm, data).digest()


_VERSION, FUNCTIONS = _load()
