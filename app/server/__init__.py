"""Processes and sockets: one serving process, or several supervised workers on one port.

It may import everything of `app` except the command line, and only `__main__` imports it. Begin
with `run`. Supervision and the hand-over of connections are written by hand: left to the kernel,
sixteen connections fall 5 to 11 or worse on two workers (docs/decisions/0001).
"""
