"""Who can be reached: applications, API keys, channels, device registrations and audiences.

Imports Django and the standard library; nothing of `messaging` or `console`.
"""
