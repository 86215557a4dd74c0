"""The peers, set up as their documentation says, with the settings that were fastest on two cores.

All have as many workers as cores, each with one onnxruntime thread without spinning, no access log
and no metrics. The figures come from short runs of `/sample` n=1 at 64 connections with the heavy
bundle (`benchmarks/bundles.py`) on a busy machine. They served to choose settings and do not
compare the peers with each other.
"""

from __future__ import annotations

from benchmarks.peers.environments import program
from benchmarks.peers.translations import from_mlserver, to_litserve, to_mlserver
from benchmarks.servers.ours import PROJECT, System, counted, forms_apart
from model.bundle.bundle import Bundle
from model.cores import available_cores

_IMPORTABLE = {"PYTHONPATH": str(PROJECT)}


def systems(bundle: Bundle) -> list[System]:
    """All peers.

    Raises:
        EnvironmentMissingError: a peer is not installed.
    """
    return [litserve(bundle), bentoml(bundle), mlserver(bundle), ray_serve(bundle)]


def litserve(bundle: Bundle) -> System:
    """LitServe, batching: 507 requests/s, at 3.9 ms of CPU a request.

    It has as many API servers as workers, because a single one is the bottleneck (375 requests/s),
    and one worker for each core (405 with one worker). Batches of up to 64 leave a worker idle
    (468), and longer timeouts do not help. Without batching a request costs a quarter more.
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
        command,
        ready_path="/health",
        adapt=to_litserve,
    )


def bentoml(bundle: Bundle) -> System:
    """BentoML, not batching: 840 to 890 requests/s on a quieter machine, at 2.3 ms of CPU.

    Its APIs are `async` and run on the event loop: `def` APIs run in a thread and cost an eighth
    more. A batchable API costs twice as much, and some requests fail. Without uvloop one worker
    gets all connections (220).
    """
    command = [program("bentoml", "bentoml"), "serve", "benchmarks.peers.bentoml_service:Vae"]
    command += ["--host", "127.0.0.1", "--working-dir", str(PROJECT)]
    cores = available_cores()
    command += ["--arg", f"bundle={bundle.folder.resolve()}", "--arg", f"workers={cores}"]
    return System(
        "BentoML",
        f"{counted(cores, 'worker')}, uvloop, httptools, async APIs, raw bodies and Starlette "
        "responses, no batching, no metrics, no access log",
        command,
        adapt=forms_apart,
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    )


def mlserver(bundle: Bundle) -> System:
    """MLServer, batching: 470 requests/s and more, at 2.8 ms of CPU a request.

    Batches of 16 keep both parallel workers busy: with 64 half a core was idle. A batch gathers for
    up to 10 ms, which delays a single caller but not 64 connections. Below 3 ms batches stay small
    and a request costs a tenth more. Without batching it costs twice as much, and without parallel
    workers only one core is used.
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
        command,
        ready_path="/v2/health/ready",
        adapt=to_mlserver,
        answer=from_mlserver,
        environment=_IMPORTABLE,
    )


def ray_serve(bundle: Bundle) -> System:
    """Ray Serve, not batching: 450 to 500 requests/s, at 3.9 ms of CPU a request.

    It runs behind the HAProxy that it includes (53 with its own proxy). HAProxy has one thread,
    because two replicas fill both cores. More than 32 ongoing requests in a replica do not speed
    anything up, and a replica completes those whose callers have left.
    """
    command = [program("ray"), "-m", "benchmarks.peers.ray_server"]
    cores = available_cores()
    # The proxy needs much less CPU than a replica, and shares its cores.
    proxy_threads = max(1, cores // 2)
    command += ["--bundle", str(bundle.folder), "--replicas", f"{cores}"]
    command += ["--max-ongoing-requests", "32"]
    return System(
        "Ray Serve",
        f"{counted(cores, 'replica')}, FastAPI ingress with async routes, HAProxy with "
        f"{counted(proxy_threads, 'thread')}, "
        "RAY_SERVE_THROUGHPUT_OPTIMIZED, max_ongoing_requests 32, no batching, no metrics, no "
        "access log, no dashboard",
        command,
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
