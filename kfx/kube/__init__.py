"""One API server: types, errors, credentials, requests. No Katib word, no cache, no queue."""
