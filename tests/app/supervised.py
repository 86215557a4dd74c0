"""Workers that only tell who they are: `python -m tests.app.supervised` under test_supervisor.py.

Each prints its number and process as a line of JSON, and then does what the arguments say. They
are the number of workers, their behaviour, and the supervisor's margin when it stops.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from app.http.logs import log_as_json
from app.server import supervisor
from app.server.worker import LISTENING, READY


def main(count: int, behaviour: str) -> None:
    log_as_json("info")
    supervisor.FIRST_PAUSE = 0.01
    supervisor.STOP_MARGIN = float(sys.argv[3])
    subprocess.Popen(["true"])  # stands for a child that was inherited
    worker = supervisor.Supervisor(count, "http://127.0.0.1:1", grace=0).run()
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: received.append(number))
    _say(number=worker.number, pid=os.getpid(), replaces=worker.replaces)
    if behaviour == "fails":
        sys.exit(7)
    worker.announce(LISTENING)
    worker.announce(READY)
    _wait(received, signal.SIGTERM)
    _say(received=signal.SIGTERM.name)
    if behaviour == "stays":
        _wait(received, signal.SIGINT)
    worker.remove_leftovers()


def _wait(received: list[int], number: int) -> None:
    while number not in received:
        time.sleep(0.01)


def _say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
