"""Measures the training loop beside a bare one, Lightning and pythae.

May import `model`, `training`, `measure` and `report`. Begin reading in `cases`.
"""
