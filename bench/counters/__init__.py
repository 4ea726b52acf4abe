"""An app with one table and the jobs that the engine's benchmark runs on it."""
