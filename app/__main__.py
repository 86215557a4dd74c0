"""`python -m app`, also installed as `vaeserve`: settings → uvicorn."""

from __future__ import annotations

import gc
import signal
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp

from app.factory import create_app
from app.logs import log_as_json
from app.protocol import BoundedProtocol
from app.settings import Settings


def main() -> None:
    """Serves until told to stop. Flags are the settings, such as `--port 8001`."""
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        sys.exit(_sentences(error))
    log_as_json(settings.log_level)
    # uvicorn stops on the signal, then raises it again: a clean stop must not look like a crash.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    app = create_app(settings)
    # A full collection walks some 70,000 objects that stay for good, and answers wait meanwhile.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )


def _sentences(error: ValidationError) -> str:
    return "\n".join(
        f"VAE_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}, "
        f"got {item['input']!r}"
        for item in error.errors()
    )


if __name__ == "__main__":
    main()
