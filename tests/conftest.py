"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a busy machine is not a defect of what is tested.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Nothing here may wait for a hub that is not reachable.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
