"""From files of annotation tools to a data set in AVA's format, and back."""
