"""What Verification and Fairness share: the operating point, scored pairs with their people redrawn, counted protocols."""
