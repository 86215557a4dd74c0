"""Starts MLServer on a folder of settings, the only configuration that it reads."""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
from pathlib import Path

VERBS = {"sample": "Sample", "reconstruct": "Reconstruct", "encode": "Encode"}


def main() -> None:
    """Writes the settings and replaces this process by MLServer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mlserver", required=True, help="the program")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, required=True)
    parser.add_argument("--max-batch-time", type=float, required=True, help="seconds")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    write_settings(folder, options)
    os.execv(options.mlserver, [options.mlserver, "start", str(folder)])  # noqa: S606


def write_settings(folder: Path, options: argparse.Namespace) -> None:
    """Writes `settings.json` of the server, and `model-settings.json` of each model."""
    server = {
        "host": "127.0.0.1",
        "http_port": options.port,
        "grpc_port": _free_port(),
        "metrics_endpoint": None,
        "metrics_dir": str(folder),
        "debug": False,
        "gzip_enabled": False,
        "parallel_workers": options.workers,
        "environments_dir": str(folder),
    }
    (folder / "settings.json").write_text(json.dumps(server))
    for name, model in VERBS.items():
        settings = {
            "name": name,
            "implementation": f"benchmarks.peers.mlserver_models.{model}",
            "max_batch_size": options.max_batch_size,
            "max_batch_time": options.max_batch_time,
            "parameters": {"uri": str(options.bundle.resolve())},
        }
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(settings))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
