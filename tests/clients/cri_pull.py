#!/usr/bin/env python3
"""cri_pull.py SOCKET IMAGE [USER PASSWORD]: asks containerd's CRI image service to pull, as a
kubelet does (runtime.v1.ImageService/PullImage), and prints the image id.

Needs only grpcio: the two messages are so small that they are written by hand.
"""

import sys

import grpc

sock, image, *login = sys.argv[1:]


def field(n, data):
    out, size = bytes([n << 3 | 2]), len(data)
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return out + bytes([size]) + data


auth = b"".join(field(n, each.encode()) for n, each in enumerate(login, 1))
asked = field(1, field(1, image.encode())) + (field(2, auth) if auth else b"")

with grpc.insecure_channel("unix:" + sock) as ch:
    call = ch.unary_unary(
        "/runtime.v1.ImageService/PullImage",
        request_serializer=lambda b: b,
        response_deserializer=lambda b: b,
    )
    try:
        answer = call(asked, timeout=900)
        print(answer[2:].decode(errors="replace"))
    except grpc.RpcError as e:
        sys.exit(f"{e.code().name}: {e.details()}")
