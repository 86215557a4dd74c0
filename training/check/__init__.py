"""`vaetrain check`: inspects images and measures a few steps before a run.

It may import `fit`, `data`, `reports` and the rooms below them. Begin with `check.py`.
"""
