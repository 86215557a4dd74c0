"""Measures the training loop beside a bare one, Lightning and pythae.

May import `model`, `training`, `load`, `measure`, `peers` and `report`. Begin reading in `cases`.
"""
