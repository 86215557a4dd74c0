"""diffusers' Remote VAE protocol: latents and pixels as bare tensors, described by the query.

It may import the rooms below `app.protocols`. Begin with `routes`: `query` parses the parameters,
`tensors` reads the body, `verbs` runs the model, and `responses` formats the answer.
"""
