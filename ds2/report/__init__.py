"""What a run made, in figures and on a page: read from its store, never from the runner."""
