"""Image files → the uint8 arrays that a model takes, the same in training and in serving.

The room may import `bundle` and the modules at the top of model. Begin with `reading` and
`fitting`; `containers` checks untrusted files before a decoder runs, and `plain_png` hands small
PNG files to Pillow's decoder directly, which saves about 5 % of the processor time of a small
`/reconstruct` request.
"""
