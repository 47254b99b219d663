"""Pub/sub to live subscribers: socket.io as the SDKs speak it, in processes of their own. Nothing waits for them.

bus            NOTIFY between publishers and socket processes, and among these
live_message   an occurrence as subscribers see it
selectors      conditions over headers
packets        Engine.IO 3 and 4 and socket.io packets <-> bytes, pure
connection     one TCP connection: HTTP/1.1, then perhaps websocket
engine         one Engine.IO session over either transport
rtclient       what a subscriber asks for: SUB_ON, SUB_OFF, MET_REQ
hub            who listens to what in this process
presence       who is connected, over all processes
server         the process: sockets, bus and clocks together
"""
