"""The servers that are measured: this service, naive ones, and a route that does nothing.

May import `load.workloads`, `measure.descendants` and the model. Begin reading in `ours`.
"""
