"""The loaded bundles: from repository roots on disk or elsewhere to versions that serve.

It may import `inference`, the errors and the bottom of `app`, and knows nothing of HTTP. Begin with
`registry`.
"""
