"""Pictures and pages: one visual style for evaluation, data and video.

NumPy, OpenCV, Pillow and Matplotlib; neither TensorFlow nor JAX.
"""
