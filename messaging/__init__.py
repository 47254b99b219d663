"""What is sent and how it went: messages, occurrences, batches, deliveries, providers.

Imports `devices`; nothing of `console`.
"""
