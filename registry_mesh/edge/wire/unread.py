"""What the kernel keeps for a client."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios


def unread(sock: socket.socket) -> int:
    """Bytes of a TCP connection that the other end has not acknowledged, sent or not (tcp(7), SIOCOUTQ); 0 of one that
    is closed. What is taken from a file may stay there for minutes: a client's kernel acknowledges what it has room
    for, in lumps of up to a sixteenth of its buffer, and ours says that a socket is writable when a third of its
    own is free."""
    if sock.fileno() < 0:
        return 0
    kept: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return kept
