"""The commands of `vaeserve` beside serving: a client, against a service or in this process."""
