"""HTTP routes: each parses a request, calls one verb of the service and formats its answer."""
