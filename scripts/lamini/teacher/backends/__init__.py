"""The ways to have requests answered; `lamini.settings.backends` lists them."""
