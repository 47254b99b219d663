"""Loopback FCM, APNs, WNS and Web Push that judge requests as strictly as the real ones and answer as they do.

For rehearsal, the demo and tests. Imports nothing of ours.
"""
