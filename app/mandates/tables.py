"""Tables of requests, their steps and mandates."""
