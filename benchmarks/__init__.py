"""Measures the service beside others, its models and its training; `python -m benchmarks` runs it.

May import everything of the project; nothing of the project imports it. Begin reading in `run`,
which calls the rooms in order: load, servers, measure, report.
"""
