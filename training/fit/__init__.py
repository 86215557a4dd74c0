"""Fits a VAE: the training loop, its state, checkpoints, logs and the checks of its health.

It may import `data`, `config`, `workdir` and the modules at the top of `training`, and no room
above it. Begin with `trainer.py`, which is the algorithm, then read `fit.py`, which runs it.
"""
