"""Speak one push service each: build a request, parse an answer. No models, no ORM, no settings look-ups.

Everything comes in by constructor. Imports nothing of `messaging` except this package, and of `devices` only
`push_services` and `push_urls`.
"""
