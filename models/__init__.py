"""Networks, box geometry, losses, transfer learning, checkpoints. Decodes nothing."""
