"""The names of augmentations; ``data.augment`` makes them. Apart, because options are read before torch is imported."""

AUGMENTATIONS = {
    "standard": "crops of the padded image and flips, as far as the data set has them",
    "none": "the images as they are",
    "imagenet": "random crops of 0.08 to 1 of the image, scaled to its usual size, flips, colour jitter",
    "trivial": "TrivialAugment (arXiv 2103.10158), then standard",
    "randaugment": "RandAugment (arXiv 1909.13719), then standard",
}
