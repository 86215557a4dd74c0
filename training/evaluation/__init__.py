"""Measures the exported graphs: bounds, active units, squared error and the quality of samples.

The room may import `export`, `fit` and everything below them. Begin with `evaluate`; `metrics`
turns its arrays into the metrics of the manifest.
"""
