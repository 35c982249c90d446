"""Making data sets: downloads, frames, people, the miniature, the street video."""
