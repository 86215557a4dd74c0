"""Measures running servers: CPU, memory, start, latency, and whether their responses agree.

May import `load`, `servers` and the service's codecs. Begin reading in `comparison`.
"""
