"""Encoders and decoders in torch, and the VAE that joins them with a likelihood and a prior.

Only training imports this room; it may import all of model. Begin with `vae`.
"""
