"""Protocols of other projects: the Open Inference Protocol (`oip`) and diffusers' Remote VAE.

A protocol may import every room below it (`api`, `registry`, `inference`, `codecs`, `http`) and
not the other protocol. Begin with `oip.routes` or `remote_vae.routes`.
"""
