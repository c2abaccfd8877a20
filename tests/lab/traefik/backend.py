#!/usr/bin/env python3
"""Small HTTP backends of the lab: one that names the tenant and fails on demand, one with the maintenance page.

backend.py tenants PORT FAILDIR   200 with the tenant's name (first label of Host); 503 while FAILDIR/<tenant> exists,
                                  or the status that file holds; a file `slow-<tenant>` holds seconds to wait first, a file
                                  `busy-<tenant>` seconds for which each request keeps the others waiting.
backend.py maintenance PORT       503 with Retry-After and a page that says so.
"""
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


one_at_a_time = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=()):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        tenant = (self.headers.get("Host") or "").split(".")[0]
        if mode == "maintenance":
            page = f"<!doctype html><title>Maintenance</title><h1>Maintenance</h1><p>{tenant} is being worked on and will be back.</p>\n"
            self.answer(503, page, [("Retry-After", "300"), ("X-Quarterdeck-Maintenance", tenant)])
            return
        fail = faults / tenant
        slow = faults / f"slow-{tenant}"
        if tenant and slow.is_file():
            time.sleep(float(slow.read_text() or 1))
        busy = faults / f"busy-{tenant}"
        if tenant and busy.is_file():
            with one_at_a_time:
                time.sleep(float(busy.read_text() or 1))
        if tenant and fail.is_file():
            status = int(fail.read_text().strip() or 503)
            self.answer(status, f"{tenant} fails with {status}\n")
        else:
            self.answer(200, f"{tenant} works\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, form, *args):
        pass


mode, port = sys.argv[1], int(sys.argv[2])
faults = Path(sys.argv[3]) if len(sys.argv) > 3 else Path("/nonexistent")
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
