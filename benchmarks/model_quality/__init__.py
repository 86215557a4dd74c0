"""Measures the quality of models: bounds on log p(x), outlier detection, and published results.

May import `app`, `model`, `training`, `measure` and `report`. Begin reading in `models`.
"""
