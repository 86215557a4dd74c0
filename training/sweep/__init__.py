"""Trains several settings and compares them by the validation bound; optuna proposes the settings.

May import every room of `training` except `cli` and `check`. Begin reading in `sweep`.
"""
