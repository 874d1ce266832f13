"""What a trained network predicts on held-out photos, and how far its confidence can be trusted."""
