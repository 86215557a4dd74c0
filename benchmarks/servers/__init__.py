"""The servers to measure: this service, naive ones, and a FastAPI route without any work.

May import `load.workloads`, `measure.processes`, `training` and the model. Begin reading in `ours`.
"""
