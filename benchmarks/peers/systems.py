"""The peers, set up as their documentation says for two cores, and then by what was fastest.

Everywhere: as many workers as cores, one onnxruntime thread in each with spinning off, no access
log, no metrics. The figures in the comments are of short runs at 64 connections with the heavy
bundle (`benchmarks/bundles.py`), CPU per request of `/sample` n=1.
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
    """LitServe, batching.

    Two API servers, as one is full before both workers are. Without batching a request costs a
    quarter more; a longer timeout than 2 ms, or batches below 64, won nothing.
    """
    command = [program("litserve"), "-m", "benchmarks.peers.litserve_server"]
    command += ["--bundle", str(bundle.folder), "--workers", "2", "--api-servers", "2"]
    command += ["--max-batch-size", "64", "--batch-timeout", "0.002"]
    return System(
        "LitServe",
        "2 workers, 2 API servers, fast_queue, max_batch_size 64, batch_timeout 2 ms; one route, "
        "JSON with the picture in base64 or a form, answers in PNG and .npy",
        lambda port: [*command, "--port", f"{port}"],
        ready_path="/health",
        adapt=to_litserve,
    )


def bentoml(bundle: Bundle) -> System:
    """BentoML, not batching.

    `async` APIs, which run on the event loop: with `def` ones in a thread a request costs an
    eighth more. Through a batchable API it costs twice as much, and some fail.
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
    """MLServer, batching.

    With two parallel workers; without batching a request costs twice as much. In its one process
    it costs a quarter less, and one core is all it has: 632 requests/s instead of 739 and more.
    """
    command = [program("mlserver"), "-m", "benchmarks.peers.mlserver_start"]
    command += ["--mlserver", program("mlserver", "mlserver"), "--bundle", str(bundle.folder)]
    command += ["--workers", "2", "--max-batch-size", "64", "--max-batch-time", "0.002"]
    return System(
        "MLServer",
        "2 parallel workers, max_batch_size 64, max_batch_time 2 ms, a model for each verb, Open "
        "Inference Protocol in JSON with files in base64, no gzip, no metrics; no forms",
        lambda port: [*command, "--port", f"{port}"],
        ready_path="/v2/health/ready",
        adapt=to_mlserver,
        answer=from_mlserver,
        environment=_IMPORTABLE,
    )


def ray_serve(bundle: Bundle) -> System:
    """Ray Serve, not batching, behind the HAProxy that it brings.

    Through its own proxy a request costs six times as much. One thread for HAProxy, as two
    replicas fill both cores; as many ongoing requests as the bench has connections and more,
    since replicas refuse what is above.
    """
    command = [program("ray"), "-m", "benchmarks.peers.ray_server"]
    command += ["--bundle", str(bundle.folder), "--replicas", "2"]
    command += ["--max-ongoing-requests", "512"]
    return System(
        "Ray Serve",
        "2 replicas, FastAPI ingress with async routes, HAProxy with 1 thread, "
        "RAY_SERVE_THROUGHPUT_OPTIMIZED, max_ongoing_requests 512, no batching, no metrics, no "
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
