"""The Open Inference Protocol, version 2, with Triton's binary data, statistics and repository.

It may import the rooms below `app.protocols`. Begin with `routes`: `requests` parses a body with
`tensors`, `infer` runs it, and `model_names` says which models a bundle becomes.
"""
