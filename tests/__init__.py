"""Tests, in the tree that they test."""
