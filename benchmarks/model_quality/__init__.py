"""Measures what models are worth: bounds on log p(x), outlier detection, models of other libraries.

May import `model`, `training` and `measure`. Begin reading in `models`.
"""
