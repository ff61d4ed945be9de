"""Human evaluation: blinded items, annotation pages, a judge kept apart, ratings and agreement."""
