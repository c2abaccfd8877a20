#!/usr/bin/env python3
"""A web server of the lab that OpenTelemetry measures and that pushes its metrics by OTLP/HTTP.

server.py wsgi|asgi PORT    The path says what is answered and after how many milliseconds: /200/40, /500/0.
                            Where the metrics go, how often, as whom and by which conventions is in the environment
                            (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_RESOURCE_ATTRIBUTES, OTEL_SEMCONV_STABILITY_OPT_IN, ...).
"""
import sys
import time

from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))


def wanted(path):
    status, wait = path.strip("/").split("/")
    return int(status), int(wait) / 1000


def wsgi(port):
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    def application(environ, start):
        status, wait = wanted(environ["PATH_INFO"])
        time.sleep(wait)
        start(f"{status} X", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"ok\n"]

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    make_server("127.0.0.1", port, OpenTelemetryMiddleware(application), Server, Quiet).serve_forever()


def asgi(port):
    import asyncio

    import uvicorn
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    async def application(scope, receive, send):
        if scope["type"] != "http":
            return
        status, wait = wanted(scope["path"])
        await asyncio.sleep(wait)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"ok\n"})

    uvicorn.run(OpenTelemetryMiddleware(application), host="127.0.0.1", port=port, log_level="warning", lifespan="off")


{"wsgi": wsgi, "asgi": asgi}[sys.argv[1]](int(sys.argv[2]))
