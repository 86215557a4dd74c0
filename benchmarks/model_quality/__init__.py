"""Measures the quality of models: bounds on log p(x), outlier detection, and published results.

May import `model`, `training` and `measure`. Begin reading in `models`.
"""
