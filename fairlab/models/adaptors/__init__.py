"""From several teachers' embeddings to the common space. One file per idea, `@ADAPTORS.register("name", ...)`."""
