"""Bytes ↔ arrays: image files, `.npy`, zip files, multipart bodies and latents.

The room may import `app.errors`, `app.http` and `model`, and every function in it is synchronous
and safe in any thread. Begin with `formats`, the table of an answer's formats, then `images`.

Two codecs are written by hand: PNG output (ISA-L takes half the time of zlib on small images, and
Pillow takes several times as long) and multipart (one pass over a body that is already in memory).
"""
