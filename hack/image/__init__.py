"""Container images without a container tool: from this machine's own files and locked wheels."""
