"""The verbs without HTTP: rows of many callers run in batches through a bundle's graphs.

The room may import `errors`, `concurrency` and model without torch; only `loader` reads a bundle.
Begin with `service`, the verbs, then `engine` and `batcher`.
"""
