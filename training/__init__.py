"""Offline training, evaluation and export of variational autoencoders."""
