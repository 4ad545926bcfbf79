"""The bridge: terminals on a websocket, from the socket to messages that can be believed, and who may come in."""
