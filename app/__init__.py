"""Serving of VAE bundles over HTTP. Never imports torch or `training`."""
