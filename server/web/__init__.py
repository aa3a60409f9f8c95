"""The page: what operators look at in a browser. It only reads, and all of it from this API."""
