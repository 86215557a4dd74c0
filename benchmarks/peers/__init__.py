"""The other model servers of the comparison, each in its own Python environment.

May import `servers.ours`, `servers.baseline` and `load.workloads`; the modules that run inside a
peer's environment import `servers.baseline` alone. Begin reading in `systems`.
"""
