"""The data set: annotations, frames, and the clips that are cut from them."""
