"""From embeddings to scores and numbers, and where these come from."""
