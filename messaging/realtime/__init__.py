"""Pub/sub to live subscribers: socket.io as the SDKs speak it, in processes of their own. Nothing waits for them.

bus            NOTIFY between publishers and socket processes, and among these (peer_events: what they tell)
live_message   an occurrence as subscribers see it
selectors      conditions over headers
packets        Engine.IO 3 and 4 and socket.io packets <-> bytes, pure
exchange       HTTP requests and answers <-> bytes, pure
incoming       messages and POSTs as they arrive, within bounds
connection     one TCP connection: HTTP/1.1, then perhaps websocket
engine         Engine.IO requests -> sessions
session        one Engine.IO session over either transport
calls          SUB_ON, SUB_OFF and MET_REQ as they come
subscriber     what becomes of them
access         who a subscriber is, what it may listen to
limits, pace   what one address may hold and do, and how often
hub            who listens to what in this process
presence       who is connected, over all processes
distribution   from the bus to the hub
server         the process: sockets, bus, clocks and the thread that asks the database, together
"""
