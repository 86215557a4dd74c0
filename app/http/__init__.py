"""What every request passes: access log, body limit, routing, deadline, headers and problems.

The room may import `app.errors` and `model`, and knows none of the verbs' options. Begin with
`problems`, which answers errors, then `access_log` and `body_limit`, the outer
middleware. The access log is written by hand, because `logging` takes as long for one line as
FastAPI takes to route a request; `VerbRoute` saves a FastAPI route's cost for each request.
"""
