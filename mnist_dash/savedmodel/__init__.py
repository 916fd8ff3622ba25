"""Read, load and check SavedModels of MNIST digits, without TensorFlow."""
