"""The VAE and the bundle that carries a trained one: what training and serving share."""
