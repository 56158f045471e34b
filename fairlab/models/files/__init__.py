"""Networks as files: our own checkpoints, and those of strangers, recognised and read without running what they hold."""
