"""The commands of `vaeserve` beside serving: a client, against a service or in this process.

The room may import `factory`, `settings`, `http` and `vaeserve`, but not `server`. Begin with
`main`, then `parser`, the table of commands and options.
"""
