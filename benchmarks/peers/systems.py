"""The peers, set up as their documentation says, and then by what was fastest on two cores.

Everywhere: as many workers as cores, one onnxruntime thread in each with spinning off, no access
log, no metrics. Figures are of short runs of `/sample` n=1 at 64 connections with the heavy bundle
(`benchmarks/bundles.py`), made to choose between settings on a machine that did other things too:
those of different peers are not to be compared with each other.
"""

from __future__ import annotations

from benchmarks.peers.environments import program
from benchmarks.peers.translations import from_mlserver, to_litserve, to_mlserver
from benchmarks.servers.ours import PROJECT, System, counted, forms_apart
from model.bundle.bundle import Bundle
from model.cores import available_cores

_IMPORTABLE = {"PYTHONPATH": str(PROJECT)}


def systems(bundle: Bundle) -> list[System]:
    """All of them.

    Raises:
        EnvironmentMissingError: one is not installed.
    """
    return [litserve(bundle), bentoml(bundle), mlserver(bundle), ray_serve(bundle)]


def litserve(bundle: Bundle) -> System:
    """LitServe, batching: 507 requests/s, at 3.9 ms of CPU a request.

    As many API servers as workers, as one is full before two workers are (375), and two workers
    rather than one (405). Batches of up to 64 (468), which leave a worker without work, and longer
    timeouts won nothing; without batching a request cost a quarter more.
    """
    command = [program("litserve"), "-m", "benchmarks.peers.litserve_server"]
    cores = available_cores()
    command += ["--bundle", str(bundle.folder), "--workers", f"{cores}"]
    command += ["--api-servers", f"{cores}"]
    command += ["--max-batch-size", "16", "--batch-timeout", "0.002"]
    return System(
        "LitServe",
        f"{counted(cores, 'worker')}, {counted(cores, 'API server')}, fast_queue, max_batch_size "
        "16, batch_timeout 2 ms; one route, JSON with the image in base64 or a form, answers in "
        "PNG and .npy",
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
    cores = available_cores()
    command += ["--arg", f"bundle={bundle.folder.resolve()}", "--arg", f"workers={cores}"]
    return System(
        "BentoML",
        f"{counted(cores, 'worker')}, uvloop, httptools, async APIs, raw bodies and Starlette "
        "responses, no batching, no metrics, no access log",
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
    cores = available_cores()
    command += ["--workers", f"{cores}", "--max-batch-size", "16", "--max-batch-time", "0.01"]
    return System(
        "MLServer",
        f"{counted(cores, 'parallel worker')}, max_batch_size 16, max_batch_time 10 ms, a model "
        "for each verb, Open Inference Protocol in JSON with files in base64, no gzip, no "
        "metrics; no forms",
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
    cores = available_cores()
    # It costs a request little beside a replica, and takes its time from one.
    proxy_threads = max(1, cores // 2)
    command += ["--bundle", str(bundle.folder), "--replicas", f"{cores}"]
    command += ["--max-ongoing-requests", "32"]
    return System(
        "Ray Serve",
        f"{counted(cores, 'replica')}, FastAPI ingress with async routes, HAProxy with "
        f"{counted(proxy_threads, 'thread')}, "
        "RAY_SERVE_THROUGHPUT_OPTIMIZED, max_ongoing_requests 32, no batching, no metrics, no "
        "access log, no dashboard",
        lambda port: [*command, "--port", f"{port}"],
        adapt=forms_apart,
        environment={
            **_IMPORTABLE,
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_NBTHREAD": f"{proxy_threads}",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
        },
    )
