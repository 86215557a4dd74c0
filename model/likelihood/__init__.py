"""Likelihoods p(x|z) and the bounds on log p(x) that follow from them, without torch.

The room may import `config`, `noise`, `pixels` and `prior` of model. Begin with `families`: each
family of likelihoods is one class there, and a new one touches that file and `model.config`.
"""
