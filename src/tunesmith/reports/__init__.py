"""A run as one page for people: facts from the store in, HTML out. Nothing here is imported by the server."""
