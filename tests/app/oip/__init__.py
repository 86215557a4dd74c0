"""Tests of the inference protocol's modules."""
