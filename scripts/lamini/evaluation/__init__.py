"""Automatic evaluation on the downstream tasks, and free-text answers (section 4.2)."""
