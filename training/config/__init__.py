"""Reads the configuration of a run: presets, TOML files and `--set` options.

It may import `model` and the modules at the top of `training` below `workdir`, and no torch. Begin
with `run.py`, which holds all settings of a run.
"""
