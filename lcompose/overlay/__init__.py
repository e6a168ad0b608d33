"""``compose:`` of the settings: a person's own words of Compose, checked and laid over what is rendered."""
