"""Networks, box geometry, losses, transfer learning, checkpoints. Knows nothing of videos or time."""
