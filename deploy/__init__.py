"""Scripts that maintain the project; not part of the package."""
