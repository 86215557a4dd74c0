"""Encoders and decoders in torch, and the VAE that joins them with a likelihood and a prior.

Training and benchmarks import this room, and `app` never does. It may import all of model. Begin
with `vae`.
"""
