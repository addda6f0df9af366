"""The chat, from the client's side: `ChatClient` for programs; docs/chat.md shows a bot."""
