"""From a photo in any form to network input: the preprocessing that training and inference share."""
