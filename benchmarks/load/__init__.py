"""Sends requests: closed loops by `wrk`, fixed arrival rates, and misbehaving clients.

May import `servers`, `measure`, `report` and the modules at the top. Begin reading in `workloads`,
then `wrk`. The open loop is kept by hand: Debian's `wrk` and `hey` send a request only after a
response, and Debian has no package of wrk2, vegeta or k6.
"""
