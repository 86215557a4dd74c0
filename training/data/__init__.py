"""Turns image sources into decoded, split images, and into minibatches.

It may import `config`, `workdir` and the modules at the top of `training`. Begin with `dataset.py`,
which loads all splits of a run.
"""
