"""The commands of `vaetrain`: their options, and what they print.

It may import every other room of `training`, and imports those with torch only when a command runs.
Begin with `options.py`, which lists the commands; `stages.py` lists the stages of a run.
"""
