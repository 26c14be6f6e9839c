"""What the shop does: each service shows its transaction, one commit at its end."""
