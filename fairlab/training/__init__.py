"""The only training loop: what one step is, in which order, and how it is saved and resumed."""
