"""The run folder: what a training leaves behind, going on with it, and finding its photos again."""
