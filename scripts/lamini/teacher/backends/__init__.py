"""Teacher backends: the ways to send requests; `lamini.settings.backends` lists them."""
