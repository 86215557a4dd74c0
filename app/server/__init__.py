"""Processes and sockets: one serving process, or several supervised workers on one port.

It may import everything of `app` except the command line; only `__main__` imports it. Begin with
`run`. Supervision and the hand-over of connections are written by hand: uvicorn's own workers leave
connections where the kernel puts them, and the kernel's hash leaves one of two workers with most.
"""
