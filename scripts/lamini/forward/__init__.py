"""Forward passes: the model's own forward, faster ways, and the check that both agree."""
