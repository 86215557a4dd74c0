"""Exports a trained VAE to two ONNX graphs, and checks that they compute what torch computes.

The room may import `fit` and everything below it. Begin with `graphs`.
"""
