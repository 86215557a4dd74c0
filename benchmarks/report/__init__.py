"""Results as files, text, tables and charts, and the targets that they are compared with.

May import every other room of `benchmarks`. Begin reading in `result`, then `document`.
"""
