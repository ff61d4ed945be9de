"""How a model is run: by its own forward, by faster ways, and the proof that both agree."""
