"""`python -m benchmarks.training`: our training loop beside others', and what pays in a step."""
