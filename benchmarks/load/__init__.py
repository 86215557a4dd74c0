"""Sends requests: closed loops by `wrk`, fixed arrival rates, and misbehaving clients.

May import `servers` and `measure`. Begin reading in `workloads`, then `wrk`. The open loop is kept
by hand: Debian's `wrk` and `hey` wait for a response before a connection sends its next request,
and Debian packages neither wrk2 nor vegeta nor k6.
"""
