"""Other ways to hide an image from the host that classifies it, each as its authors published it."""
