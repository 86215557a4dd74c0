"""Measures the service beside a naive one, and onnxruntime alone. `python -m benchmarks`."""
