"""Priors p(z) over latents: N(0, I) needs no code, and a mixture of Gaussians is learned.

`learned` is the only module with torch; serving imports `mixture` and `spec`. The room may import
the modules at the top of model. Begin with `spec`, what a manifest says of a prior.
"""
