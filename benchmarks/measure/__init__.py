"""Measures running servers: CPU, memory, start, latency, and whether their responses agree.

May import `load` and `servers`. Begin reading in `comparison`.
"""
