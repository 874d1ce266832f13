"""What a user decides about a run: options, recipes, and the defaults of what was left open."""
