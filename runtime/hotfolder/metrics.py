"""Prometheus metrics of the status, on the loopback interface."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from base.command_line import needs_extra
from base.errors import WatchError
from base.text import cause_of
from runtime.hotfolder.status import Status

LOOPBACK = "127.0.0.1"


@contextmanager
def serving(status: Status, port: int) -> Iterator[int]:
    """Serve Prometheus on a port of this machine, and yield the port; 0 takes any free one.

    Raises WatchError if the port cannot be used, or prometheus_client is not installed.
    """
    with needs_extra("watch", "--metrics-port"):
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
        from prometheus_client.metrics_core import Metric
        from prometheus_client.registry import Collector

    class Figures(Collector):
        def collect(self) -> Iterable[Metric]:
            photos = CounterMetricFamily("gpen_edge_photos", "Photos finished.", labels=["outcome"])
            photos.add_metric(["done"], status.done - status.no_face)
            photos.add_metric(["no-face"], status.no_face)
            photos.add_metric(["failed"], sum(status.failures.values()))
            yield photos
            for name, about, label, counts in (
                ("gpen_edge_failures", "Photos that failed.", "cause", status.failures),
                (
                    "gpen_edge_retries",
                    "Failed attempts at photos that are tried again.",
                    "cause",
                    status.retries,
                ),
                ("gpen_edge_warnings", "Warnings about faces.", "code", status.warnings),
            ):
                family = CounterMetricFamily(name, about, labels=[label])
                for value, count in dict(counts).items():
                    family.add_metric([value], count)
                yield family
            backend = GaugeMetricFamily("gpen_edge_backend", "1 for the backend in use.", labels=["backend"])
            if status.backend:
                backend.add_metric([status.backend], 1)
            yield backend
            yield GaugeMetricFamily("gpen_edge_queue_length", "Photos waiting.", status.queue)
            working = GaugeMetricFamily("gpen_edge_state", "1 for the present state.", labels=["state"])
            working.add_metric([status.state], 1)
            yield working
            seconds = SummaryMetricFamily(
                "gpen_edge_stage_seconds", "Time spent in each stage.", labels=["stage"]
            )
            for stage, count in dict(status.stage_count).items():
                seconds.add_metric([stage], count, status.stage_seconds[stage])
            yield seconds

    registry = CollectorRegistry()
    registry.register(Figures())
    try:
        server, thread = start_http_server(port, addr=LOOPBACK, registry=registry)
    except (OSError, OverflowError) as error:
        raise WatchError(
            f"the port {port} of {LOOPBACK} cannot be used: {cause_of(error)}; give --metrics-port another"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
