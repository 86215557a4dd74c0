"""Tests of whole processes: the server, its documentation page, its image."""
