"""What a cell scores and attacks: a network with its weights behind a defense, the images, and what identifies them."""
