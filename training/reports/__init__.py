"""Shows finished and unfinished runs: plots, a page for one run, and comparisons of several.

May import every room of `training` except `cli`, `check` and `sweep`. Begin reading in
`run_record`, which reads what all reports show.
"""
