"""The HTTP API: one file for each verb, and the routes about models and health.

A verb is one value of `verb.Verb`, and routes, OpenAPI, `/models` and the tables of the documents
derive from it. The room may import `registry`, `inference`, `codecs` and `http`, and neither
`protocols` nor `server`. Begin with `verb`, then `verbs` (the list, and the way around each verb)
and `encode`, the shortest one.
"""
