"""Ground floor: what every other room stands on. Imports nothing of the project."""
