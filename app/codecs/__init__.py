"""Bytes ↔ arrays: image files, `.npy`, zip files, multipart bodies and latents.

The room may import `app.errors` and `model`, and every function in it is synchronous and safe in
any thread. Begin with `images`.

Three codecs are written by hand: PNG output (ISA-L takes half the time of zlib on small images, and
Pillow takes several times as long), multipart (one pass over a body that is already in memory), and
the container checks of image files, which refuse an image by its header before it is decoded.
"""
