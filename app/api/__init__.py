"""The HTTP API: one file for each verb, and the routes about models and health.

A verb is one value of `verb.Verb`. Routes, OpenAPI and `/models` derive from it, and tests compare
the tables of docs/api.md with it. The room may import `registry` and everything below it, but
neither `protocols` nor `server`. Begin with `verb`, then `verbs` (the list, and the way around each
verb) and `decode`, the shortest one.
"""
