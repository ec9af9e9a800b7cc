#!/usr/bin/env python3
"""wirelog: an HTTP/1.1 pass-through that stands between two tiers, or between a client and a site, writes every
request down, counts bytes and, on demand, misbehaves. Standard library only, so that it runs as a plain script.

    wirelog.py --listen 127.0.0.1:5100 --upstream http://127.0.0.1:5000 \
               --log lan.jsonl [--rules rules.json] [--tls cert.pem key.pem]

Each request becomes one JSON line: t (seconds since start), dur, conn (which
TCP connection), inflight (requests open at its start), method, target,
headers, status, resp (some response headers), sent (body bytes to the
client), fault (the rule that struck, if any), gone (client hung up before
the last of them). It is written before the last of the answer leaves: who has
the answer finds the line.
`wirelog.py --sum FILE` adds a log up.

rules.json is a list, re-read when it changes; the first rule that matches
"METHOD target" and still has strikes left applies:
    {"match": "GET .*/blobs/", "times": 1, "skip": 0, "do": "truncate", "at": 1000000}
do: status (code, body, headers) | truncate (at: cut the connection after so
many body bytes) | reset (no answer at all) | hang (secs, then close) | delay
(secs, then serve) | corrupt (at: flip one byte) | short (at: end the body
early and honestly, with a matching Content-Length) | norange (answer 200 with
the whole body) | onerange (206 with the first range only) | redirect (to:
"same" = 307 to the same path with ?hop=1, or an URL prefix) | bearer (401
with a challenge unless a token is carried; realm) | drip (rate: bytes/s) |
strip (names: drop these response headers) | unlength (chunked, no length)
A request that carries ?hop=1 is never matched.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import sys
import threading
import time
import urllib.parse

HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection", "trailer"}
KEEP = {
    "content-type",
    "content-length",
    "content-range",
    "docker-content-digest",
    "location",
    "etag",
    "www-authenticate",
    "retry-after",
    "accept-ranges",
    "cache-control",
    "age",
    "cache-status",
    "warning",
}
T0 = time.monotonic()


class Rules:
    def __init__(self, path):
        self.path, self.stamp, self.rules, self.lock = path, None, [], threading.Lock()

    def pick(self, line):
        if not self.path:
            return None
        with self.lock:
            try:
                with open(self.path) as source:
                    st = os.fstat(source.fileno())
                    stamp = (st.st_mtime_ns, st.st_ino)
                    if stamp != self.stamp:
                        self.rules = json.load(source)
                        self.stamp = stamp
            except (OSError, ValueError):
                return None
            if "hop=1" in line:
                return None
            for r in self.rules:
                if re.search(r["match"], line):
                    if r.get("skip", 0) > 0:
                        r["skip"] -= 1
                        continue
                    if r.get("times", 1 << 60) <= 0:
                        continue
                    r["times"] = r.get("times", 1 << 60) - 1
                    return r
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.server.lock:
            self.server.conns += 1
            self.conn_no = self.server.conns
        self.up = None

    def log_message(self, *a):
        pass

    def handle_one_request(self):
        # TLS spoken to a plain port: say so at once, as Go and aiohttp servers do
        # (containerd 2 then comes back in plain HTTP).
        if not isinstance(self.connection, ssl.SSLSocket) and self.rfile.peek(1)[:1] == b"\x16":
            self.connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def finish(self):
        if self.up:
            self.up.close()
        with contextlib.suppress(OSError):
            super().finish()

    def upstream(self):
        u = self.server.upstream
        cls = http.client.HTTPSConnection if u.scheme == "https" else http.client.HTTPConnection
        kw = {"context": ssl._create_unverified_context()} if u.scheme == "https" else {}
        return cls(u.hostname, u.port or (443 if u.scheme == "https" else 80), timeout=600, **kw)

    def flat(self):
        """Headers as a dict; a repeated one (Go clients repeat Accept) as a list."""
        out = {}
        for k in self.headers:
            v = self.headers.get_all(k)
            out[k] = v[0] if len(v) == 1 else v
        return out

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = []
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                if n == 0:
                    self.rfile.readline()
                    return b"".join(out)
                out.append(self.rfile.read(n))
                self.rfile.readline()
        n = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(n) if n else None

    def serve(self):
        srv = self.server
        with srv.lock:
            srv.inflight += 1
            rec = {
                "t": round(time.monotonic() - T0, 4),
                "conn": self.conn_no,
                "inflight": srv.inflight,
                "method": self.command,
                "target": self.path,
                "headers": self.flat(),
                "status": None,
                "sent": 0,
            }
        try:
            self.answer(rec)
        except (ConnectionError, ssl.SSLError, TimeoutError, http.client.HTTPException) as e:
            rec["gone"] = type(e).__name__
            self.close_connection = True
        finally:
            self.note(rec)

    def note(self, rec, last=0):
        """Write the request down, once: before the last of its answer leaves, of so many bytes."""
        srv = self.server
        with srv.lock:
            if "dur" not in rec:
                srv.inflight -= 1
                rec["dur"] = round(time.monotonic() - T0 - rec["t"], 4)
                srv.log.write(json.dumps({**rec, "sent": rec["sent"] + last}) + "\n")
                srv.log.flush()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve

    def cut(self, rec):
        self.note(rec)
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def plain(self, rec, code, body=b"", headers=None):
        rec["status"] = code
        self.note(rec, len(body) if self.command != "HEAD" else 0)
        self.send_response_only(code)
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        if code not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self, rec):
        data = self.body()
        rule = self.server.rules.pick(self.command + " " + self.path)
        do = rule["do"] if rule else None
        if do:
            rec["fault"] = do
        if do == "status":
            return self.plain(rec, rule["code"], rule.get("body", "").encode(), rule.get("headers"))
        if do == "reset":
            return self.cut(rec)
        if do == "hang":
            time.sleep(rule.get("secs", 60))
            return self.cut(rec)
        if do == "delay":
            time.sleep(rule.get("secs", 1))
        if do == "bearer" and not self.headers.get("Authorization", "").startswith("Bearer "):
            scope = rule.get(
                "scope",
                "repository:"
                + self.path.split("/v2/")[-1].split("/manifests")[0].split("/blobs")[0]
                + ":pull",
            )
            ch = 'Bearer realm="{}",service="wirelog",scope="{}"'.format(rule["realm"], scope)
            return self.plain(
                rec,
                401,
                b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
                {"WWW-Authenticate": ch, "Content-Type": "application/json"},
            )
        if do == "redirect":
            sep = "&" if "?" in self.path else "?"
            to = rule.get("to", "same")
            loc = ("" if to == "same" else to) + self.path + sep + "hop=1"
            return self.plain(rec, rule.get("code", 307), b"", {"Location": loc})
        if self.path.startswith("/wirelog-token"):
            return self.plain(
                rec,
                200,
                b'{"token":"wirelog-test-token","access_token":"wirelog-test-token","expires_in":300}',
                {"Content-Type": "application/json"},
            )

        hdrs = [(k, v) for k, v in self.headers.items() if k.lower() not in HOP]
        if do == "norange":
            hdrs = [(k, v) for k, v in hdrs if k.lower() != "range"]
        if do == "onerange":
            hdrs = [(k, v.split(",")[0] if k.lower() == "range" else v) for k, v in hdrs]
        if data is not None and not any(k.lower() == "content-length" for k, _ in hdrs):
            hdrs.append(("Content-Length", str(len(data))))
        path = re.sub(r"[?&]hop=1", "", self.path)
        for again in (True, False):
            try:
                self.up = self.up or self.upstream()
                self.up.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for k, v in hdrs:
                    self.up.putheader(k, v)
                self.up.endheaders(data)
                resp = self.up.getresponse()
                break
            except (http.client.HTTPException, OSError):
                self.up = None
                if not again:
                    return self.plain(rec, 502, b"wirelog: upstream gone\n")
        self.relay(rec, rule, do, resp)
        return None

    def relay(self, rec, rule, do, resp):
        rec["status"] = resp.status
        rec["resp"] = {k.lower(): v for k, v in resp.getheaders() if k.lower() in KEEP}
        drop = {n.lower() for n in rule.get("names", [])} if do == "strip" else set()
        length = resp.getheader("Content-Length")
        if do == "short" and length is not None:
            length = str(min(int(length), rule["at"]))
        if do == "unlength" and self.command != "HEAD":
            length = None
        self.send_response_only(resp.status, resp.reason)
        for k, v in resp.getheaders():
            if k.lower() not in HOP and k.lower() != "content-length" and k.lower() not in drop:
                self.send_header(k, v)
        bodyless = self.command == "HEAD" or resp.status in (204, 304)
        if length is not None and "content-length" not in drop:
            self.send_header("Content-Length", length)
        elif not bodyless:
            self.send_header("Transfer-Encoding", "chunked")
        chunked = length is None or "content-length" in drop
        left = int(length) if length is not None else None
        if bodyless or (left == 0 and not chunked):
            self.note(rec)
        self.end_headers()
        if bodyless:
            resp.read()
            return None
        rate = rule.get("rate") if do == "drip" else None
        while True:
            buf = resp.read1(65536 if not rate else max(1, min(65536, rate // 20)))
            if not buf:
                break
            if left is not None:
                buf = buf[:left]
                left -= len(buf)
                if not buf:
                    break
            if do == "corrupt" and rec["sent"] <= rule.get("at", 0) < rec["sent"] + len(buf):
                i = rule.get("at", 0) - rec["sent"]
                buf = buf[:i] + bytes([buf[i] ^ 0xFF]) + buf[i + 1 :]
            if do == "truncate" and rec["sent"] + len(buf) > rule["at"]:
                self.wfile.write(buf[: rule["at"] - rec["sent"]])
                rec["sent"] = rule["at"]
                if self.up:
                    self.up.close()
                    self.up = None
                return self.cut(rec)
            if left == 0 and not chunked:
                self.note(rec, len(buf))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(buf), buf) if chunked else buf)
            rec["sent"] += len(buf)
            if rate:
                time.sleep(len(buf) / rate)
        resp.close()  # one that was read to its end may not know: the next request on it would be sent twice
        if left:  # the upstream broke off: so do we
            rec["gone"] = "upstream"
            self.up = None
            return self.cut(rec)
        if chunked:
            self.note(rec)
            self.wfile.write(b"0\r\n\r\n")
        if do == "short" and self.up:
            self.up.close()
            self.up = None
        return None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


def total(path):
    out = {"requests": 0, "bytes": 0, "connections": set(), "max_inflight": 0, "by": {}}
    for r in map(json.loads, pathlib.Path(path).read_text().splitlines()):
        out["requests"] += 1
        out["bytes"] += r["sent"]
        out["connections"].add(r["conn"])
        out["max_inflight"] = max(out["max_inflight"], r["inflight"])
        kind = (
            "blobs" if "/blobs/" in r["target"] else "manifests" if "/manifests/" in r["target"] else "other"
        )
        key = "{} {} {}".format(r["method"], kind, r["status"])
        n, b = out["by"].get(key, (0, 0))
        out["by"][key] = (n + 1, b + r["sent"])
    out["connections"] = len(out["connections"])
    return out


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--listen")
    ap.add_argument("--upstream")
    ap.add_argument("--log")
    ap.add_argument("--rules")
    ap.add_argument("--tls", nargs=2)
    ap.add_argument("--client-ca", help="with --tls: ask for a client certificate and check it")
    ap.add_argument("--sum")
    a = ap.parse_args()
    if a.sum:
        print(json.dumps(total(a.sum)))
        return
    host, port = a.listen.rsplit(":", 1)
    srv = Server((host, int(port)), Handler)
    if a.tls:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(*a.tls)
        if a.client_ca:
            ctx.verify_mode = ssl.CERT_REQUIRED
            ctx.load_verify_locations(a.client_ca)
        srv.socket = ctx.wrap_socket(srv.socket, server_side=True, do_handshake_on_connect=False)
    srv.upstream, srv.rules = urllib.parse.urlsplit(a.upstream), Rules(a.rules)
    srv.lock, srv.inflight, srv.conns = threading.Lock(), 0, 0
    with open(a.log, "a") as srv.log:
        print("port", srv.server_address[1], flush=True)  # port 0 becomes one that is free
        srv.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
