"""Table 1: networks on plain and private images of CIFAR-10."""
