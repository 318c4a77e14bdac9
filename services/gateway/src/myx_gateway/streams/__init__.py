"""Logs as streams: WebSocket, SSE and plain download, resumable by offset."""
