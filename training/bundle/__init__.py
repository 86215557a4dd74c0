"""Makes bundles: from a finished run, from another project's weights, or from an older bundle.

The room may import `evaluation`, `export` and everything below them. Begin with `bundle`, which
assembles the folder and its manifest; `model_card` writes the page about the model.
"""
