"""Measures the service beside other servers, its models and its training.

May import every package of the project, and none of them imports it. Begin reading in `run`, which
`python -m benchmarks` calls and which uses the rooms servers, load, measure and report.
"""
