"""Tables of scored pairs, by which a model is evaluated that never enters the app: BFW, bob, any other; reading, checking, writing."""
