"""The Open Inference Protocol, version 2: everything that its routes need, without the routes."""
