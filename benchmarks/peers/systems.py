"""The peers, set up as their documentation says for two cores, and then by what was fastest.

Everywhere: as many workers as cores, one onnxruntime thread in each with spinning off, no access
log, no metrics. Figures are of short runs of `/sample` n=1 at 64 connections with the heavy bundle
(`benchmarks/bundles.py`), made to choose between settings on a machine that did other things too:
those of different peers are not to be compared with each other.
"""

from __future__ import annotations

from benchmarks.peers.environments import program
from benchmarks.peers.translations import from_mlserver, to_litserve, to_mlserver
from benchmarks.servers import PROJECT, System, forms_apart
from model.bundle import Bundle

_IMPORTABLE = {"PYTHONPATH": str(PROJECT)}


def systems(bundle: Bundle) -> list[System]:
    """All of them.

    Raises:
        EnvironmentMissingError: one is not installed.
    """
    return [litserve(bundle), bentoml(bundle), mlserver(bundle), ray_serve(bundle)]


def litserve(bundle: Bundle) -> System:
    """LitServe, batching: 507 requests/s, at 3.9 ms of CPU a request.

    Two API servers, as one is full before both workers are (375), and two workers rather than one
    (405). Batches of up to 64 (468), which leave a worker without work, and longer timeouts won
    nothing; without batching a request cost a quarter more.
    """
    command = [program("litserve"), "-m", "benchmarks.peers.litserve_server"]
    command += ["--bundle", str(bundle.folder), "--workers", "2", "--api-servers", "2"]
    command += ["--max-batch-size", "16", "--batch-timeout", "0.002"]
    return System(
        "LitServe",
        "2 workers, 2 API servers, fast_queue, max_batch_size 16, batch_timeout 2 ms; one route, "
        "JSON with the picture in base64 or a form, answers in PNG and .npy",
        lambda port: [*command, "--port", f"{port}"],
        ready_path="/health",
        adapt=to_litserve,
    )


def bentoml(bundle: Bundle) -> System:
    """BentoML, not batching: 840 to 890 requests/s on a quieter machine, at 2.3 ms of CPU.

    `async` APIs, which run on the event loop: with `def` ones in a thread a request costs an
    eighth more. Through a batchable API it costs twice as much, and some fail. Without uvloop all
    connections go to one of the workers (220).
    """
    command = [program("bentoml", "bentoml"), "serve", "benchmarks.peers.bentoml_service:Vae"]
    command += ["--host", "127.0.0.1", "--working-dir", str(PROJECT)]
    command += ["--arg", f"bundle={bundle.folder.resolve()}", "--arg", "workers=2"]
    return System(
        "BentoML",
        "2 workers, uvloop, httptools, async APIs, raw bodies and Starlette responses, no "
        "batching, no metrics, no access log",
        lambda port: [*command, "--port", f"{port}"],
        adapt=forms_apart,
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    )


def mlserver(bundle: Bundle) -> System:
    """MLServer, batching: 470 requests/s and more, at 2.8 ms of CPU a request.

    Batches of 16, so that neither of the two parallel workers is left without: with 64 they had
    half a core less to do. Gathered for up to 10 ms, which a lone caller waits, and at 64
    connections nobody; below 3 ms batches stay small and a request costs a tenth more. Without
    batching it costs twice as much, and without parallel workers there is one core only.
    """
    command = [program("mlserver"), "-m", "benchmarks.peers.mlserver_start"]
    command += ["--mlserver", program("mlserver", "mlserver"), "--bundle", str(bundle.folder)]
    command += ["--workers", "2", "--max-batch-size", "16", "--max-batch-time", "0.01"]
    return System(
        "MLServer",
        "2 parallel workers, max_batch_size 16, max_batch_time 10 ms, a model for each verb, Open "
        "Inference Protocol in JSON with files in base64, no gzip, no metrics; no forms",
        lambda port: [*command, "--port", f"{port}"],
        ready_path="/v2/health/ready",
        adapt=to_mlserver,
        answer=from_mlserver,
        environment=_IMPORTABLE,
    )


def ray_serve(bundle: Bundle) -> System:
    """Ray Serve, not batching: 450 to 500 requests/s, at 3.9 ms of CPU a request.

    Behind the HAProxy that it brings: through its own proxy it was 53. One thread for HAProxy, as
    two replicas fill both cores. With more ongoing requests than 32 in a replica none is answered
    sooner, and those whose callers have left are worked off all the same.
    """
    command = [program("ray"), "-m", "benchmarks.peers.ray_server"]
    command += ["--bundle", str(bundle.folder), "--replicas", "2"]
    command += ["--max-ongoing-requests", "32"]
    return System(
        "Ray Serve",
        "2 replicas, FastAPI ingress with async routes, HAProxy with 1 thread, "
        "RAY_SERVE_THROUGHPUT_OPTIMIZED, max_ongoing_requests 32, no batching, no metrics, no "
        "access log, no dashboard",
        lambda port: [*command, "--port", f"{port}"],
        adapt=forms_apart,
        environment={
            **_IMPORTABLE,
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
        },
    )
