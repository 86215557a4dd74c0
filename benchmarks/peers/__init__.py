"""The other model servers that this one is compared with, each in an environment of its own."""
