"""Networks: images (B, 3, H, W) in -1..1 to raw embeddings (B, D). One file per family, `@BACKBONES.register("name", ...)`."""
